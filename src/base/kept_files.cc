#include "src/base/kept_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/random.h"

namespace tutti::base {
namespace {

constexpr size_t kMostKeptBytes = size_t{64} << 20;

Status unusable(std::string text) {
  return {Code::kSystemError, kErrInvalidArgument, std::move(text)};
}

std::string errorText(int error) { return std::generic_category().message(error); }

// 0 or errno.
int writeAll(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(file, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    text.remove_prefix(static_cast<size_t>(count));
  }
  return 0;
}

std::string defaultDirectory() {
  const std::string cache = environmentVariable("XDG_CACHE_HOME").value_or("");
  if (cache.starts_with('/')) return cache + "/tutti";
  const std::string home = environmentVariable("HOME").value_or("");
  return home.starts_with('/') ? home + "/.cache/tutti" : "";
}

}  // namespace

std::string cacheDirectory() {
  const auto& config = processConfig();
  const std::string& given = config.get(param::kCacheDir);
  if (!config.isSet(param::kCacheDir)) return defaultDirectory();
  return given == "off" ? "" : given;
}

UniqueFd openDirectory(const std::string& path) {
  return UniqueFd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

UniqueFd makeDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  mkdir(path.c_str(), S_IRWXU);  // the descriptor says whether it is there
  return openDirectory(path);
}

// O_NONBLOCK: a pipe without a writer must not stop anyone.
Result<std::optional<std::string>> readKeptFile(int directory, const std::string& name) {
  const UniqueFd file(
      openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file.isOpen() && errno == ENOENT) return std::optional<std::string>();
  if (!file.isOpen() && errno == ELOOP) return unusable("it is a symbolic link");
  if (!file.isOpen()) return unusable(errorText(errno));
  struct stat status;
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return unusable("it is no file");
  if (status.st_uid != geteuid() && status.st_uid != 0) {
    return unusable(fmt::format("it belongs to another user ({})", status.st_uid));
  }
  std::string text;
  std::array<char, 65536> part;
  while (text.size() <= kMostKeptBytes) {
    const ssize_t count = read(file.get(), part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return unusable(errorText(errno));
    if (count == 0) return std::optional<std::string>(std::move(text));
    text.append(part.data(), static_cast<size_t>(count));
  }
  return unusable(fmt::format("it is larger than {} MiB", kMostKeptBytes >> 20));
}

int replaceKeptFile(int directory, const std::string& name, std::string_view text) {
  const std::string fresh = fmt::format(".{}.{:016x}", name, random64());
  UniqueFd file(
      openat(directory, fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file.isOpen()) return errno;
  int error = writeAll(file.get(), text);
  file.reset();
  if (error == 0 && renameat(directory, fresh.c_str(), directory, name.c_str()) != 0) error = errno;
  if (error != 0) unlinkat(directory, fresh.c_str(), 0);
  return error;
}

}  // namespace tutti::base
