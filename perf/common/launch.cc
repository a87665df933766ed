#include "perf/common/launch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "perf/common/failure.h"
#include "perf/common/helper.h"
#include "perf/common/text.h"

namespace tutti::perf {
namespace {

using Clock = std::chrono::steady_clock;

// After one process failed, the others have this long to notice and to say so themselves.
constexpr auto kGrace = std::chrono::seconds(5);
constexpr auto kShortGrace = std::chrono::seconds(2);

struct Child {
  pid_t pid = -1;
  bool isRunning = true;
};

// Says why a child ended and returns what that makes of the whole run's code.
int judge(int status, int index, const Child& child, int ranksPerProcess, int code) {
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    fmt::print(stderr, "process {} ({}, pid {}) was killed by signal {} ({})\n", index,
               ranksOf(index, ranksPerProcess), child.pid, signal, strsignal(signal));
    return kExitPeerFailed;
  }
  const int own = WEXITSTATUS(status);
  if (own == kExitOk || own == code) return code;
  if (code == kExitOk) return own;
  // A peer's failure is mostly the echo of another's more precise one.
  return code == kExitPeerFailed ? own : code;
}

void killRunning(const std::vector<Child>& children, int ranksPerProcess) {
  for (size_t i = 0; i < children.size(); ++i) {
    if (!children[i].isRunning) continue;
    fmt::print(stderr, "process {} ({}, pid {}) did not end by itself and is killed\n", i,
               ranksOf(static_cast<int>(i), ranksPerProcess), children[i].pid);
    kill(children[i].pid, SIGKILL);
  }
}

void reap(std::vector<Child>& children, pid_t pid, int status, int ranksPerProcess, bool isKilling,
          int& code, bool& hasSignal) {
  for (size_t i = 0; i < children.size(); ++i) {
    if (children[i].pid != pid) continue;
    children[i].isRunning = false;
    if (isKilling) return;
    hasSignal = hasSignal || WIFSIGNALED(status);
    code = judge(status, static_cast<int>(i), children[i], ranksPerProcess, code);
    if (hasSignal) code = kExitPeerFailed;
  }
}

// Waits for all children; never longer than the grace time after the first that failed.
[[noreturn]] void supervise(std::vector<Child> children, int ranksPerProcess) {
  int code = kExitOk;
  bool hasSignal = false;
  bool isKilling = false;
  Clock::time_point deadline = Clock::time_point::max();
  for (size_t running = children.size(); running > 0;) {
    int status = 0;
    const bool mayBlock = code == kExitOk || isKilling;
    const pid_t pid = waitpid(-1, &status, mayBlock ? 0 : WNOHANG);
    if (pid > 0) {
      reap(children, pid, status, ranksPerProcess, isKilling, code, hasSignal);
      --running;
      if (code != kExitOk && deadline == Clock::time_point::max()) {
        deadline = Clock::now() + (isFinal(code) ? kShortGrace : kGrace);
      }
    } else if (pid < 0 && errno != EINTR) {
      break;
    } else if (!isKilling && Clock::now() > deadline) {
      isKilling = true;
      killRunning(children, ranksPerProcess);
    } else if (pid == 0) {
      usleep(20000);
    }
  }
  std::exit(code);
}

void becomeChild(pid_t parent, std::vector<int>& readEnds, Process& process) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kExitPeerFailed);
  for (size_t i = 0; i < readEnds.size(); ++i) {
    if (process.index == 0) {
      close(readEnds[i]);
    } else {
      close(process.idPipes[i]);
      if (static_cast<int>(i) + 1 == process.index)
        process.idPipe = readEnds[i];
      else
        close(readEnds[i]);
    }
  }
  if (process.index > 0) process.idPipes.clear();
}

Process forkProcesses(const Options& options) {
  std::vector<int> readEnds;
  Process process;
  process.count = options.processes;
  for (int i = 1; i < options.processes; ++i) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
      throw Failure(kExitPeerFailed, fmt::format("-p {}: pipe: {}; each takes two (ulimit -n)",
                                                 options.processes, std::strerror(errno)));
    }
    readEnds.push_back(ends[0]);
    process.idPipes.push_back(ends[1]);
  }
  std::fflush(nullptr);
  const pid_t parent = getpid();
  std::vector<Child> children;
  for (int i = 0; i < options.processes; ++i) {
    const pid_t pid = fork();
    if (pid < 0) {
      for (const Child& child : children) kill(child.pid, SIGKILL);
      throw Failure(kExitPeerFailed,
                    fmt::format("-p {}: fork: {}", options.processes, std::strerror(errno)));
    }
    if (pid == 0) {
      process.index = process.localIndex = i;
      becomeChild(parent, readEnds, process);
      return process;
    }
    children.push_back({pid, true});
  }
  for (const int fd : readEnds) close(fd);
  for (const int fd : process.idPipes) close(fd);
  supervise(std::move(children), options.ranksPerProcess());
}

// The library refuses ranks and sizes that are not the launcher's; it reads this at its first call.
void ignoreLauncher() { setenv("TUTTI_IGNORE_LAUNCHER", "1", 1); }

void writeId(const Process& process, const tuttiUniqueId& id) {
  signal(SIGPIPE, SIG_IGN);
  for (const int fd : process.idPipes) {
    // A process that is gone already is found by the bootstrap, which names it.
    if (write(fd, &id, sizeof(id)) < 0) fmt::print(stderr, "an early process is gone\n");
    close(fd);
  }
}

}  // namespace

Process startProcesses(const Options& options) {
  const tuttiLauncherInfo_t launcher = askLauncher();
  if (options.processes > 1 && launcher.size > 1) {
    throw Failure(kExitUsage,
                  fmt::format("-p {} inside a launch of {} processes by {}: use one of the two",
                              options.processes, launcher.size, launcher.launcher));
  }
  Process process;
  if (options.processes > 1) process = forkProcesses(options);
  if (launcher.size > 1) {
    process.index = launcher.rank;
    process.count = launcher.size;
    process.localIndex = launcher.localRank >= 0 ? launcher.localRank : 0;
    process.launcher = launcher;
  }
  if (launcher.size > 1 && options.ranksPerProcess() > 1)
    process.idHelper = startIdHelper(launcher);
  if (launcher.size <= 1 || options.ranksPerProcess() > 1) ignoreLauncher();
  return process;
}

tuttiUniqueId agreeOnId(const Process& process) {
  tuttiUniqueId id{};
  if (process.launcher.size > 1 && process.idHelper < 0) {
    check(tuttiGetLauncherUniqueId(&id, "perf"), "tuttiGetLauncherUniqueId");
    return id;
  }
  if (process.idPipe >= 0) {
    const ssize_t got = read(process.idPipe, &id, sizeof(id));
    close(process.idPipe);
    if (got != static_cast<ssize_t>(sizeof(id))) {
      throw Failure(kExitPeerFailed, "process 0 ended before it gave the communicator's id");
    }
    return id;
  }
  if (process.index == 0) check(tuttiGetUniqueId(&id), "tuttiGetUniqueId");
  if (process.idHelper >= 0)
    exchangeId(process.idHelper, process.launcher, id);
  else
    writeId(process, id);
  return id;
}

void pinThread(int localRank) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  int skip = localRank % CPU_COUNT(&allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || skip-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof(one), &one);
    return;
  }
}

}  // namespace tutti::perf
