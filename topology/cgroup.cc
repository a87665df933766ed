#include "topology/cgroup.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <vector>

#include "src/base/fd.h"

namespace tutti::topology {

std::optional<std::string> readSmallFile(const std::string& path) {
  const base::UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.isOpen()) return std::nullopt;
  std::string text(16 * 1024, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read(file.get(), text.data() + size, text.size() - size);
    if (got < 0) return std::nullopt;
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  text.resize(size);
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::optional<uint64_t> parseNumber(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

namespace {

// One line of /proc/self/cgroup: "hierarchy:controllers:path" (cgroups(7)).
struct Membership {
  std::string controllers;  // empty: version 2
  std::string path;
};

std::vector<Membership> readMemberships(const std::string& root) {
  std::vector<Membership> found;
  std::istringstream lines(readSmallFile(root + "/proc/self/cgroup").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    found.push_back({line.substr(first + 1, second - first - 1), line.substr(second + 1)});
  }
  return found;
}

// The folders of `path` and its ancestors below `mount`. A path that leaves the mount ("/../x",
// seen from inside a cgroup namespace) counts as the mount itself.
std::vector<std::string> foldersUpwards(const std::string& mount, std::string path) {
  std::vector<std::string> folders;
  if (path.find("/..") != std::string::npos) path.clear();
  while (!path.empty() && path != "/") {
    folders.push_back(mount + path);
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
  folders.push_back(mount);
  return folders;
}

void tighten(double& limit, double value) {
  if (value > 0 && (limit == 0 || value < limit)) limit = value;
}

void tighten(uint64_t& limit, std::optional<uint64_t> value) {
  constexpr uint64_t kUnlimited = uint64_t{1} << 60;  // version 1 says "none" by a huge number
  if (value && *value < kUnlimited && (limit == 0 || *value < limit)) limit = *value;
}

bool hasController(const std::string& list, std::string_view name) {
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) {
    if (word == name) return true;
  }
  return false;
}

// Version 2: "cpu.max" holds "QUOTA PERIOD" or "max PERIOD", "memory.max" bytes or "max".
void readVersion2(const std::string& folder, CgroupLimits& limits) {
  if (const auto text = readSmallFile(folder + "/cpu.max")) {
    const auto quota = parseNumber(*text);
    const size_t blank = text->find(' ');
    const auto period =
        blank == std::string::npos ? std::nullopt : parseNumber(text->substr(blank + 1));
    if (quota && period && *period > 0) {
      tighten(limits.cpus, static_cast<double>(*quota) / static_cast<double>(*period));
    }
  }
  if (const auto text = readSmallFile(folder + "/memory.max")) {
    tighten(limits.memoryBytes, parseNumber(*text));
  }
}

void readVersion1Cpu(const std::string& folder, CgroupLimits& limits) {
  const auto quota = parseNumber(readSmallFile(folder + "/cpu.cfs_quota_us").value_or(""));
  const auto period = parseNumber(readSmallFile(folder + "/cpu.cfs_period_us").value_or(""));
  if (quota && period && *period > 0) {
    tighten(limits.cpus, static_cast<double>(*quota) / static_cast<double>(*period));
  }
}

}  // namespace

CgroupLimits readCgroupLimits(const std::string& root) {
  CgroupLimits limits;
  const std::string mounts = root + "/sys/fs/cgroup";
  for (const Membership& member : readMemberships(root)) {
    if (member.controllers.empty()) {
      for (const std::string& mount : {mounts, mounts + "/unified"}) {
        for (const auto& folder : foldersUpwards(mount, member.path)) readVersion2(folder, limits);
      }
    } else if (hasController(member.controllers, "cpu")) {
      const std::string mount = mounts + "/" + member.controllers;
      for (const auto& folder : foldersUpwards(mount, member.path)) readVersion1Cpu(folder, limits);
    } else if (hasController(member.controllers, "memory")) {
      for (const auto& folder : foldersUpwards(mounts + "/memory", member.path)) {
        tighten(limits.memoryBytes,
                parseNumber(readSmallFile(folder + "/memory.limit_in_bytes").value_or("")));
      }
    }
  }
  return limits;
}

}  // namespace tutti::topology
