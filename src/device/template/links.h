// An example of a link probe. The folder's entry for links; others reach it through the registry.
#pragma once

#include <string>

#include "src/device/link_probe.h"

namespace tutti::device::skeleton {

const LinkProbe* linkProbe();

// What the probe does. `library` is the soname, in tests a path to a fake (tests/fakes); `root`
// stands for / where a recorded copy of /sys is read.
ir::DeviceLinks probeLinks(const std::string& library, const std::string& root,
                           std::string& reason);

}  // namespace tutti::device::skeleton
