#include <hwloc.h>

#include <memory>

#include "src/base/errors.h"
#include "topology/discover_sources.h"
#include "topology/hwloc_xml.h"

namespace tutti::topology {

namespace {

using Owner = std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)>;

base::Status hwlocFailure(const char* what) {
  return {base::Code::kSystemError, base::kErrTopology, std::string("hwloc: ") + what};
}

}  // namespace

// By way of hwloc's XML, so that a file and the machine that it was written on are read alike.
base::Result<Draft> readMachineFromHwloc() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return hwlocFailure("no topology");
  const Owner topology(raw, &hwloc_topology_destroy);
  // No OS devices: for them hwloc's components would start vendors' runtimes. Their names are in
  // sysfs, too.
  hwloc_topology_set_io_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
  hwloc_topology_set_type_filter(raw, HWLOC_OBJ_OS_DEVICE, HWLOC_TYPE_FILTER_KEEP_NONE);
  for (const hwloc_obj_type_t type : {HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE, HWLOC_OBJ_CORE}) {
    hwloc_topology_set_type_filter(raw, type, HWLOC_TYPE_FILTER_KEEP_NONE);
  }
  hwloc_topology_set_flags(raw, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  // Without its plugin for PCI hwloc reads sysfs, which shows the same on every machine and does
  // not leak what libpciaccess does. A failure means that there is no such plugin.
  (void)hwloc_topology_set_components(raw, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "pci");
  if (hwloc_topology_load(raw) != 0) return hwlocFailure("the machine could not be looked at");
  char* text = nullptr;
  int length = 0;
  if (hwloc_topology_export_xmlbuffer(raw, &text, &length, 0) != 0) return hwlocFailure("no XML");
  const std::string copy(text);  // `length` counts the zero at its end
  hwloc_free_xmlbuffer(raw, text);
  TUTTI_ASSIGN_OR_RETURN(const XmlElement root, parseXml(copy, "hwloc"));
  return readHwlocXml(root, {});
}

}  // namespace tutti::topology
