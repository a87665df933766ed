#include "src/comm/process.h"

#include "src/device/registry.h"

namespace tutti::comm {

base::Result<UniqueId> createUniqueId() { return bootstrap::createUniqueId(); }
base::Result<UniqueId> createServedId() { return bootstrap::createServedId(); }

base::Result<LauncherInfo> detectLauncher() { return bootstrap::detectLauncher(); }

base::Result<UniqueId> launcherUniqueId(const LauncherInfo& info, std::string_view tag) {
  return bootstrap::launcherUniqueId(info, tag);
}

base::Result<std::shared_ptr<device::Device>> processDevice() {
  static auto* const opened = new base::Result<std::shared_ptr<device::Device>>(
      device::openDevice("host", device::builtinBackends()));
  return *opened;
}

}  // namespace tutti::comm
