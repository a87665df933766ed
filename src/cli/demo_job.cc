#include "src/cli/demo_job.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "src/base/errors.h"
#include "src/cli/commands.h"
#include "src/cli/demo_checks.h"
#include "src/cli/demo_rank.h"
#include "src/cli/text.h"

namespace tutti::cli {
namespace {

using Clock = std::chrono::steady_clock;

// Once one child has failed the others have this long to notice, and to say so themselves.
constexpr auto kGrace = std::chrono::seconds(5);
// Beyond the library's own timeout: after this, children that do not get on are killed.
constexpr auto kStallMargin = std::chrono::seconds(15);
constexpr auto kDescribeLimit = std::chrono::seconds(20);
constexpr useconds_t kLookMicroseconds = 5000;

[[noreturn]] void throwErrno(const char* what) {
  throw std::runtime_error(fmt::format("{}: {}", what, std::strerror(errno)));
}

// A child that dies with this process. Returns 0 in the child.
pid_t forkChild() {
  std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) throwErrno("fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(kExitPeerFailed);
  }
  return pid;
}

std::string doingText(uint64_t doing) {
  const auto stage = static_cast<Stage>(doing >> 56);
  const uint64_t value = doing & ((uint64_t{1} << 56) - 1);
  switch (stage) {
    case Stage::kStart: return "before it started";
    case Stage::kJoin: return "while the ranks joined";
    case Stage::kCheck:
      return value < checkNames().size() ? "during " + checkNames()[value] : "during a check";
    case Stage::kBandwidth: return "while it measured the memory";
    case Stage::kMeasure: return fmt::format("during an all_reduce of {}", formatBytes(value));
    case Stage::kLeave: return "while it left";
  }
  return "";
}

struct Child {
  pid_t pid = -1;
  int firstRank = 0;
  int ranks = 1;
  bool isRunning = true;
};

class Job {
 public:
  Job(const JobPlan& plan, Board& board) : plan_(plan), board_(board) {}

  void start() {
    const int perChild = plan_.asThreads ? plan_.ranks : 1;
    for (int first = 0; first < plan_.ranks; first += perChild) {
      const pid_t pid = forkChild();
      if (pid == 0) runChild(first, perChild);
      children_.push_back({pid, first, perChild, true});
    }
  }

  void watch(const std::function<void()>& onProgress) {
    while (isRunning()) {
      onProgress();
      reap();
      lookAtTime();
      usleep(kLookMicroseconds);
    }
    onProgress();
  }

  JobResult judge() const {
    JobResult result;
    if (!deaths_.empty() || board_.failures.load() > 0) {
      result.problems = deaths_;
      addErrors(result);
      return result;
    }
    for (int rank = 0; rank < plan_.ranks; ++rank) {
      const auto& slot = board_.ranks[rank];
      if (slot.wrong.load() == 0) continue;
      result.code = kExitWrongData;
      result.problems.push_back(fmt::format("TUTTI-E{:04} rank {} found wrong data in {}",
                                            static_cast<int>(base::kErrWrongData), rank,
                                            slot.wrongText));
    }
    return result;
  }

  void killAll() {
    for (auto& child : children_) {
      if (!child.isRunning) continue;
      kill(child.pid, SIGKILL);
      while (waitpid(child.pid, nullptr, 0) < 0 && errno == EINTR) {
      }
      child.isRunning = false;
    }
  }

 private:
  [[noreturn]] void runChild(int first, int count) {
    // The library reads both at its first call. Ranks and size are ours, not a launcher's.
    setenv("TUTTI_IGNORE_LAUNCHER", "1", 1);
    if (plan_.isQuiet) setenv("TUTTI_DEBUG", "NONE", 1);
    std::vector<std::thread> threads;
    for (int i = 1; i < count; ++i) threads.emplace_back([&, i] { runOne(first + i); });
    runOne(first);
    for (auto& thread : threads) thread.join();
    _exit(kExitOk);  // what became of the ranks stands on the board
  }

  void runOne(int rank) {
    RankTask task;
    task.rank = rank;
    task.size = plan_.ranks;
    task.sizes = plan_.sizes;
    task.bandwidthBytes = plan_.bandwidthBytes;
    task.timeoutMs = plan_.timeoutMs;
    runRank(task, board_);
  }

  bool isRunning() const {
    return std::any_of(children_.begin(), children_.end(),
                       [](const Child& child) { return child.isRunning; });
  }

  void reap() {
    for (auto& child : children_) {
      int status = 0;
      if (!child.isRunning || waitpid(child.pid, &status, WNOHANG) != child.pid) continue;
      child.isRunning = false;
      if (WIFSIGNALED(status)) {
        const int signal = WTERMSIG(status);
        deaths_.push_back(fmt::format("{} was killed by signal {} ({}) {}", nameOf(child), signal,
                                      strsignal(signal), whereWas(child)));
      } else if (WEXITSTATUS(status) != kExitOk) {
        deaths_.push_back(fmt::format("{} exited with code {} {}", nameOf(child),
                                      WEXITSTATUS(status), whereWas(child)));
      }
    }
  }

  static std::string nameOf(const Child& child) {
    const std::string ranks = child.ranks == 1
                                  ? fmt::format("rank {}", child.firstRank)
                                  : fmt::format("the process of ranks {} to {}", child.firstRank,
                                                child.firstRank + child.ranks - 1);
    return fmt::format("{} (process {})", ranks, child.pid);
  }

  std::string whereWas(const Child& child) const {
    return doingText(board_.ranks[child.firstRank].doing.load());
  }

  // Ends what hangs: survivors of a failure after the grace time, all when nothing gets on.
  void lookAtTime() {
    const auto now = Clock::now();
    uint64_t beats = 0;
    for (int rank = 0; rank < plan_.ranks; ++rank) beats += board_.ranks[rank].beats.load();
    if (beats != lastBeats_) lastMove_ = now;
    lastBeats_ = beats;
    const bool hasFailure = !deaths_.empty() || board_.failures.load() > 0;
    if (hasFailure && !failedAt_) failedAt_ = now;
    const auto stallLimit = std::chrono::milliseconds(plan_.timeoutMs) + kStallMargin;
    const bool isOver = failedAt_ && now - *failedAt_ > kGrace;
    const bool isStalled = now - lastMove_ > stallLimit;
    if (!isOver && !isStalled) return;
    for (const auto& child : children_) {
      if (!child.isRunning) continue;
      deaths_.push_back(
          fmt::format("{} did not get on {} and was killed", nameOf(child), whereWas(child)));
    }
    killAll();
  }

  // The ranks' own errors, the first failure first. What a rank says of a peer whose death stands
  // above is an echo, but shows that it noticed.
  void addErrors(JobResult& result) const {
    std::vector<int> failed;
    for (int rank = 0; rank < plan_.ranks; ++rank) {
      const auto state = static_cast<RankState>(board_.ranks[rank].state.load());
      if (state == RankState::kFailed) failed.push_back(rank);
    }
    std::sort(failed.begin(), failed.end(),
              [this](int a, int b) { return board_.ranks[a].order < board_.ranks[b].order; });
    result.code = kExitPeerFailed;
    std::vector<std::pair<std::string, std::string>> reports;  // ranks, text
    for (const int rank : failed) {
      const auto& slot = board_.ranks[rank];
      if (slot.result == tuttiUnhandledDeviceError) result.code = kExitNoDevice;
      const auto text = fmt::format("{}: {}", doingText(slot.doing.load()), slot.error);
      const auto same = std::find_if(reports.begin(), reports.end(),
                                     [&](const auto& report) { return report.second == text; });
      if (same == reports.end()) {
        reports.emplace_back(fmt::format("rank {}", rank), text);
      } else {
        same->first += fmt::format(" and {}", rank);
      }
    }
    for (const auto& [ranks, text] : reports) result.problems.push_back(ranks + ", " + text);
  }

  const JobPlan& plan_;
  Board& board_;
  std::vector<Child> children_;
  std::vector<std::string> deaths_;
  uint64_t lastBeats_ = 0;
  Clock::time_point lastMove_ = Clock::now();
  std::optional<Clock::time_point> failedAt_;
};

[[noreturn]] void describeTo(int fd) {
  const char* text = nullptr;
  const bool isDescribed = tuttiDescribe(&text) == tuttiSuccess;
  if (!isDescribed) text = tuttiGetLastError(nullptr);
  std::string_view rest(text);
  while (!rest.empty()) {
    const ssize_t written = write(fd, rest.data(), rest.size());
    if (written <= 0) _exit(kExitPeerFailed);
    rest.remove_prefix(static_cast<size_t>(written));
  }
  _exit(isDescribed ? kExitOk : kExitPeerFailed);
}

// All that comes until the other end closes, or the time is over.
std::string readAll(int fd, Clock::time_point end) {
  std::string text;
  char part[4096];
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    pollfd entry{fd, POLLIN, 0};
    const int ready = poll(&entry, 1, static_cast<int>(std::max<int64_t>(0, left.count())));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return text;
    const ssize_t got = read(fd, part, sizeof(part));
    if (got <= 0) return text;
    text.append(part, static_cast<size_t>(got));
  }
}

}  // namespace

Board& makeBoard() {
  void* memory =
      mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throwErrno("mmap");
  return *new (memory) Board{};
}

JobResult runJob(const JobPlan& plan, Board& board, const std::function<void()>& onProgress) {
  Job job(plan, board);
  try {
    job.start();
    job.watch(onProgress);
  } catch (...) {
    job.killAll();
    throw;
  }
  return job.judge();
}

std::string describeInChild() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throwErrno("pipe");
  const pid_t pid = forkChild();
  if (pid == 0) {
    close(ends[0]);
    describeTo(ends[1]);
  }
  close(ends[1]);
  std::string text = readAll(ends[0], Clock::now() + kDescribeLimit);
  close(ends[0]);
  int status = 0;
  if (waitpid(pid, &status, WNOHANG) == 0) {
    usleep(100000);
    if (waitpid(pid, &status, WNOHANG) == 0) {
      kill(pid, SIGKILL);
      waitpid(pid, &status, 0);
    }
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == kExitOk) return text;
  if (WIFSIGNALED(status)) {
    throw std::runtime_error(
        fmt::format("looking for devices ended with signal {} ({}); a driver may have crashed",
                    WTERMSIG(status), strsignal(WTERMSIG(status))));
  }
  throw std::runtime_error(text.empty() ? "the library described nothing" : text);
}

}  // namespace tutti::cli
