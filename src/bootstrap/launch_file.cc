#include "src/bootstrap/launch_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <thread>
#include <tuple>

#include <fmt/format.h>

#include "src/base/clock.h"
#include "src/base/config.h"
#include "src/base/descriptors.h"
#include "src/base/errors.h"
#include "src/base/fd.h"
#include "src/base/host.h"
#include "src/base/random.h"
#include "src/base/secure.h"
#include "src/bootstrap/wire.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;

namespace {

constexpr size_t kFileBytes = kUniqueIdBytes + 3 * 8;
constexpr size_t kNameLength = 32;
// Nobody takes this long to write a file.
constexpr std::chrono::minutes kUnfinished{1};

Status fileFailure(const std::string& what) {
  return {Code::kSystemError, base::kErrLaunchFile,
          fmt::format("{}; set TUTTI_ADDR=host:port instead", what)};
}

struct Content {
  UniqueId id;
  uint64_t pid = 0;
  uint64_t startTime = 0;
  uint64_t pidNamespace = 0;

  // Whether the writer is known to be gone.
  bool isStale() const {
    return pidNamespace == base::pidNamespace() &&
           base::processStartTime(static_cast<pid_t>(pid)) != startTime;
  }
};

std::optional<Content> readContent(const std::string& path) {
  const base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  char bytes[kFileBytes];
  if (!fd.isOpen() || read(fd.get(), bytes, sizeof bytes) != sizeof bytes) return std::nullopt;
  WireReader in({bytes, sizeof bytes});
  Content content;
  const std::string_view id = in.raw(kUniqueIdBytes);
  std::memcpy(content.id.bytes.data(), id.data(), id.size());
  content.pid = in.u64();
  content.startTime = in.u64();
  content.pidNamespace = in.u64();
  return content;
}

bool isLaunchFileName(std::string_view name) {
  return name.find_first_not_of("0123456789abcdef.") == std::string_view::npos &&
         std::min(name.find('.'), name.size()) == kNameLength;
}

std::string temporaryName(const std::string& path) {
  return fmt::format("{}.{:x}", path, base::random64());
}

// Removes a file whose content is bad. Somebody may replace it at any moment: so it is taken aside,
// looked at there, and put back unless it has been replaced again.
template <typename IsBad>
void removeIf(const std::string& path, const IsBad& isBad) {
  const std::optional<Content> seen = readContent(path);
  if (!seen || !isBad(*seen)) return;
  const std::string aside = temporaryName(path);
  if (rename(path.c_str(), aside.c_str()) != 0) return;
  const std::optional<Content> taken = readContent(aside);
  if (taken && !isBad(*taken)) std::ignore = link(aside.c_str(), path.c_str());
  unlink(aside.c_str());
}

}  // namespace

std::string launchFileName(std::initializer_list<std::string_view> parts) {
  const base::Key hash = base::plainHash(parts);
  std::string name;
  for (size_t i = 0; i < kNameLength / 2; ++i) {
    name += fmt::format("{:02x}", static_cast<unsigned>(hash[i]));
  }
  return name;
}

base::Result<std::string> launchDirectory() {
  const std::string runtime = base::environmentVariable("XDG_RUNTIME_DIR").value_or("");
  struct stat info;
  const bool hasRuntime = !runtime.empty() && stat(runtime.c_str(), &info) == 0 &&
                          S_ISDIR(info.st_mode) && info.st_uid == geteuid();
  const std::string path =
      hasRuntime ? runtime + "/tutti" : fmt::format("/tmp/tutti-{}", geteuid());
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return fileFailure(fmt::format("cannot make {}: {}", path, std::strerror(errno)));
  }
  // Whoever could look into it would learn the secret; whoever owns it could replace it.
  const bool isPrivate = lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) &&
                         info.st_uid == geteuid() && (info.st_mode & 077) == 0;
  if (!isPrivate) {
    return fileFailure(fmt::format("{} is not a directory that only this user can enter", path));
  }
  return path;
}

Status writeLaunchFile(const std::string& path, const UniqueId& id) {
  WireWriter out;
  out.raw(base::asText(id.bytes));
  out.u64(static_cast<uint64_t>(getpid()));
  out.u64(base::processStartTime(getpid()).value_or(0));
  out.u64(base::pidNamespace());
  const std::string bytes = out.take();
  const std::string temporary = temporaryName(path);
  const base::UniqueFd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  const bool isWritten = fd.isOpen() && write(fd.get(), bytes.data(), bytes.size()) ==
                                            static_cast<ssize_t>(bytes.size());
  if (isWritten && rename(temporary.c_str(), path.c_str()) == 0) return {};
  const int error = errno;
  unlink(temporary.c_str());
  if (base::isOutOfDescriptors(error)) return base::systemFailure("cannot write " + path, error);
  return fileFailure(fmt::format("cannot write {}: {}", path, std::strerror(error)));
}

void removeLaunchFile(const std::string& path, const UniqueId& id) {
  removeIf(path, [&](const Content& content) { return content.id == id; });
}

void sweepLaunchDirectory(const std::string& directory) {
  namespace fs = std::filesystem;
  std::error_code error;  // nobody to tell: what stays does no harm
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const std::string path = at->path();
    if (!isLaunchFileName(at->path().filename().string())) continue;
    std::error_code gone;
    const auto age = fs::file_time_type::clock::now() - at->last_write_time(gone);
    if (readContent(path)) {
      removeIf(path, [](const Content& content) { return content.isStale(); });
    } else if (!gone && age > kUnfinished) {
      unlink(path.c_str());
    }
  }
}

base::Result<UniqueId> awaitLaunchFile(const std::string& path, std::chrono::milliseconds timeout,
                                       std::string_view hint) {
  const int64_t start = base::nowMs();
  std::chrono::milliseconds pause(1);
  while (true) {
    errno = 0;
    const std::optional<Content> content = readContent(path);
    if (content && !content->isStale()) return content->id;
    if (base::isOutOfDescriptors(errno)) return base::systemFailure("cannot read " + path, errno);
    if (timeout.count() != 0 && base::nowMs() - start > timeout.count()) break;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(20));
  }
  return Status(
      Code::kTimeout, base::kErrJoinTimeout,
      fmt::format("rank 0 has not written {} after {:.3g} s; look whether it runs on this "
                  "host and {}, or set TUTTI_ADDR=host:port",
                  path, static_cast<double>(timeout.count()) / 1000.0, hint));
}

}  // namespace tutti::bootstrap
