#include "src/cli/demo_rank.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "src/cli/demo_checks.h"
#include "src/cli/memory_stream.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

// One cell of the table is measured for about this long.
constexpr double kBudgetMicroseconds = 200e3;
using Clock = std::chrono::steady_clock;

// A call of the library failed; the text is its own.
struct Failure : std::runtime_error {
  Failure(tuttiResult_t code, const std::string& text) : std::runtime_error(text), result(code) {}
  tuttiResult_t result;
};

double microsecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// A send and a receive buffer, from malloc or from the library.
class Buffers {
 public:
  Buffers(size_t bytes, bool isRegistered) : isRegistered_(isRegistered) {
    for (float*& buffer : buffers_) {
      void* memory = nullptr;
      if (isRegistered_) {
        if (tuttiMemAlloc(&memory, bytes) != tuttiSuccess) memory = nullptr;
      } else {
        memory = std::malloc(bytes);
      }
      if (memory == nullptr) throw std::bad_alloc();
      buffer = static_cast<float*>(memory);
    }
  }
  ~Buffers() {
    for (float* buffer : buffers_) {
      if (isRegistered_) {
        (void)tuttiMemFree(buffer);
      } else {
        std::free(buffer);
      }
    }
  }
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  float* send() const { return buffers_[0]; }
  float* recv() const { return buffers_[1]; }

 private:
  bool isRegistered_;
  float* buffers_[2] = {};
};

class DemoRank {
 public:
  DemoRank(const RankTask& task, Board& board)
      : task_(task), board_(board), slot_(board.ranks[task.rank]), pattern_(task.size) {}
  // A rank that gives up tells the others, also where all are threads of one process.
  ~DemoRank() {
    if (comm_ != nullptr) (void)tuttiCommAbort(comm_);
  }
  DemoRank(const DemoRank&) = delete;
  DemoRank& operator=(const DemoRank&) = delete;

  void run() {
    join();
    checkAll();
    measureAll();
    at(Stage::kLeave, 0);
    check(tuttiCommDestroy(std::exchange(comm_, nullptr)));
  }

 private:
  bool isFirst() const { return task_.rank == 0; }

  void at(Stage stage, uint64_t value) {
    slot_.doing.store(doingWord(stage, value), std::memory_order_relaxed);
    beat();
  }

  void beat() { slot_.beats.store(++beats_, std::memory_order_relaxed); }

  void check(tuttiResult_t result) const {
    if (result != tuttiSuccess) throw Failure(result, tuttiGetLastError(comm_));
  }

  void join() {
    const auto start = Clock::now();
    at(Stage::kJoin, 0);
    if (isFirst()) {
      check(tuttiGetUniqueId(&board_.id));
      board_.hasId.store(1, std::memory_order_release);
    }
    // Who waits for an id that never comes is ended by the process that started the ranks.
    while (board_.hasId.load(std::memory_order_acquire) == 0) usleep(200);
    tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
    config.timeoutMs = task_.timeoutMs;
    config.commName = "demo";
    check(tuttiCommInitRankConfig(&comm_, task_.size, board_.id, task_.rank, &config));
    if (!isFirst()) return;
    board_.joinMilliseconds = microsecondsSince(start) * 1e-3;
    setText(board_.path, pathOf(describe()));
    board_.joined.store(1, std::memory_order_release);
  }

  json describe() const {
    const char* text = nullptr;
    check(tuttiCommDescribe(comm_, &text));
    return json::parse(text, nullptr, false);
  }

  static std::string pathOf(const json& description) {
    std::string paths;
    for (const auto& rank : description.value("ranks", json::array())) {
      const std::string path = rank.value("path", "");
      if (path == "self" || paths.find(path) != std::string::npos) continue;
      paths += (paths.empty() ? "" : " and ") + path;
    }
    return paths;
  }

  void barrier() {
    int32_t one = 1;
    check(tuttiAllReduce(&one, &one, 1, tuttiInt32, tuttiSum, comm_, nullptr));
  }

  // The largest of all ranks' values.
  void toSlowest(std::vector<double>& values) {
    check(tuttiAllReduce(values.data(), values.data(), values.size(), tuttiDouble, tuttiMax, comm_,
                         nullptr));
  }

  uint64_t sumOverRanks(uint64_t value) {
    check(tuttiAllReduce(&value, &value, 1, tuttiUint64, tuttiSum, comm_, nullptr));
    return value;
  }

  void reportWrong(const std::string& what, size_t wrong) {
    if (wrong == 0) return;
    if (slot_.wrong.fetch_add(wrong) > 0) return;
    setText(slot_.wrongText, fmt::format("{}: {} wrong elements", what, wrong));
  }

  void checkAll() {
    Checks checks(comm_, task_.rank, task_.size);
    for (size_t i = 0; i < checks.list().size(); ++i) {
      const Check& one = checks.list()[i];
      at(Stage::kCheck, i);
      checks.spoil();
      check(one.run());
      const size_t wrong = one.countWrong();
      reportWrong(one.name, wrong);
      const double time = timeCheck(one);
      const uint64_t wrongOfAll = sumOverRanks(wrong);
      if (!isFirst()) continue;
      board_.checks[i].microseconds = time;
      board_.checks[i].wrong = wrongOfAll;
      board_.checksDone.store(static_cast<int>(i) + 1, std::memory_order_release);
    }
  }

  double timeCheck(const Check& one) {
    constexpr int kRuns = 5;
    std::vector<double> times;
    for (int run = 0; run < kRuns; ++run) {
      barrier();
      beat();
      const auto start = Clock::now();
      check(one.run());
      times.push_back(microsecondsSince(start));
    }
    toSlowest(times);
    return median(times);
  }

  void measureAll() {
    if (task_.sizes.empty()) return;
    const size_t largest = task_.sizes.back();
    const Buffers plain(largest, false);
    const Buffers registered(largest, true);
    pattern_.fill(plain.send(), task_.rank, 0, largest / sizeof(float));
    pattern_.fill(registered.send(), task_.rank, 0, largest / sizeof(float));
    measureMemory(registered);
    measureLatency(registered);
    for (size_t i = 0; i < task_.sizes.size(); ++i) {
      const uint64_t bytes = task_.sizes[i];
      // This first: after calls whose memory could not be used in place, the library does not ask
      // for a while.
      const Cell inPlace = measure(registered, bytes);
      Row row{bytes, measure(plain, bytes), inPlace};
      if (!isFirst()) continue;
      nameAlgorithms(row);
      board_.rows[i] = row;
      board_.rowsDone.store(static_cast<int>(i) + 1, std::memory_order_release);
    }
    measureMemory(registered);
  }

  // How fast all ranks together read and write memory: the bound of a large all-reduce. The best of
  // all runs, since others use the memory too.
  void measureMemory(const Buffers& buffers) {
    if (task_.bandwidthBytes == 0) return;
    at(Stage::kBandwidth, 0);
    std::vector<double> times;
    for (int run = 0; run < 5; ++run) {
      barrier();
      beat();
      const auto start = Clock::now();
      streamHalves(buffers.recv(), buffers.send(), task_.bandwidthBytes / sizeof(float));
      times.push_back(microsecondsSince(start));
    }
    toSlowest(times);
    if (!isFirst()) return;
    const double bytes = 2.0 * static_cast<double>(task_.bandwidthBytes) * task_.size;
    const double rate = bytes / (*std::min_element(times.begin(), times.end()) * 1e-6);
    board_.memoryRate = std::max(board_.memoryRate, rate);
  }

  tuttiResult_t allReduce(const Buffers& buffers, uint64_t bytes) {
    beat();
    return tuttiAllReduce(buffers.send(), buffers.recv(), bytes / sizeof(float), tuttiFloat,
                          tuttiSum, comm_, nullptr);
  }

  void measureLatency(const Buffers& buffers) {
    constexpr uint64_t kBytes = 8;
    at(Stage::kMeasure, kBytes);
    const size_t calls = callsWithin(kBudgetMicroseconds, buffers, kBytes, 2000);
    std::vector<double> times;
    times.reserve(calls);
    while (times.size() < calls) {
      const auto start = Clock::now();
      check(allReduce(buffers, kBytes));
      times.push_back(microsecondsSince(start));
    }
    if (!isFirst()) return;
    std::sort(times.begin(), times.end());
    board_.latencyMedian = times[calls / 2];
    board_.latencyTail = times[calls * 99 / 100];
  }

  // The median of some batches, each as long as its slowest rank took. What takes long is done less
  // often, so that a slow machine does not take for ever.
  Cell measure(const Buffers& buffers, uint64_t bytes) {
    constexpr size_t kBatches = 7;
    at(Stage::kMeasure, bytes);
    const size_t count = bytes / sizeof(float);
    std::fill_n(buffers.recv(), count, -1.0F);
    const size_t calls = callsWithin(kBudgetMicroseconds, buffers, bytes, 20000);
    const size_t batches = std::clamp<size_t>(calls, 3, kBatches);
    const size_t perBatch = std::max<size_t>(1, calls / batches);
    std::vector<double> times;
    for (size_t batch = 0; batch < batches; ++batch) {
      barrier();
      const auto start = Clock::now();
      for (size_t i = 0; i < perBatch; ++i) check(allReduce(buffers, bytes));
      times.push_back(microsecondsSince(start) / static_cast<double>(perBatch));
    }
    toSlowest(times);
    const size_t wrong = pattern_.countWrong(buffers.recv(), kSumOfRanks, 0, count);
    reportWrong(fmt::format("all_reduce of {} bytes", bytes), wrong);
    return {median(times), sumOverRanks(wrong), ""};
  }

  // How many calls take this long, from some that it makes; at least 1, the same on all ranks.
  size_t callsWithin(double budget, const Buffers& buffers, uint64_t bytes, size_t most) {
    std::vector<double> once;
    double spent = 0;
    while (once.size() < 20 && spent < budget / 10) {
      std::vector<double> time(1);
      barrier();
      const auto start = Clock::now();
      check(allReduce(buffers, bytes));
      time[0] = microsecondsSince(start);
      toSlowest(time);
      once.push_back(time[0]);
      spent += time[0];
    }
    const double calls = budget / std::max(median(once), 0.01);
    return std::clamp<size_t>(static_cast<size_t>(calls), 1, most);
  }

  // The library says what it planned for each call. Memory from malloc is reached in place by
  // threads, and by processes where the kernel's copies are worth it; else the fallback ran.
  void nameAlgorithms(Row& row) const {
    const json all = describe();
    const auto call = fmt::format("all_reduce of {} float, sum", row.bytes / sizeof(float));
    for (const auto& plan : all.value("plans", json::array())) {
      if (plan.value("call", "") != call) continue;
      const std::string main = plan.value("algorithm", "");
      const std::string fallback = plan.value("fallback", "");
      const bool isInPlace =
          fallback.empty() || std::string_view(board_.path) == "inproc" ||
          (all.value("kernel_copies", false) && plan.value("accepts_kernel_copies", false));
      setText(row.registered.algorithm, main);
      setText(row.plain.algorithm, isInPlace ? main : fallback);
    }
  }

  const RankTask& task_;
  Board& board_;
  RankSlot& slot_;
  Pattern pattern_;
  tuttiComm_t comm_ = nullptr;
  uint64_t beats_ = 0;
};

void fail(Board& board, RankSlot& slot, tuttiResult_t result, const char* text) {
  slot.result = result;
  slot.order = board.failures.fetch_add(1) + 1;
  setText(slot.error, text);
  slot.state.store(static_cast<uint32_t>(RankState::kFailed), std::memory_order_release);
}

}  // namespace

void runRank(const RankTask& task, Board& board) {
  RankSlot& slot = board.ranks[task.rank];
  try {
    DemoRank(task, board).run();
    slot.state.store(static_cast<uint32_t>(RankState::kDone), std::memory_order_release);
  } catch (const Failure& failure) {
    fail(board, slot, failure.result, failure.what());
  } catch (const std::bad_alloc&) {
    fail(board, slot, tuttiSystemError, "out of memory; try a smaller --max-bytes");
  } catch (const std::exception& error) {
    fail(board, slot, tuttiInternalError, error.what());
  }
}

}  // namespace tutti::cli
