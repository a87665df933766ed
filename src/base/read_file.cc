#include "src/base/read_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "src/base/fd.h"

namespace tutti::base {

Result<std::string> readFile(const std::string& path, size_t mostBytes, std::string_view what) {
  const auto failed = [](std::string text) {
    return Status(Code::kSystemError, 0, std::move(text));
  };
  const auto cause = [] { return std::generic_category().message(errno); };
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.isOpen()) return failed(fmt::format("cannot be opened: {}", cause()));
  struct stat status;
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return failed(fmt::format("not a file: a {} file is wanted", what));
  }
  std::string text;
  std::array<char, 65536> part;
  while (text.size() <= mostBytes) {
    const ssize_t count = read(file.get(), part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed(fmt::format("cannot be read: {}", cause()));
    if (count == 0) return text;
    text.append(part.data(), static_cast<size_t>(count));
  }
  return failed(fmt::format("larger than {} MiB: not a {}", mostBytes >> 20, what));
}

}  // namespace tutti::base
