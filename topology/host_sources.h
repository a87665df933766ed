// The two ways to fill in a HostInfo. Private to this folder and its tests.
#pragma once

#include <sched.h>

#include <string>
#include <vector>

#include "topology/host.h"

namespace tutti::topology {

// The hardware threads that the calling thread may run on, ascending; never empty.
std::vector<int> allowedPus();

// Packages, nodes, cores, threads and caches from `root`/sys, for the given hardware threads.
void readHostFromSysfs(const std::vector<int>& allowed, HostInfo& info,
                       const std::string& root = {});

// The same from hwloc; false, and `info` is as before, if hwloc cannot tell. Only where the build
// found hwloc.
bool readHostFromHwloc(HostInfo& info);

}  // namespace tutti::topology
