#include <hwloc.h>

#include <algorithm>
#include <memory>

#include "topology/host_sources.h"

namespace tutti::topology {

namespace {

using HwlocTopology = std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)>;
using Bitmap = std::unique_ptr<hwloc_bitmap_s, decltype(&hwloc_bitmap_free)>;

HwlocTopology loadHwlocTopology() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return {nullptr, &hwloc_topology_destroy};
  HwlocTopology topology(raw, &hwloc_topology_destroy);
  // No devices are looked for here: vendors' plugins would start their runtimes.
  hwloc_topology_set_io_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_NONE);
  if (hwloc_topology_load(raw) != 0) topology.reset();
  return topology;
}

// How many objects of a type contain a hardware thread of `allowed`.
int countAllowed(hwloc_topology_t topology, hwloc_obj_type_t type, hwloc_const_bitmap_t allowed) {
  int count = 0;
  hwloc_obj_t object = nullptr;
  while ((object = hwloc_get_next_obj_by_type(topology, type, object)) != nullptr) {
    if (object->cpuset != nullptr && hwloc_bitmap_intersects(object->cpuset, allowed)) ++count;
  }
  return count;
}

uint64_t cacheSize(hwloc_topology_t topology, hwloc_obj_type_t type) {
  const hwloc_obj_t object = hwloc_get_obj_by_type(topology, type, 0);
  return object == nullptr || object->attr == nullptr ? 0 : object->attr->cache.size;
}

}  // namespace

bool readHostFromHwloc(HostInfo& info) {
  const HwlocTopology topology = loadHwlocTopology();
  if (!topology) return false;
  const Bitmap allowed(hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology.get())),
                       &hwloc_bitmap_free);
  const Bitmap bound(hwloc_bitmap_alloc(), &hwloc_bitmap_free);
  if (!allowed || !bound) return false;
  if (hwloc_get_cpubind(topology.get(), bound.get(), HWLOC_CPUBIND_THREAD) == 0) {
    hwloc_bitmap_and(allowed.get(), allowed.get(), bound.get());
  }
  const int pus = countAllowed(topology.get(), HWLOC_OBJ_PU, allowed.get());
  if (pus <= 0) return false;
  const auto count = [&](hwloc_obj_type_t type) {
    return countAllowed(topology.get(), type, allowed.get());
  };
  info.pus = pus;
  info.packages = std::max(1, count(HWLOC_OBJ_PACKAGE));
  info.numaNodes = std::max(1, count(HWLOC_OBJ_NUMANODE));
  info.cores = std::max(1, count(HWLOC_OBJ_CORE));
  info.l2Count = count(HWLOC_OBJ_L2CACHE);
  info.l3Count = count(HWLOC_OBJ_L3CACHE);
  info.l2Bytes = cacheSize(topology.get(), HWLOC_OBJ_L2CACHE);
  info.l3Bytes = cacheSize(topology.get(), HWLOC_OBJ_L3CACHE);
  info.source = "hwloc";
  return true;
}

}  // namespace tutti::topology
