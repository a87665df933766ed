#include "topology/device_links.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "topology/nccl_xml_tables.h"

namespace tutti::topology {
namespace {

class Adder {
 public:
  explicit Adder(Draft& draft) : draft_(draft) {
    for (size_t i = 0; i < parts().size(); ++i) {
      const Part& part = parts()[i];
      if (part.attachment != Attachment::kPci) continue;
      places_.emplace(part.address, static_cast<int32_t>(i));
    }
  }

  void setModel(const ir::DeviceModel& device) {
    const int32_t place = placeOf(device.address);
    if (place >= 0 && !device.model.empty()) part(place).model = device.model;
  }

  void add(const ir::DeviceLink& link) {
    const int32_t from = placeOf(link.from);
    if (from < 0) return leaveOut(link, link.from);
    const int32_t to = farEnd(link, from);
    if (to < 0) return leaveOut(link, link.to);
    Wire wire;
    wire.from = from;
    wire.to = to;
    wire.count = link.count;
    wire.rate = std::clamp<int64_t>(link.rate, 1, kMostCapacity);
    wire.kind = link.end == ir::LinkEnd::kHost ? LinkKind::kChip : LinkKind::kDevice;
    wire.provenance = link.isAssumed ? Provenance::kTable : Provenance::kDeclared;
    draft_.machine.wires.push_back(wire);
  }

 private:
  std::vector<Part>& parts() { return draft_.machine.parts; }
  Part& part(int32_t index) { return parts()[static_cast<size_t>(index)]; }

  int32_t placeOf(const std::string& address) const {
    const auto place = places_.find(address);
    return place == places_.end() ? -1 : place->second;
  }

  int32_t farEnd(const ir::DeviceLink& link, int32_t from) {
    if (link.end == ir::LinkEnd::kDevice) return placeOf(link.to);
    if (link.end == ir::LinkEnd::kSwitch) return switchOf(from);
    while (from >= 0 && part(from).kind != NodeKind::kHost) from = part(from).parent;
    return from;
  }

  int32_t switchOf(int32_t device) {
    const std::string host = part(device).host;
    const auto [at, isNew] = switches_.try_emplace(host, static_cast<int32_t>(parts().size()));
    if (!isNew) return at->second;
    Part found;
    found.kind = NodeKind::kSwitch;
    found.id = nccl::kSwitchId;
    found.host = host;
    found.vendor = part(device).vendor;
    parts().push_back(std::move(found));
    return at->second;
  }

  void leaveOut(const ir::DeviceLink& link, const std::string& end) {
    draft_.notes.push_back(
        fmt::format("{}: {} link{} to {} left out: nothing here has the PCI address {}", link.from,
                    link.count, link.count == 1 ? "" : "s", link.to.empty() ? "?" : link.to,
                    end.empty() ? "of their far end" : end));
  }

  Draft& draft_;
  std::map<std::string, int32_t> places_;    // parts by PCI address
  std::map<std::string, int32_t> switches_;  // parts by host
};

}  // namespace

void addDeviceLinks(Draft& draft, const ir::DeviceLinks& found) {
  Adder adder(draft);
  for (const ir::DeviceModel& device : found.devices) adder.setModel(device);
  for (const ir::DeviceLink& link : found.links) adder.add(link);
  draft.notes.insert(draft.notes.end(), found.notes.begin(), found.notes.end());
}

}  // namespace tutti::topology
