#include "transports/net_plugin/devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

namespace tutti::transports::net_plugin {
namespace {

// "mlx5_0" or "mlx5_0:1".
bool isMeant(std::string_view word, const Device& device, bool isWhole) {
  if (const size_t colon = word.rfind(':'); colon != std::string_view::npos) {
    int port = 0;
    std::from_chars(word.data() + colon + 1, word.data() + word.size(), port);
    if (port != device.port) return false;
    word = word.substr(0, colon);
  }
  return isWhole ? device.name == word : device.name.starts_with(word);
}

bool isWanted(std::string_view list, const Device& device) {
  const bool isInverted = list.starts_with('^');
  if (isInverted) list.remove_prefix(1);
  const bool isWhole = list.starts_with('=');
  if (isWhole) list.remove_prefix(1);
  bool isListed = false;
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string_view word = list.substr(begin, end - begin);
    isListed |= !word.empty() && isMeant(word, device, isWhole);
    begin = end + 1;
  }
  return isListed != isInverted;
}

}  // namespace

std::string obstacle(const Device& device, size_t bytes) {
  if (!device.takesHostMemory) return fmt::format("{} takes no host memory", device.name);
  if (device.needsKernels) return fmt::format("{} needs kernels of its own", device.name);
  if (device.mostBytes < bytes) {
    return fmt::format("{} takes messages of at most {} bytes, and {} are needed", device.name,
                       device.mostBytes, bytes);
  }
  return {};
}

const Device* choose(std::span<const Device> devices, std::string_view wanted, int rank) {
  std::vector<const Device*> allowed;
  for (const Device& device : devices) {
    if (!wanted.empty() && isWanted(wanted, device)) allowed.push_back(&device);
  }
  if (allowed.empty()) {
    for (const Device& device : devices) allowed.push_back(&device);
  }
  if (allowed.empty()) return nullptr;
  const auto bySpeed = [](const Device* a, const Device* b) { return a->speed < b->speed; };
  const int fastest = (*std::max_element(allowed.begin(), allowed.end(), bySpeed))->speed;
  std::erase_if(allowed, [fastest](const Device* each) { return each->speed < fastest; });
  return allowed[static_cast<size_t>(rank) % allowed.size()];
}

std::string namesOf(std::span<const Device> devices) {
  constexpr size_t kMost = 8;
  std::string text;
  for (size_t i = 0; i < std::min(devices.size(), kMost); ++i) {
    text += fmt::format("{}{} {:g} Gb/s", i == 0 ? "" : ", ", devices[i].name,
                        static_cast<double>(devices[i].speed) / 1000);
  }
  if (devices.size() > kMost) text += fmt::format(" and {} more", devices.size() - kMost);
  return text;
}

}  // namespace tutti::transports::net_plugin
