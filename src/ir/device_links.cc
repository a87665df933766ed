#include "src/ir/device_links.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace tutti::ir {

std::string pciAddress(uint32_t domain, uint32_t bus, uint32_t device, uint32_t function) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", domain, bus, device, function);
}

void addLink(std::vector<DeviceLink>& links, const DeviceLink& link) {
  const auto same = std::find_if(links.begin(), links.end(), [&](const DeviceLink& other) {
    return other.from == link.from && other.to == link.to && other.end == link.end;
  });
  if (same == links.end()) {
    links.push_back(link);
    return;
  }
  same->count += link.count;
  same->rate = std::min(same->rate, link.rate);
  same->isAssumed = same->isAssumed || link.isAssumed;
}

int64_t countLinks(const std::vector<DeviceLink>& links) {
  return std::accumulate(links.begin(), links.end(), int64_t{0},
                         [](int64_t sum, const DeviceLink& link) { return sum + link.count; });
}

}  // namespace tutti::ir
