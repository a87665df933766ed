// The kernel's own description, below /sys/devices/system
// (Documentation/ABI/stable/sysfs-devices-system-cpu and sysfs-devices-node).
#include <algorithm>
#include <filesystem>
#include <set>

#include "topology/cgroup.h"
#include "topology/host_sources.h"

namespace tutti::topology {

namespace {

// "2048K" -> bytes.
uint64_t parseSize(const std::string& text) {
  const uint64_t number = parseNumber(text).value_or(0);
  const char unit = text.empty() ? ' ' : text.back();
  return unit == 'K' ? number << 10 : unit == 'M' ? number << 20 : number;
}

// The caches of one hardware thread; `l2` and `l3` collect who shares each of them.
void readCaches(const std::string& cpu, HostInfo& info, std::set<std::string>& l2,
                std::set<std::string>& l3) {
  for (int index = 0; index < 8; ++index) {
    const std::string cache = cpu + "/cache/index" + std::to_string(index);
    const auto level = readSmallFile(cache + "/level");
    if (!level) return;
    const std::string sharers = readSmallFile(cache + "/shared_cpu_list").value_or("");
    if (*level == "2") {
      info.l2Bytes = parseSize(readSmallFile(cache + "/size").value_or(""));
      l2.insert(sharers);
    } else if (*level == "3") {
      info.l3Bytes = parseSize(readSmallFile(cache + "/size").value_or(""));
      l3.insert(sharers);
    }
  }
}

int countNodes(const std::string& folder) {
  std::error_code error;
  int nodes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("node") && parseNumber(name.substr(4))) ++nodes;
  }
  return nodes;
}

}  // namespace

void readHostFromSysfs(const std::vector<int>& allowed, HostInfo& info, const std::string& root) {
  const std::string system = root + "/sys/devices/system";
  std::set<std::string> packages, cores, l2, l3;
  for (const int pu : allowed) {
    const std::string cpu = system + "/cpu/cpu" + std::to_string(pu);
    const auto number = std::to_string(pu);
    packages.insert(readSmallFile(cpu + "/topology/physical_package_id").value_or("0"));
    cores.insert(readSmallFile(cpu + "/topology/thread_siblings_list").value_or(number));
    readCaches(cpu, info, l2, l3);
  }
  info.packages = static_cast<int>(packages.size());
  info.cores = static_cast<int>(cores.size());
  info.pus = static_cast<int>(allowed.size());
  info.l2Count = static_cast<int>(l2.size());
  info.l3Count = static_cast<int>(l3.size());
  info.numaNodes = std::max(1, countNodes(system + "/node"));
  info.source = "sysfs";
}

}  // namespace tutti::topology
