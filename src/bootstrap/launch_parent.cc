#include "src/bootstrap/launch_parent.h"

#include <unistd.h>

#include <fstream>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/host.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;

namespace {

constexpr pid_t kInit = 1;

std::ifstream openOf(pid_t pid, const char* name) {
  return std::ifstream(fmt::format("/proc/{}/{}", pid, name), std::ios::binary);
}

bool isOfThisUser(pid_t pid) {
  std::ifstream file = openOf(pid, "status");
  for (std::string word; file >> word;) {
    uid_t user = 0;
    if (word == "Uid:" && file >> user) return user == getuid();
  }
  return false;
}

Status unnamed(const std::string& why) {
  return {
      Code::kInvalidUsage, base::kErrNoLaunchAddress,
      fmt::format("nothing tells this launch from others: {}; set TUTTI_JOB_ID to the same text on "
                  "all ranks of one host, or TUTTI_ADDR=host:port (a host name of rank 0 and a "
                  "free port) and TUTTI_SECRET on all ranks",
                  why)};
}

}  // namespace

base::Result<pid_t> launchParent(const std::function<bool(const Lookup&)>& isWrapper) {
  pid_t below = getpid();
  for (pid_t pid = getppid(); pid > 0; pid = base::parentProcess(pid).value_or(0)) {
    below = pid;
    const auto variables = base::environmentOf(pid);
    // A launcher may be another user's, as a batch system's daemon is; and init is nobody's
    // wrapper.
    if (!variables && pid != kInit && isOfThisUser(pid)) {
      return unnamed(fmt::format("the environment of {} is hidden", describeProcess(pid)));
    }
    const Lookup lookup = [&](const char* name) -> std::optional<std::string> {
      const auto found = variables->find(name);
      if (found == variables->end()) return std::nullopt;
      return found->second;
    };
    if (!variables || !isWrapper(lookup)) return pid;
  }
  if (below == kInit) return unnamed("this rank has a container (a pid namespace) of its own");
  return 0;
}

std::string describeProcess(pid_t pid) {
  std::string name;
  std::ifstream file = openOf(pid, "comm");
  std::getline(file, name);
  return name.empty() ? fmt::format("process {}", pid) : fmt::format("process {} ({})", pid, name);
}

}  // namespace tutti::bootstrap
