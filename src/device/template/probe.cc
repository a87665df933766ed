#include <fmt/format.h>

#include "src/device/template/device.h"
#include "src/device/template/driver.h"

namespace tutti::device::skeleton {

std::vector<Description> probeDevices(std::string& reason) {
  const auto& opened = driver();
  if (!opened.isOk()) {
    reason = opened.status().text();
    return {};
  }
  int count = 0;
  if (const int error = opened->getDeviceCount(&count); error != 0 || count <= 0) {
    reason = fmt::format("the driver found no device (error {})", error);
    return {};
  }
  std::vector<Description> devices;
  for (int index = 0; index < count; ++index) {
    devices.push_back({.name = fmt::format("example:{}", index),
                       .model = "example",
                       .domain = "",  // a name that ranks share if they may map each other's memory
                       .index = index});
  }
  return devices;
}

}  // namespace tutti::device::skeleton
