#include "src/device/link_probe.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

namespace tutti::device {

namespace {

std::string firstWord(const std::filesystem::path& file) {
  std::ifstream stream(file);
  std::string word;
  stream >> word;
  return word;
}

}  // namespace

ir::DeviceLinks findDeviceLinks(std::span<const LinkProbe* const> probes) {
  ir::DeviceLinks all;
  for (const LinkProbe* probe : probes) {
    std::string reason;
    const ir::DeviceLinks found = probe->probe(reason);
    all.devices.insert(all.devices.end(), found.devices.begin(), found.devices.end());
    all.links.insert(all.links.end(), found.links.begin(), found.links.end());
    for (const std::string& note : found.notes) {
      all.notes.push_back(fmt::format("{}: {}", probe->name(), note));
    }
  }
  return all;
}

bool hasPciDevice(std::string_view vendor, const std::string& root) {
  std::error_code error;
  std::filesystem::directory_iterator device(root + "/sys/bus/pci/devices", error);
  for (; !error && device != end(device); device.increment(error)) {
    const std::string type = firstWord(device->path() / "class");
    const bool isDevice = type.starts_with("0x03") || type.starts_with("0x12");
    if (isDevice && firstWord(device->path() / "vendor") == vendor) return true;
  }
  return false;
}

}  // namespace tutti::device
