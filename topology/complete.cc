#include "topology/complete.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace tutti::topology {
namespace {

class Completion {
 public:
  Completion(Draft& file, const Machine& found) : file_(file), found_(found) {}

  void run() {
    std::map<std::string, int32_t> places;
    for (size_t i = 0; i < parts().size(); ++i) {
      const Part& part = parts()[i];
      isParent_.push_back(false);
      if (part.parent >= 0) isParent_[static_cast<size_t>(part.parent)] = true;
      if (part.attachment == Attachment::kPci)
        places.emplace(part.address, static_cast<int32_t>(i));
    }
    for (const Part& part : found_.parts) {
      const auto place = places.find(part.address);
      const bool isSame = part.attachment == Attachment::kPci && place != places.end();
      partner_.push_back(isSame ? place->second : -1);
    }
    if (std::all_of(partner_.begin(), partner_.end(), [](int32_t p) { return p < 0; })) {
      file_.notes.push_back(
          fmt::format("{}: of another machine than this one, by its PCI addresses: "
                      "taken as it is",
                      file_.machine.file));
      return;
    }
    for (size_t i = 0; i < partner_.size(); ++i) {
      const Part& part = found_.parts[i];
      if (partner_[i] >= 0) {
        fill(partner_[i], part);
      } else if (part.isUsed && (part.kind == NodeKind::kRank || part.kind == NodeKind::kNic)) {
        partner_[i] = add(part);
      }
    }
    addWires();
  }

 private:
  std::vector<Part>& parts() { return file_.machine.parts; }

  static void fillText(std::string& text, const std::string& found) {
    if (text.empty()) text = found;
  }

  void fill(int32_t index, const Part& found) {
    Part& part = parts()[static_cast<size_t>(index)];
    fillText(part.vendor, found.vendor);
    fillText(part.model, found.model);
    if (part.pci.megatransfers == 0) part.pci.megatransfers = found.pci.megatransfers;
    if (part.pci.lanes == 0) part.pci.lanes = found.pci.lanes;
    const bool isListed = part.kind == NodeKind::kBridge && !isParent_[static_cast<size_t>(index)];
    if (isListed) part.kind = found.kind;
    if (part.kind != found.kind || found.kind == NodeKind::kBridge) return;
    part.isUsed = part.isUsed && found.isUsed;
    part.mayBeConsole = part.mayBeConsole || (isListed && found.mayBeConsole);
    if (part.order < 0) {
      part.order = found.order;
      part.id = found.id;
    }
    if (part.kind != NodeKind::kNic) return;
    part.hasRdma = found.hasRdma;
    if (part.rate <= 0) part.rate = found.rate;
  }

  // The new part, or -1.
  int32_t add(Part part) {
    int32_t place = -1;
    for (int32_t up = part.parent; up >= 0 && place < 0;) {
      const auto index = static_cast<size_t>(up);
      place = partner_[index] >= 0 ? partner_[index] : hostLike(found_.parts[index]);
      up = found_.parts[index].parent;
    }
    if (place < 0) place = anyHost();
    if (place < 0) return -1;
    part.parent = place;
    part.host = parts()[static_cast<size_t>(place)].host;
    part.line = 0;
    file_.notes.push_back(fmt::format("{}: {} at {} is not in the file: added below {}",
                                      file_.machine.file, part.id, part.address,
                                      parts()[static_cast<size_t>(place)].id));
    parts().push_back(std::move(part));
    return static_cast<int32_t>(parts().size()) - 1;
  }

  // As NCCL does: a device with one such link in the file has none but those in the file.
  void addWires() {
    std::set<int32_t> listed;
    for (const Wire& wire : file_.machine.wires) {
      if (wire.kind != LinkKind::kPci) listed.insert(wire.from);
    }
    for (Wire wire : found_.wires) {
      wire.from = partner_[static_cast<size_t>(wire.from)];
      if (wire.from < 0 || listed.contains(wire.from)) continue;
      wire.to = farEnd(wire.to, wire.from);
      if (wire.to >= 0) file_.machine.wires.push_back(wire);
    }
  }

  // What stands in the file for the far end of a link of `device`.
  int32_t farEnd(int32_t found, int32_t device) {
    const Part& end = found_.parts[static_cast<size_t>(found)];
    if (end.kind == NodeKind::kHost) {
      while (device >= 0 && parts()[static_cast<size_t>(device)].kind != NodeKind::kHost) {
        device = parts()[static_cast<size_t>(device)].parent;
      }
      return device;
    }
    int32_t& partner = partner_[static_cast<size_t>(found)];
    if (end.kind == NodeKind::kSwitch && partner < 0) partner = switchOf(device, end);
    return partner;
  }

  // Files may list several switches by name; a new link goes to the plain one.
  int32_t switchOf(int32_t device, Part found) {
    found.host = parts()[static_cast<size_t>(device)].host;
    const auto same = std::find_if(parts().begin(), parts().end(), [&](const Part& part) {
      return part.kind == NodeKind::kSwitch && part.host == found.host && part.id == found.id;
    });
    if (same != parts().end()) return static_cast<int32_t>(same - parts().begin());
    parts().push_back(std::move(found));
    return static_cast<int32_t>(parts().size()) - 1;
  }

  int32_t hostLike(const Part& found) {
    if (found.kind != NodeKind::kHost) return -1;
    const auto same = std::find_if(parts().begin(), parts().end(), [&](const Part& part) {
      return part.kind == NodeKind::kHost && part.id == found.id;
    });
    return same == parts().end() ? -1 : static_cast<int32_t>(same - parts().begin());
  }

  int32_t anyHost() {
    const auto host = std::find_if(parts().begin(), parts().end(),
                                   [](const Part& part) { return part.kind == NodeKind::kHost; });
    return host == parts().end() ? -1 : static_cast<int32_t>(host - parts().begin());
  }

  Draft& file_;
  const Machine& found_;
  std::vector<bool> isParent_;    // of the file's parts
  std::vector<int32_t> partner_;  // in the file, of found_'s parts
};

}  // namespace

void complete(Draft& file, const Machine& found) { Completion(file, found).run(); }

}  // namespace tutti::topology
