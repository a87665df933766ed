// An example of a backend. The folder's entry; other rooms reach it through the registry.
#pragma once

#include "src/device/registry.h"

namespace tutti::device::skeleton {

const Backend* backend();

// The devices, and the reason where there are none. In probe.cc.
std::vector<Description> probeDevices(std::string& reason);

}  // namespace tutti::device::skeleton
