#include "tests/multi/ranks.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include <new>
#include <thread>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

namespace tutti::test {
namespace {

constexpr int kExitSkipped = 77;
constexpr int kExitLeaked = 23;

void write(char* to, size_t capacity, const std::string& text) {
  const size_t length = std::min(text.size(), capacity - 1);
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

const char* baseName(const char* file) {
  const char* slash = std::strrchr(file, '/');
  return slash == nullptr ? file : slash + 1;
}

class SharedBoard {
 public:
  SharedBoard()
      : memory_(mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                     0)) {
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    board_ = new (memory_) Board();
  }
  ~SharedBoard() { munmap(memory_, sizeof(Board)); }
  SharedBoard(const SharedBoard&) = delete;
  SharedBoard& operator=(const SharedBoard&) = delete;
  Board& operator*() { return *board_; }

 private:
  void* memory_;
  Board* board_;
};

struct Process {
  pid_t pid = -1;
  std::vector<int> ranks;
  bool isDone = false;
  int status = 0;
};

std::vector<Process> distribute(const Setting& setting) {
  const int processes = setting.launch == Launch::kProcesses ? setting.size
                        : setting.launch == Launch::kMixed   ? std::min(2, setting.size)
                                                             : 1;
  std::vector<Process> result(static_cast<size_t>(processes));
  for (int rank = 0; rank < setting.size; ++rank) {
    result[static_cast<size_t>(rank % processes)].ranks.push_back(rank);
  }
  return result;
}

void makeComm(RankContext& context, const RunOptions& options) {
  tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
  if (options.timeoutMs > 0) config.timeoutMs = options.timeoutMs;
  context.setComm(context.newComm(&config));
}

void runRank(RankContext& context, const RunOptions& options, const Body& body) {
  try {
    if (options.makesComm && context.comm() == nullptr) makeComm(context, options);
    body(context);
    context.doing("tuttiCommDestroy");
    TUTTI_REQUIRE(context, tuttiCommDestroy(context.comm()));
    context.doing("done");
  } catch (const RankFailed&) {
    // Peers must not wait for this rank.
    (void)tuttiCommAbort(context.comm());
  }
}

// One process of the run; its exit code.
int runProcess(Board& board, const RunOptions& options, const std::vector<int>& ranks,
               const Body& body) {
  for (const auto& [key, value] : options.environment) setenv(key.c_str(), value.c_str(), 1);
  if (options.prepare && !options.prepare()) return kExitSkipped;
  std::vector<RankContext> contexts;
  contexts.reserve(ranks.size());
  for (const int rank : ranks) contexts.emplace_back(board, rank, options.setting.size);
  if (options.setting.launch == Launch::kInitAll && options.makesComm) {
    std::vector<tuttiComm_t> comms(ranks.size());
    try {
      TUTTI_REQUIRE(contexts[0],
                    tuttiCommInitAll(comms.data(), static_cast<int>(comms.size()), nullptr));
    } catch (const RankFailed&) {
      return 0;
    }
    for (size_t i = 0; i < comms.size(); ++i) contexts[i].setComm(comms[i]);
  }
  std::vector<std::thread> threads;
  for (size_t i = 1; i < contexts.size(); ++i) {
    threads.emplace_back([&, i] { runRank(contexts[i], options, body); });
  }
  runRank(contexts[0], options, body);
  for (auto& thread : threads) thread.join();
#if defined(__SANITIZE_ADDRESS__)
  if (__lsan_do_recoverable_leak_check() != 0) return kExitLeaked;
#endif
  return 0;
}

bool contains(const std::vector<int>& ranks, int rank) {
  return std::find(ranks.begin(), ranks.end(), rank) != ranks.end();
}

bool mayDie(const Process& process, const RunOptions& options) {
  return std::all_of(process.ranks.begin(), process.ranks.end(),
                     [&](int rank) { return contains(options.mayDie, rank); });
}

void kill(Process& process) {
  ::kill(process.pid, SIGKILL);
  waitpid(process.pid, &process.status, 0);
  process.isDone = true;
}

// Waits for all processes that must end by themselves. False: the limit passed.
bool await(std::vector<Process>& processes, const RunOptions& options) {
  const int64_t end = nowNs() + std::chrono::nanoseconds(options.limit).count();
  for (int pause = 100;;) {
    bool isDone = true;
    for (auto& process : processes) {
      if (!process.isDone) {
        process.isDone = waitpid(process.pid, &process.status, WNOHANG) == process.pid;
      }
      isDone &= process.isDone || mayDie(process, options);
    }
    if (isDone) return true;
    if (nowNs() > end) return false;
    usleep(static_cast<useconds_t>(pause));
    pause = std::min(pause * 2, 5000);
  }
}

void reportExit(const Process& process, const RunOptions& options) {
  std::string ranks;
  for (const int rank : process.ranks) ranks += fmt::format("{}{}", ranks.empty() ? "" : ",", rank);
  if (WIFSIGNALED(process.status)) {
    if (mayDie(process, options)) return;
    ADD_FAILURE() << "the process of rank " << ranks << " was ended by signal "
                  << WTERMSIG(process.status) << " (" << strsignal(WTERMSIG(process.status)) << ")";
  } else if (WEXITSTATUS(process.status) == kExitLeaked) {
    ADD_FAILURE() << "the process of rank " << ranks << " leaked memory (see above)";
  } else if (WEXITSTATUS(process.status) != 0) {
    ADD_FAILURE() << "the process of rank " << ranks << " ended with exit code "
                  << WEXITSTATUS(process.status);
  }
}

void reportFailures(Board& board, const RunOptions& options) {
  std::vector<std::pair<int64_t, int>> order;
  for (int rank = 0; rank < options.setting.size; ++rank) {
    const auto& slot = board.slots[rank];
    if (slot.hasFailed.load() != 0 && slot.failure[0] != '\0') {
      order.emplace_back(slot.failedAtNs.load(), rank);
    }
  }
  std::sort(order.begin(), order.end());
  for (const auto& [when, rank] : order) {
    ADD_FAILURE() << "rank " << rank << " of " << options.setting.size << " ("
                  << name(options.setting) << "): " << board.slots[rank].failure;
  }
}

}  // namespace

std::string name(const Setting& setting) {
  switch (setting.launch) {
    case Launch::kThreads: return fmt::format("threads_{}", setting.size);
    case Launch::kProcesses: return fmt::format("processes_{}", setting.size);
    case Launch::kMixed: return fmt::format("mixed_{}", setting.size);
    case Launch::kInitAll: return fmt::format("init_all_{}", setting.size);
  }
  return "?";
}

void PrintTo(const Setting& setting, std::ostream* out) { *out << name(setting); }

std::vector<Setting> seen(std::vector<Setting> settings) {
  if (!kIsThreadSanitized) return settings;
  std::erase_if(settings, [](const Setting& setting) {
    return setting.launch == Launch::kProcesses || setting.launch == Launch::kMixed;
  });
  return settings;
}

std::vector<Setting> allSettings() {
  if (kIsSanitized) return seen({{Launch::kThreads, 3}, {Launch::kMixed, 5}});
  return {{Launch::kThreads, 1},   {Launch::kThreads, 2},   {Launch::kThreads, 3},
          {Launch::kThreads, 5},   {Launch::kThreads, 8},   {Launch::kThreads, 16},
          {Launch::kInitAll, 4},   {Launch::kProcesses, 1}, {Launch::kProcesses, 2},
          {Launch::kProcesses, 3}, {Launch::kProcesses, 5}, {Launch::kProcesses, 8},
          {Launch::kMixed, 4},     {Launch::kMixed, 7}};
}

std::vector<Setting> fewSettings() {
  if (kIsSanitized) return seen({{Launch::kThreads, 3}, {Launch::kProcesses, 2}});
  return {{Launch::kThreads, 2},
          {Launch::kThreads, 5},
          {Launch::kProcesses, 3},
          {Launch::kProcesses, 4},
          {Launch::kMixed, 6}};
}

int64_t nowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

void sleepMs(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

void RankContext::require(tuttiResult_t result, const char* what, const char* file, int line) {
  if (result == tuttiSuccess) return;
  fail(fmt::format("{}:{}: {}\n  returned {} ({}): {}\n  while: {}", baseName(file), line, what,
                   static_cast<int>(result), tuttiGetErrorString(result), tuttiGetLastError(comm_),
                   board_.slots[rank_].doing));
}

void RankContext::requireError(tuttiResult_t result, tuttiResult_t expected,
                               const std::string& text, const char* what, const char* file,
                               int line) {
  const std::string told = tuttiGetLastError(comm_);
  if (result == expected && told.find(text) != std::string::npos) return;
  fail(fmt::format("{}:{}: {}\n  returned {} ({}): \"{}\"\n  expected {} ({}) with \"{}\"",
                   baseName(file), line, what, static_cast<int>(result),
                   tuttiGetErrorString(result), told, static_cast<int>(expected),
                   tuttiGetErrorString(expected), text));
}

void RankContext::check(bool isTrue, const char* what, const char* file, int line) {
  if (isTrue) return;
  fail(fmt::format("{}:{}: not so: {}\n  while: {}", baseName(file), line, what,
                   board_.slots[rank_].doing));
}

void RankContext::fail(const std::string& text) {
  auto& slot = board_.slots[rank_];
  if (slot.hasFailed.load() == 0) {
    write(slot.failure, sizeof(slot.failure), text);
    slot.failedAtNs.store(nowNs());
    slot.hasFailed.store(1);
  }
  throw RankFailed{};
}

// Another rank's failure is enough to report.
void RankContext::giveUp() {
  board_.slots[rank_].hasFailed.store(1);
  throw RankFailed{};
}

void RankContext::doing(const std::string& text) {
  static std::mutex mutex;  // some ranks have several threads
  const std::lock_guard lock(mutex);
  auto& slot = board_.slots[rank_];
  write(slot.doing, sizeof(slot.doing), text);
}

void RankContext::barrier() {
  const uint32_t mine = ++barriers_;
  board_.slots[rank_].barriers.store(mine);
  for (int rank = 0; rank < size_; ++rank) {
    const auto& slot = board_.slots[rank];
    for (int spins = 0; slot.barriers.load() < mine; ++spins) {
      if (slot.hasFailed.load() != 0) giveUp();
      if (spins < 200) {
        sched_yield();
      } else {
        usleep(100);
      }
    }
  }
}

void RankContext::requireSame(uint64_t value, const std::string& what) {
  board_.slots[rank_].published.store(value);
  barrier();
  const uint64_t first = board_.slots[0].published.load();
  if (value != first) {
    fail(fmt::format("{}: {:016x} here, {:016x} on rank 0", what, value, first));
  }
  barrier();
}

tuttiUniqueId RankContext::newId() {
  const int index = ids_++ % Board::kMaxIds;
  const auto generation = static_cast<uint32_t>((ids_ - 1) / Board::kMaxIds + 1);
  if (rank_ == 0) {
    TUTTI_REQUIRE(*this, tuttiGetUniqueId(&board_.ids[index]));
    board_.isIdReady[index].store(generation);
  }
  while (board_.isIdReady[index].load() < generation) {
    if (board_.slots[0].hasFailed.load() != 0) giveUp();
    usleep(50);
  }
  return board_.ids[index];
}

tuttiComm_t RankContext::newComm(tuttiConfig_t* config) {
  doing("newComm");
  const tuttiUniqueId id = newId();
  tuttiComm_t made = nullptr;
  TUTTI_REQUIRE(*this, tuttiCommInitRankConfig(&made, size_, id, rank_, config));
  return made;
}

tuttiResult_t RankContext::settle(tuttiComm_t comm) {
  for (;;) {
    tuttiResult_t state = tuttiSuccess;
    TUTTI_REQUIRE(*this, tuttiCommGetAsyncError(comm, &state));
    if (state != tuttiInProgress) return state;
    usleep(100);
  }
}

void RankContext::awaitValue(int index, uint64_t value) {
  while (board_.values[index].load() < value) {
    for (int rank = 0; rank < size_; ++rank) {
      if (rank != rank_ && board_.slots[rank].hasFailed.load() != 0) giveUp();
    }
    usleep(100);
  }
}

void runRanks(const RunOptions& options, const Body& body) {
  SharedBoard board;
  auto processes = distribute(options.setting);
  std::fflush(nullptr);
  const pid_t parent = getpid();
  for (auto& process : processes) {
    process.pid = fork();
    if (process.pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(1);
      _exit(runProcess(*board, options, process.ranks, body));
    }
    if (process.pid < 0) {
      for (auto& started : processes) {
        if (started.pid > 0) kill(started);
      }
      FAIL() << "fork: " << std::strerror(errno);
    }
  }
  const bool isInTime = await(processes, options);
  bool isSkipped = false;
  for (auto& process : processes) {
    const bool isHung = !process.isDone;
    if (isHung) kill(process);
    if (isHung && !isInTime && !mayDie(process, options)) {
      for (const int rank : process.ranks) {
        ADD_FAILURE() << "rank " << rank << " of " << options.setting.size << " ("
                      << name(options.setting) << ") did not end within " << options.limit.count()
                      << " s; it was at: " << (*board).slots[rank].doing;
      }
      continue;
    }
    isSkipped |= WIFEXITED(process.status) && WEXITSTATUS(process.status) == kExitSkipped;
    if (!isSkipped) reportExit(process, options);
  }
  reportFailures(*board, options);
  if (isSkipped) GTEST_SKIP() << "this machine does not allow it";
}

}  // namespace tutti::test
