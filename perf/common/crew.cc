#include "perf/common/crew.h"

#include <fmt/format.h>
#include <tutti/tutti.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <vector>

#include "perf/common/bench.h"
#include "perf/common/buffers.h"
#include "perf/common/control.h"
#include "perf/common/failure.h"
#include "perf/common/machine.h"
#include "perf/common/report.h"
#include "perf/common/text.h"

namespace tutti::perf {
namespace {

using namespace std::chrono_literals;

// What the library takes longer than -T to notice and to say which rank is late.
constexpr auto kNotice = 1s;
// How long the other ranks of a process may take to notice that one failed.
constexpr auto kGrace = 10s;
// The share of the free memory that buffers may take.
constexpr double kMemoryShare = 0.85;

// What the threads of this process share.
struct Crew {
  const Options& options;
  const Collective& collective;
  const Process& process;
  const std::string& program;
  tuttiUniqueId id{};
  std::unique_ptr<Report> report;  // process 0 only; used by its first rank
  size_t bytesBefore = 0;
  std::atomic<uint64_t> progress{0};

  std::mutex mutex;
  std::condition_variable changed;
  int running = 0;
  int exitCode = kExitOk;
  std::string error;
};

// Fixed-size description that ranks gather.
struct DeviceRecord {
  int32_t rank, group, pid, index;
  char host[80];
  char info[160];
};

class Rank {
 public:
  Rank(Crew& crew, int thread)
      : crew_(crew),
        options_(crew.options),
        rank_(crew.process.index * crew.options.ranksPerProcess() + thread),
        size_(crew.process.count * crew.options.ranksPerProcess()),
        localRank_(crew.process.localIndex * crew.options.ranksPerProcess() + thread) {}

  // The exit code this rank's result means. Throws a Failure after aborting the communicator.
  int run();

 private:
  void join();
  void split();
  void leave();
  void abort();
  int measure(Control& control);
  void reportDevices(Control& control);
  size_t fittingMaxBytes(Control& control);
  int judge(Control& control, const BenchResult& result);
  void explain(const Verdict& verdict) const;
  void reportMemory(size_t afterJoin, size_t afterBuffers);
  Report* report() { return rank_ == 0 ? crew_.report.get() : nullptr; }

  Crew& crew_;
  const Options& options_;
  int rank_;
  int size_;
  int localRank_;
  tuttiComm_t world_ = nullptr;
  tuttiComm_t comm_ = nullptr;  // world_, or this rank's group of it
  tuttiStream_t stream_ = nullptr;
  int group_ = 0;
  bool isHost_ = true;
};

void Rank::join() {
  tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
  config.commName = crew_.program.c_str();
  std::string device;
  if (!options_.devices.empty()) {
    device = options_.devices[static_cast<size_t>(rank_) % options_.devices.size()];
    config.device = device.c_str();
  }
  if (options_.timeoutSeconds > 0) config.timeoutMs = std::min(options_.timeoutSeconds, 30) * 1000;
  const tuttiResult_t result = tuttiCommInitRankConfig(&world_, size_, crew_.id, rank_, &config);
  // All other arguments are good, so an invalid one is the device's name: that of --devices or of
  // TUTTI_DEVICE. The library's text has it.
  if (result == tuttiUnhandledDeviceError || result == tuttiInvalidArgument) {
    throw Failure(kExitNoDevice, fmt::format("rank {} has no usable device: {}", rank_,
                                             tuttiGetLastError(nullptr)));
  }
  check(result, "tuttiCommInitRankConfig");
  const char* name = nullptr;
  check(tuttiCommDeviceName(world_, &name), "tuttiCommDeviceName", world_);
  isHost_ = std::strncmp(name, "host", 4) == 0;
}

void Rank::split() {
  comm_ = world_;
  const std::optional<int> color = splitColor(rank_);
  if (!color) return;
  group_ = *color;
  check(tuttiCommSplit(world_, group_, rank_, &comm_, nullptr), "tuttiCommSplit", world_);
}

void Rank::leave() {
  if (stream_ != nullptr) check(tuttiStreamDestroy(comm_, stream_), "tuttiStreamDestroy");
  stream_ = nullptr;
  const tuttiComm_t world = std::exchange(world_, nullptr);
  const tuttiComm_t comm = std::exchange(comm_, nullptr);
  if (comm != world) check(tuttiCommDestroy(comm), "tuttiCommDestroy");
  check(tuttiCommDestroy(world), "tuttiCommDestroy");
}

int Rank::run() {
  if (options_.pin) pinThread(localRank_);
  try {
    join();
    split();
    int code = kExitOk;
    {
      Control control(world_, isHost_);
      code = measure(control);
    }
    leave();
    return code;
  } catch (...) {
    abort();
    throw;
  }
}

// Lets the peers know at once. Nothing of this rank runs any more when it returns.
void Rank::abort() {
  const tuttiComm_t world = std::exchange(world_, nullptr);
  const tuttiComm_t comm = std::exchange(comm_, nullptr);
  if (comm != nullptr && comm != world) (void)tuttiCommAbort(comm);
  if (world != nullptr) (void)tuttiCommAbort(world);
}

int Rank::measure(Control& control) {
  control.barrier();
  const size_t afterJoin = usedBytes();
  reportDevices(control);
  const bool usesStream = options_.nullStream ? *options_.nullStream == 0 : !isHost_;
  if (usesStream) check(tuttiStreamCreate(comm_, &stream_), "tuttiStreamCreate", comm_);
  const size_t maxBytes = fittingMaxBytes(control);
  // Alignment to 16 bytes and the largest shift come on top.
  const size_t shift = static_cast<size_t>(options_.unaligned) * sizeof(double);
  const Buffer::Origin origin{comm_, isHost_, options_.localRegister > 0};
  auto send = std::make_unique<Buffer>(origin, maxBytes, shift);
  auto recv = std::make_unique<Buffer>(origin, maxBytes, shift);
  control.barrier();
  const size_t afterBuffers = usedBytes();
  if (report() != nullptr) report()->tableHead();
  int groupRank = 0;
  int groupSize = 1;
  check(tuttiCommUserRank(comm_, &groupRank), "tuttiCommUserRank", comm_);
  check(tuttiCommCount(comm_, &groupSize), "tuttiCommCount", comm_);
  Bench bench({options_, crew_.collective, control, comm_, groupRank, groupSize,
               options_.ranksPerProcess(), isHost_, stream_, maxBytes, *send, *recv, report(),
               crew_.progress});
  try {
    const int code = judge(control, bench.run());
    control.barrier();
    if (options_.memoryReport && report() != nullptr) reportMemory(afterJoin, afterBuffers);
    return code;
  } catch (...) {
    // Peers may be reading the buffers until the abort; after it no registration can be undone.
    (void)send.release();
    (void)recv.release();
    throw;
  }
}

void Rank::reportDevices(Control& control) {
  DeviceRecord record{rank_, group_, static_cast<int32_t>(getpid()), 0, {}, {}};
  const char* name = nullptr;
  check(tuttiCommDevice(comm_, &record.index), "tuttiCommDevice", comm_);
  check(tuttiCommDeviceName(comm_, &name), "tuttiCommDeviceName", comm_);
  const std::string info = isHost_ ? fmt::format("{} ({})", name, processorName()) : name;
  std::strncpy(record.host, hostName().c_str(), sizeof(record.host) - 1);
  std::strncpy(record.info, info.c_str(), sizeof(record.info) - 1);
  const std::vector<std::byte> all = control.gather(&record, sizeof(record));
  if (report() == nullptr) return;
  std::vector<Device> devices;
  for (int i = 0; i < size_; ++i) {
    std::memcpy(&record, all.data() + static_cast<size_t>(i) * sizeof(record), sizeof(record));
    devices.push_back(
        {record.rank, record.group, record.pid, record.index, record.host, record.info});
  }
  report()->start(devices, options_.ranksPerProcess());
}

// The two buffers of every rank of this host must fit; all ranks take the same bound.
size_t Rank::fittingMaxBytes(Control& control) {
  const int processes = crew_.process.launcher.size > 1
                            ? std::max(crew_.process.launcher.localSize, 1)
                            : crew_.process.count;
  const double buffers = 2.0 * processes * options_.ranksPerProcess();
  const auto free = static_cast<double>(availableBytes());
  const double room = free > 0 ? kMemoryShare * free / buffers : 1e18;
  const double bound = control.reduce(room, tuttiMin);
  if (bound >= static_cast<double>(options_.maxBytes)) return options_.maxBytes;
  const size_t bytes = static_cast<size_t>(bound) & ~size_t{4095};
  if (bytes < options_.minBytes) {
    throw Failure(
        kExitUsage,
        fmt::format("-b, --minbytes {}: two buffers of that size for each rank do not fit "
                    "into memory; at most {} do",
                    formatBytes(static_cast<double>(options_.minBytes)),
                    formatBytes(static_cast<double>(bytes))));
  }
  if (report() != nullptr) report()->reducedMaxBytes(bytes);
  return bytes;
}

int Rank::judge(Control& control, const BenchResult& result) {
  Verdict verdict;
  verdict.wrongChecks = static_cast<int>(control.reduce(result.wrongChecks, tuttiSum));
  verdict.bandwidth = result.busCount > 0 ? result.busSum / result.busCount : 0;
  verdict.isChecked = options_.minBandwidth || options_.nearBandwidth;
  const bool isSlow = (options_.minBandwidth && verdict.bandwidth < *options_.minBandwidth) ||
                      (options_.nearBandwidth && verdict.bandwidth < 0.9 * *options_.nearBandwidth);
  // With -a 0 the ranks see different times: rank 0's view counts.
  const double slow = control.reduce(rank_ == 0 && isSlow ? 1 : 0, tuttiMax);
  verdict.isFastEnough = slow == 0;
  if (report() != nullptr) {
    report()->finish(verdict);
    explain(verdict);
  }
  if (verdict.wrongChecks > 0) return kExitWrongData;
  return verdict.isFastEnough ? kExitOk : kExitTooSlow;
}

// Why the exit code is not 0: the table's "FAILED" is easily overlooked.
void Rank::explain(const Verdict& verdict) const {
  std::fflush(stdout);
  if (verdict.wrongChecks > 0) {
    fmt::print(stderr, "{}: TUTTI-E0502 {} checks found wrong data\n", crew_.program,
               verdict.wrongChecks);
  } else if (!verdict.isFastEnough) {
    const double wanted = options_.minBandwidth.value_or(0.9 * options_.nearBandwidth.value_or(0));
    fmt::print(stderr, "{}: TUTTI-E0503 the average bus bandwidth, {:g} GB/s, is below {:g} GB/s\n",
               crew_.program, verdict.bandwidth, wanted);
  }
}

void Rank::reportMemory(size_t afterJoin, size_t afterBuffers) {
  const auto difference = [](size_t later, size_t earlier) {
    return later > earlier ? static_cast<double>(later - earlier) : 0.0;
  };
  const char* text = nullptr;
  std::string library;
  if (tuttiCommDescribe(comm_, &text) == tuttiSuccess && text != nullptr) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (json.is_object() && json.contains("memory")) library = json["memory"].dump();
  }
  report()->memory({difference(afterJoin, crew_.bytesBefore), difference(afterBuffers, afterJoin),
                    difference(usedBytes(), afterBuffers)},
                   library);
}

void runThread(Crew& crew, int thread) {
  int code = kExitOk;
  std::string error;
  try {
    code = Rank(crew, thread).run();
  } catch (const Failure& failure) {
    code = failure.exitCode();
    error = failure.what();
  } catch (const std::exception& exception) {
    code = kExitPeerFailed;
    error = exception.what();
  }
  const std::lock_guard lock(crew.mutex);
  if (!error.empty()) {
    std::fflush(stdout);
    fmt::print(stderr, "{} pid {}: Test failure: {}\n", hostName(), getpid(), error);
    if (crew.error.empty()) crew.error = error;
  }
  // A peer's failure is mostly the echo of a more precise one.
  if (crew.exitCode == kExitOk || crew.exitCode == kExitPeerFailed) {
    crew.exitCode = code != kExitOk ? code : crew.exitCode;
  }
  --crew.running;
  crew.changed.notify_all();
}

[[noreturn]] void quit(int code) {
  std::fflush(nullptr);
  _exit(code);
}

// Waits until all ranks have ended; exits the process where they do not.
void waitForRanks(Crew& crew) {
  using Time = std::chrono::steady_clock;
  const std::chrono::seconds timeout(crew.options.timeoutSeconds);
  uint64_t seen = 0;
  Time::time_point moved = Time::now();
  Time::time_point failed = Time::time_point::max();
  std::unique_lock lock(crew.mutex);
  while (crew.running > 0) {
    crew.changed.wait_for(lock, 200ms);
    const Time::time_point now = Time::now();
    if (crew.progress.load() != seen) {
      seen = crew.progress.load();
      moved = now;
    }
    const bool isLate = timeout > 0s && now - moved > timeout + kNotice;
    if (isLate && failed == Time::time_point::max()) {
      const std::string text = fmt::format(
          "{} made no progress", ranksOf(crew.process.index, crew.options.ranksPerProcess()));
      fmt::print(stderr, "{} pid {}: Test timeout ({}s): {}\n", hostName(), getpid(),
                 timeout.count(), text);
      if (crew.report) crew.report->end(fmt::format("{} in {} s", text, timeout.count()));
      quit(kExitPeerFailed);
    }
    if (crew.exitCode != kExitOk && !crew.error.empty() && failed == Time::time_point::max()) {
      failed = now;
    }
    const auto grace = isFinal(crew.exitCode) ? kNotice : kGrace;
    if (failed != Time::time_point::max() && now - failed > grace) {
      if (crew.report) crew.report->end(crew.error);
      quit(crew.exitCode);
    }
  }
}

}  // namespace

int runCrew(const Options& options, const Collective& collective, const Process& process,
            const std::string& program) {
  Crew crew{options, collective, process, program, {}, nullptr};
  if (process.index == 0) crew.report = std::make_unique<Report>(options, program);
  crew.bytesBefore = usedBytes();
  crew.id = agreeOnId(process);
  crew.running = options.ranksPerProcess();
  std::vector<std::thread> threads;
  for (int i = 0; i < options.ranksPerProcess(); ++i) {
    threads.emplace_back(runThread, std::ref(crew), i);
  }
  waitForRanks(crew);
  for (std::thread& thread : threads) thread.join();
  if (crew.report) crew.report->end(crew.error);
  return crew.exitCode;
}

}  // namespace tutti::perf
