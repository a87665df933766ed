#include "transports/ucx/devices.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <net/if.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "src/base/config.h"
#include "src/base/errors.h"

namespace tutti::transports::ucx {
namespace {

std::vector<std::string> namesIn(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

NetDevices listDevices() {
  NetDevices devices;
  if (struct if_nameindex* list = if_nameindex(); list != nullptr) {
    for (const auto* entry = list; entry->if_index != 0; ++entry) {
      devices.interfaces.emplace_back(entry->if_name);
    }
    if_freenameindex(list);
  }
  const std::filesystem::path root = "/sys/class/infiniband";
  for (const std::string& device : namesIn(root)) {
    for (const std::string& port : namesIn(root / device / "ports")) {
      devices.ports.emplace_back(device, std::atoi(port.c_str()));
    }
  }
  return devices;
}

base::Result<std::string> chooseDevices(const NetDevices& devices, std::string_view interfaces,
                                        std::string_view ports) {
  if (interfaces.empty() && ports.empty()) return std::string();
  std::vector<std::string> all, chosen;
  for (const std::string& name : devices.interfaces) {
    all.push_back(name);
    if (base::isNameChosen(interfaces, name)) chosen.push_back(all.back());
  }
  for (const auto& [name, port] : devices.ports) {
    all.push_back(fmt::format("{}:{}", name, port));
    if (base::isPortChosen(ports, name, port)) chosen.push_back(all.back());
  }
  if (!chosen.empty()) return fmt::format("{}", fmt::join(chosen, ","));
  return base::Status(
      base::Code::kSystemError, base::kErrNoInterface,
      fmt::format("TUTTI_SOCKET_IFNAME=\"{}\" and TUTTI_IB_HCA=\"{}\" leave UCX none of {}",
                  interfaces, ports, fmt::join(all, ", ")));
}

}  // namespace tutti::transports::ucx
