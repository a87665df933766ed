// Where a machine's description comes from. Private to discover*.cc and tests.
#pragma once

#include <string>

#include "src/base/status.h"
#include "topology/machine.h"

namespace tutti::topology {

// NUMA nodes and the PCI tree from `root`/sys and `root`/proc/cpuinfo.
Draft readMachineFromSysfs(const std::string& root);

// The same from hwloc; its devices are without names and rates. Fails if hwloc cannot tell. Only
// where the build found hwloc.
base::Result<Draft> readMachineFromHwloc();

// Completes the PCI functions of a description from sysfs: links, names and rates of NICs, what
// can render. NICs without driver or carrier, and virtual functions, are marked as not used.
void describeFunctions(Draft& draft, const std::string& root);

}  // namespace tutti::topology
