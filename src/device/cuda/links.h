// NVLinks, as NVML tells of them.
#pragma once

#include <string>

#include "src/device/link_probe.h"

namespace tutti::device::cuda {

// The folder's entry for links; other rooms reach it through the registry.
const LinkProbe* linkProbe();

// What the probe does. `library` is NVML's soname, in tests a path; `root` as of hasPciDevice.
ir::DeviceLinks probeLinks(const std::string& library, const std::string& root,
                           std::string& reason);

}  // namespace tutti::device::cuda
