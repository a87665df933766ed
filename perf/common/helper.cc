#include "perf/common/helper.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "perf/common/failure.h"

namespace tutti::perf {
namespace {

template <typename Value>
bool sendValue(int socket, const Value& value) {
  return send(socket, &value, sizeof(value), MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(value));
}

template <typename Value>
bool receiveValue(int socket, Value& value) {
  return recv(socket, &value, sizeof(value), MSG_WAITALL) == static_cast<ssize_t>(sizeof(value));
}

// Runs body(socket) in a forked process, which exits 0 or with a Failure's code. Returns our end.
template <typename Body>
int startHelper(Body body) {
  int ends[2];
  std::fflush(nullptr);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw Failure(kExitPeerFailed, fmt::format("socketpair: {}", std::strerror(errno)));
  }
  const pid_t child = fork();
  if (child < 0) throw Failure(kExitPeerFailed, fmt::format("fork: {}", std::strerror(errno)));
  if (child > 0) {
    close(ends[1]);
    return ends[0];
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  close(ends[0]);
  int code = kExitOk;
  try {
    body(ends[1]);
  } catch (const Failure& failure) {
    fmt::print(stderr, "{}\n", failure.what());
    code = failure.exitCode();
  }
  _exit(code);
}

// Ends the conversation; a helper that gave no answer has said why.
void finishHelper(int socket, bool hasAnswer, const char* failure) {
  int status = 0;
  close(socket);
  wait(&status);
  if (hasAnswer) return;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : static_cast<int>(kExitPeerFailed);
  throw Failure(static_cast<ExitCode>(code == kExitOk ? static_cast<int>(kExitPeerFailed) : code),
                failure);
}

struct LauncherAnswer {
  tuttiLauncherInfo_t info;
  char name[32];
};

}  // namespace

tuttiLauncherInfo_t askLauncher() {
  const int helper = startHelper([](int socket) {
    LauncherAnswer answer{};
    if (tuttiGetLauncherInfo(&answer.info) != tuttiSuccess) {
      throw Failure(kExitUsage, tuttiGetLastError(nullptr));
    }
    std::strncpy(answer.name, answer.info.launcher, sizeof(answer.name) - 1);
    sendValue(socket, answer);
  });
  static LauncherAnswer answer{};
  finishHelper(helper, receiveValue(helper, answer), "cannot tell who launched this process");
  answer.info.launcher = answer.name;
  return answer.info;
}

int startIdHelper(const tuttiLauncherInfo_t& launcher) {
  return startHelper([&](int socket) {
    tuttiUniqueId id{};
    tuttiUniqueId launch{};
    tuttiComm_t comm = nullptr;
    check(tuttiGetLauncherUniqueId(&launch, "perf"), "tuttiGetLauncherUniqueId");
    check(tuttiCommInitRank(&comm, launcher.size, launch, launcher.rank), "tuttiCommInitRank");
    if (launcher.rank == 0 && !receiveValue(socket, id)) {
      throw Failure(kExitPeerFailed, "process 0 made no id");
    }
    check(tuttiBcast(id.internal, sizeof(id.internal), tuttiUint8, 0, comm, nullptr), "tuttiBcast",
          comm);
    sendValue(socket, id);
    check(tuttiCommDestroy(comm), "tuttiCommDestroy");
  });
}

void exchangeId(int helper, const tuttiLauncherInfo_t& launcher, tuttiUniqueId& id) {
  if (launcher.rank == 0) sendValue(helper, id);
  finishHelper(helper, receiveValue(helper, id),
               "the processes of this launch did not come together");
}

}  // namespace tutti::perf
