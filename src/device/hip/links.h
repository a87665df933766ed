// xGMI links, as ROCm SMI tells of them.
#pragma once

#include <span>
#include <string>

#include "src/device/link_probe.h"

namespace tutti::device::hip {

// The folder's entry for links; other rooms reach it through the registry.
const LinkProbe* linkProbe();

// What the probe does. `libraries` are ROCm SMI's sonames, in tests a path, the first that opens is
// taken; `root` stands for / where a recorded copy of /sys is read.
ir::DeviceLinks probeLinks(std::span<const std::string> libraries, const std::string& root,
                           std::string& reason);

}  // namespace tutti::device::hip
