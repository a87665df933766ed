// What belongs to the process rather than to a communicator: its launcher, unique ids, settings,
// and the device that serves tuttiMemAlloc before any communicator exists.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "src/base/config.h"
#include "src/base/status.h"
#include "src/bootstrap/control_plane.h"
#include "src/bootstrap/launcher.h"
#include "src/device/device.h"

namespace tutti::comm {

using LauncherInfo = bootstrap::LauncherInfo;
using UniqueId = bootstrap::UniqueId;

base::Result<UniqueId> createUniqueId();
base::Result<UniqueId> createServedId();
base::Result<LauncherInfo> detectLauncher();
base::Result<UniqueId> launcherUniqueId(const LauncherInfo& info, std::string_view tag);

// What nothing below this room can know to be wrong with a setting: TUTTI_ALGO names an algorithm
// of no collective. Empty: nothing.
std::string wrongSetting(const base::Config& config);

// Logs that, once a process.
void warnOfSettings();

// The process's default device, opened on first use and kept.
base::Result<std::shared_ptr<device::Device>> processDevice();

}  // namespace tutti::comm
