// Xe Links, as Level Zero Sysman tells of them.
#pragma once

#include <string>

#include "src/device/link_probe.h"

namespace tutti::device::levelzero {

// The folder's entry for links; other rooms reach it through the registry.
const LinkProbe* linkProbe();

// What the probe does. `library` is the loader's soname, in tests a path; `root` as of
// hasPciDevice. `isSysmanEnabled`: ZES_ENABLE_SYSMAN=1 is in the environment, which old loaders
// want.
ir::DeviceLinks probeLinks(const std::string& library, const std::string& root,
                           bool isSysmanEnabled, std::string& reason);

}  // namespace tutti::device::levelzero
