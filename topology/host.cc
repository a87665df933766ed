#include "topology/host.h"

#include <sched.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "src/base/hash.h"
#include "topology/cgroup.h"
#include "topology/host_sources.h"

namespace tutti::topology {

namespace {

uint64_t physicalMemory() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long pageSize = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || pageSize <= 0) return 0;
  return static_cast<uint64_t>(pages) * static_cast<uint64_t>(pageSize);
}

void readSharedMemorySize(HostInfo& info) {
  struct statvfs file;
  if (statvfs("/dev/shm", &file) != 0) return;
  info.shmBytes = uint64_t{file.f_frsize} * file.f_blocks;
  info.shmFreeBytes = uint64_t{file.f_frsize} * file.f_bavail;
}

}  // namespace

std::vector<int> allowedPus() {
  // The mask must be as large as the kernel's own (sched_setaffinity(2)): grow until it fits.
  for (int count = 1024; count <= 1024 * 1024; count *= 4) {
    cpu_set_t* set = CPU_ALLOC(static_cast<size_t>(count));
    const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(count));
    std::vector<int> found;
    if (set != nullptr && sched_getaffinity(0, bytes, set) == 0) {
      for (int pu = 0; pu < count; ++pu) {
        if (CPU_ISSET_S(static_cast<size_t>(pu), bytes, set)) found.push_back(pu);
      }
    }
    CPU_FREE(set);
    if (!found.empty()) return found;
  }
  std::vector<int> all(static_cast<size_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN))));
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i);
  return all;
}

int usableCores() {
  const int allowed = static_cast<int>(allowedPus().size());
  const CgroupLimits limits = readCgroupLimits();
  if (limits.cpus <= 0 || limits.cpus >= allowed) return allowed;
  return std::max(1, static_cast<int>(std::ceil(limits.cpus)));
}

bool hasCoreQuota() { return usableCores() < static_cast<int>(allowedPus().size()); }

uint64_t coreSetDigest() {
  uint64_t hash = base::kHashSeed;
  for (const int pu : allowedPus()) hash = base::hash64(static_cast<uint64_t>(pu), hash);
  return hash;
}

uint64_t usableMemory() {
  const uint64_t physical = physicalMemory();
  const uint64_t limit = readCgroupLimits().memoryBytes;
  if (physical == 0) return limit;
  return limit == 0 ? physical : std::min(physical, limit);
}

std::string cpuModel() {
  const std::string text = readSmallFile("/proc/cpuinfo").value_or("");
  for (const std::string_view key : {"\nmodel name", "\ncpu model", "\ncpu\t", "\nModel"}) {
    const size_t line = text.find(key);
    const size_t colon = line == std::string::npos ? line : text.find(':', line);
    if (colon == std::string::npos) continue;
    const size_t start = text.find_first_not_of(" \t", colon + 1);
    const size_t end = text.find('\n', colon);
    if (start != std::string::npos && start < end) return text.substr(start, end - start);
  }
  utsname kernel;
  return uname(&kernel) == 0 ? std::string(kernel.machine) + " processor" : "unknown processor";
}

HostInfo discoverHost() {
  HostInfo info;
  info.cpuModel = cpuModel();
#ifdef TUTTI_HAVE_HWLOC
  const bool isComplete = readHostFromHwloc(info);
#else
  const bool isComplete = false;
#endif
  if (!isComplete) readHostFromSysfs(allowedPus(), info);
  info.usableCores = usableCores();
  info.memoryBytes = usableMemory();
  readSharedMemorySize(info);
  return info;
}

}  // namespace tutti::topology
