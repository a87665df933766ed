#include "src/base/host.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include <fmt/format.h>

#include "src/base/config.h"
#include "src/base/fd.h"

namespace tutti::base {
namespace {

// The start of a small file, trailing white space removed; empty if it cannot be read.
std::string readSmallFile(const char* path) {
  const UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
  if (!fd.isOpen()) return {};
  char buffer[1024];
  const ssize_t got = read(fd.get(), buffer, sizeof buffer);
  std::string text(buffer, got > 0 ? static_cast<size_t>(got) : 0);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

uint64_t inodeOf(const char* path) {
  struct stat info;
  return stat(path, &info) == 0 ? static_cast<uint64_t>(info.st_ino) : 0;
}

// A number of /proc/PID/stat by its place, from 4 on; nothing if no such process lives.
std::optional<uint64_t> statField(pid_t pid, int wanted) {
  const std::string stat = readSmallFile(fmt::format("/proc/{}/stat", pid).c_str());
  // Field 2 is the program's name in parentheses and may itself hold spaces and parentheses.
  const size_t nameEnd = stat.rfind(')');
  if (nameEnd == std::string::npos || nameEnd + 2 >= stat.size()) return std::nullopt;
  size_t position = nameEnd + 2;
  if (stat[position] == 'Z' || stat[position] == 'X') return std::nullopt;
  for (int field = 3; field < wanted; ++field) {
    position = stat.find(' ', position);
    if (position == std::string::npos) return std::nullopt;
    ++position;
  }
  return std::strtoull(stat.c_str() + position, nullptr, 10);
}

}  // namespace

std::string hostName() {
  utsname name;
  if (uname(&name) != 0) return "unknown";
  const std::string_view full = name.nodename;
  return std::string(full.substr(0, full.find('.')));
}

std::string hostIdentity() {
  const std::string& given = processConfig().get(param::kHostId);
  return given.empty() ? realHostIdentity() : given;
}

std::string machineIdentity() {
  // The boot id comes first: containers made from one image share a machine id, and virtual
  // machines cloned from one disk do too, but no two running kernels share a boot id.
  std::string machine = readSmallFile("/proc/sys/kernel/random/boot_id");
  if (machine.empty()) machine = readSmallFile("/etc/machine-id");
  if (machine.empty()) machine = hostName();
  return machine;
}

std::string realHostIdentity() {
  return fmt::format("{}/{:x}", machineIdentity(), inodeOf("/proc/self/ns/net"));
}

uint64_t pidNamespace() { return inodeOf("/proc/self/ns/pid"); }

std::optional<uint64_t> processStartTime(pid_t pid) { return statField(pid, 22); }

std::optional<pid_t> parentProcess(pid_t pid) {
  const std::optional<uint64_t> parent = statField(pid, 4);
  if (!parent) return std::nullopt;
  return static_cast<pid_t>(*parent);
}

}  // namespace tutti::base
