// What the machine under this process is: processors, caches, memory, and how much of them the
// process may use.
#pragma once

#include <cstdint>
#include <string>

namespace tutti::topology {

// A value. Counts are of what this process may use (its CPU affinity), sizes are in bytes; a figure
// that could not be found is 0.
struct HostInfo {
  std::string cpuModel;
  int packages = 0;   // sockets
  int numaNodes = 0;  // with memory
  int cores = 0;      // physical
  int pus = 0;        // hardware threads
  int usableCores = 0;
  uint64_t l2Bytes = 0;  // of one cache, and how many there are
  int l2Count = 0;
  uint64_t l3Bytes = 0;
  int l3Count = 0;
  uint64_t memoryBytes = 0;
  uint64_t shmBytes = 0;  // of /dev/shm
  uint64_t shmFreeBytes = 0;
  std::string source;  // "hwloc" or "sysfs"
};

// Everything. Takes 10 ms and more on a large machine; callers keep the result.
HostInfo discoverHost();

// The fast path, some tens of microseconds each, for use at init.

// Hardware threads that may run at once: the smaller of the CPU affinity and the cgroups' CPU quota
// rounded up. At least 1.
int usableCores();

// Is that a quota's doing? Such cores are this process's part, whoever else may run on the same.
bool hasCoreQuota();

// Which hardware threads the calling thread may run on, as a number: equal on one host where the
// sets are equal, almost surely different where they differ.
uint64_t coreSetDigest();

// The smaller of the machine's memory and the cgroups' limits.
uint64_t usableMemory();

// As the kernel calls the processor; the architecture's name where it does not say.
std::string cpuModel();

}  // namespace tutti::topology
