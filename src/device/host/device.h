// Host memory as a device. The folder's entry; other rooms reach it through the registry.
#pragma once

#include "src/device/registry.h"

namespace tutti::device::host {

// One device, "host". Once opened it lives as long as the process: the memory that it gave to the
// program does, and threads may still be in it while the process exits.
const Backend* backend();

// What the device is; a millisecond.
Description describeHost();

}  // namespace tutti::device::host
