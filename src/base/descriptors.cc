#include "src/base/descriptors.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "src/base/errors.h"
#include "src/base/host.h"

namespace tutti::base {
namespace {

// Two for the control thread, its parent and up to 32 children in the tree, one or two rendezvous,
// four while it dials, its segment and a peer's.
constexpr const char* kNeed =
    "a rank needs up to 45 beside the program's own, and the process that made the unique id one "
    "more for each rank";

size_t limit() {
  rlimit files;
  return getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : RLIM_INFINITY;
}

std::string limitText() {
  return fmt::format("process {} on host {} may open only {} files; raise that (ulimit -n {}): {}",
                     getpid(), hostName(), limit(), std::max<size_t>(4096, 2 * limit()), kNeed);
}

}  // namespace

bool isOutOfDescriptors(int error) { return error == EMFILE || error == ENFILE; }

std::string describeErrno(int error) {
  if (error == EMFILE) return fmt::format("{}: {}", std::strerror(error), limitText());
  if (error == ENFILE) {
    return fmt::format("{}: host {} has reached its limit (sysctl fs.file-max); {}",
                       std::strerror(error), hostName(), kNeed);
  }
  return std::strerror(error);
}

Status systemFailure(std::string_view what, int error) {
  return {Code::kSystemError, kErrSocket, fmt::format("{}: {}", what, describeErrno(error))};
}

Status checkDescriptors(size_t count, std::string_view what) {
  std::error_code error;
  size_t used = 0;
  std::filesystem::directory_iterator at("/proc/self/fd", error);
  for (; !error && at != end(at); at.increment(error)) ++used;
  if (error) return {};  // what really fails will tell
  --used;                // the directory's own
  if (used + count <= limit()) return {};
  return {Code::kSystemError, kErrSocket,
          fmt::format("{} needs {} file descriptors beside {} that are in use, but {}", what, count,
                      used, limitText())};
}

}  // namespace tutti::base
