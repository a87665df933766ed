#include "topology/sanitise.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "topology/xml.h"

namespace tutti::topology {
namespace {

constexpr PciLink kPlaceholderLink{2'500, 1};
constexpr int32_t kLaneCounts[] = {1, 2, 4, 8, 12, 16, 32};
constexpr int64_t kVirtualBridgeRatio = 8;
constexpr int64_t kManagementShare = 4;
constexpr int32_t kMostWires = 4'096;  // between two devices; more is no number
constexpr int kMostHosts = 1'024;      // each is joined with each
constexpr int kManyDevices = 4;        // a machine with so many has PCI switches or many roots

class Sanitiser {
 public:
  Sanitiser(Machine& machine, std::vector<std::string>& notes)
      : machine_(machine), parts_(machine.parts), notes_(notes) {}

  base::Status run() {
    TUTTI_RETURN_IF_ERROR(checkContainers());
    TUTTI_RETURN_IF_ERROR(checkAddresses());
    checkNumbers();
    dropConsoles();
    completePciLinks();
    widenVirtualBridges();
    for (Part& p : parts_) {
      if (p.kind == NodeKind::kNic && p.isUsed) correctNic(p);
    }
    dropManagementNics();
    TUTTI_RETURN_IF_ERROR(pairWires());
    TUTTI_RETURN_IF_ERROR(dropEmptyHosts());
    noteHiddenSwitches();
    return base::Status::ok();
  }

 private:
  static std::string gigabytes(int64_t rate) { return gigabytesText(rate) + " GB/s"; }
  Part& part(int32_t index) { return parts_[static_cast<size_t>(index)]; }

  void note(int line, const std::string& text) {
    if (machine_.file.empty()) {
      notes_.push_back(text);
    } else if (line == 0) {
      notes_.push_back(fmt::format("{}: {}", machine_.file, text));
    } else {
      notes_.push_back(fmt::format("{}:{}: {}", machine_.file, line, text));
    }
  }

  base::Status failure(int line, const std::string& text) {
    return errorAt(machine_.file.empty() ? "this machine" : machine_.file, line, text);
  }

  base::Status checkContainers() {
    for (size_t i = 0; i < parts_.size(); ++i) {
      const Part& p = parts_[i];
      if (p.parent >= static_cast<int32_t>(i)) {
        return failure(p.line, p.id + " is contained in a later part: a cycle of containers");
      }
      if (p.address.empty() || p.attachment == Attachment::kShare) continue;
      for (int32_t up = p.parent; up >= 0; up = part(up).parent) {
        if (part(up).address != p.address || part(up).kind == NodeKind::kHost) continue;
        return failure(p.line, fmt::format("PCI function {} contains itself (see line {}): correct "
                                           "one of the two addresses",
                                           p.address, part(up).line));
      }
    }
    return base::Status::ok();
  }

  // Bridges of one address occur in real files, as parts of one chip; nothing refers to them.
  base::Status checkAddresses() {
    std::map<std::pair<std::string, std::string>, const Part*> seen;
    for (const Part& p : parts_) {
      if (p.address.empty() || p.attachment == Attachment::kShare) continue;
      const auto [other, isNew] = seen.try_emplace({p.host, p.address}, &p);
      if (isNew) continue;
      if (p.kind == NodeKind::kRank && other->second->kind == NodeKind::kRank) {
        return failure(p.line,
                       fmt::format("a second device at PCI address {} (the first: line {}): "
                                   "links to it are ambiguous, so give each its own",
                                   p.address, other->second->line));
      }
      note(p.line,
           fmt::format("{}: the PCI address {} is used before, in line {}: taken as another "
                       "one, since what it contains differs",
                       p.id, p.address, other->second->line));
    }
    return base::Status::ok();
  }

  void checkNumbers() {
    std::map<int32_t, const Part*> ranks;
    for (Part& p : parts_) {
      if (p.kind != NodeKind::kRank || p.order < 0) continue;
      const auto [other, isNew] = ranks.try_emplace(p.order, &p);
      if (isNew) continue;
      note(p.line, fmt::format("{}: {} is rank {} already: comes after those with a number", p.id,
                               other->second->id, p.order));
      p.order = -1;
    }
  }

  void dropConsoles() {
    for (Part& p : parts_) {
      if (!isConsole(p)) continue;
      p.isUsed = false;
      note(p.line, fmt::format("{} at {}: a display controller with PCI link {} is a console, left "
                               "out",
                               p.id, p.address, toString(p.pci)));
    }
  }

  void completePciLinks() {
    for (Part& p : parts_) {
      if (p.attachment != Attachment::kPci || p.parent < 0 || !p.isUsed) continue;
      const PciLink before = p.pci;
      const bool isLaneCount = std::find(std::begin(kLaneCounts), std::end(kLaneCounts),
                                         p.pci.lanes) != std::end(kLaneCounts);
      if (!isLaneCount) p.pci.lanes = kDefaultPciLink.lanes;
      if (wireRate({p.pci.megatransfers, 1}) == 0) {
        p.pci.megatransfers = kDefaultPciLink.megatransfers;
      }
      if (p.pci == before) continue;
      p.provenance = Provenance::kTable;
      note(p.line, fmt::format("{}: PCI link {} taken as {}: it is not said in full", p.id,
                               toString(before), toString(p.pci)));
    }
  }

  void widenVirtualBridges() {
    std::vector<PciLink> below(parts_.size());
    for (size_t i = parts_.size(); i-- > 0;) {
      Part& p = parts_[i];
      if (p.parent < 0 || !p.isUsed) continue;
      const bool isBridge = p.kind == NodeKind::kBridge;
      const int64_t rate = effectiveRate(p.pci);
      if (isBridge && p.attachment == Attachment::kPci &&
          rate * kVirtualBridgeRatio < effectiveRate(below[i])) {
        note(p.line, fmt::format("{}: link {} taken as {}, as of what is below it: the bridge is "
                                 "virtual",
                                 p.id, toString(p.pci), toString(below[i])));
        p.pci = below[i];
        p.provenance = Provenance::kTable;
      }
      PciLink& up = below[static_cast<size_t>(p.parent)];
      const PciLink widest = isBridge ? below[i] : p.pci;
      if (effectiveRate(widest) > effectiveRate(up)) up = widest;
    }
  }

  void correctNic(Part& nic) {
    const bool isShared = nic.attachment == Attachment::kShare;
    Part& function = isShared ? part(nic.parent) : nic;
    const bool hasLink = function.attachment == Attachment::kPci;
    if (nic.rate <= 0) return assumeRate(nic, hasLink ? function.pci : PciLink());
    if (!hasLink) return;
    const bool isSure =
        function.pci != kPlaceholderLink && function.provenance != Provenance::kTable;
    if (!isSure && nic.rate > wireRate(function.pci)) widenFor(nic, function);
    if (nic.rate > wireRate(function.pci)) {
      const int64_t limit = effectiveRate(function.pci);
      note(nic.line, fmt::format("{}: {} taken as {}: more than its PCI link {} can carry", nic.id,
                                 gigabytes(nic.rate), gigabytes(limit), toString(function.pci)));
      nic.rate = limit;
    }
    if (nic.rate <= effectiveRate(function.pci)) nic.provenance = Provenance::kDeclared;
  }

  // Where nothing is said the NIC is a fast one: templates for one provider's machines list those
  // by address. A port that is said to have no rate is a slow one.
  void assumeRate(Part& nic, PciLink link) {
    const bool isFast = nic.rate == 0 && effectiveRate(link) > 0;
    nic.rate = isFast ? effectiveRate(link) : kDefaultNicRate;
    nic.provenance = Provenance::kTable;
    note(nic.line, fmt::format("{}: rate not said, taken as {}{}", nic.id, gigabytes(nic.rate),
                               isFast ? ", its PCI link's" : ""));
  }

  void widenFor(const Part& nic, Part& function) {
    const PciLink before = function.pci;
    function.pci = kDefaultPciLink;
    while (effectiveRate(function.pci) < nic.rate && function.pci.megatransfers < 64'000) {
      function.pci.megatransfers *= 2;
    }
    note(nic.line,
         fmt::format("{}: PCI link {} taken as {}: the NIC has {}, and devices without a "
                     "link of their own report the least there is",
                     nic.id, toString(before), toString(function.pci), gigabytes(nic.rate)));
  }

  void dropManagementNics() {
    std::map<std::string_view, const Part*> fastest;  // by host
    for (const Part& p : parts_) {
      if (p.kind != NodeKind::kNic || !p.isUsed) continue;
      const Part*& best = fastest.try_emplace(p.host, &p).first->second;
      if (std::pair(p.hasRdma, p.rate) > std::pair(best->hasRdma, best->rate)) best = &p;
    }
    for (Part& p : parts_) {
      if (p.kind != NodeKind::kNic || !p.isUsed) continue;
      const Part& best = *fastest.at(p.host);
      const bool isSlow = p.rate * kManagementShare <= best.rate;
      const bool isPlain = p.provenance == Provenance::kTable && !p.hasRdma && best.hasRdma;
      if (&p == &best || (!isSlow && !isPlain)) continue;
      p.isUsed = false;
      note(p.line, fmt::format("{}: {} left out of the fabric, for management: {} has {}{}", p.id,
                               gigabytes(p.rate), best.id, gigabytes(best.rate),
                               isPlain ? " and RDMA" : ""));
    }
  }

  // Numbers that no file can mean, links to oneself.
  base::Status checkWires() {
    std::vector<Wire> good;
    for (const Wire& wire : machine_.wires) {
      const Part& from = part(wire.from);
      if (wire.count > kMostWires) {
        return failure(wire.line, fmt::format("{} links from {} to {}: no device has so many",
                                              wire.count, from.id, part(wire.to).id));
      }
      if (wire.count <= 0) {
        note(wire.line, fmt::format("{}: links to {} left out: their count is {}", from.id,
                                    part(wire.to).id, wire.count));
      } else if (wire.from == wire.to) {
        note(wire.line, fmt::format("{}: {} links to itself left out", from.id, wire.count));
      } else {
        good.push_back(wire);
      }
    }
    machine_.wires = std::move(good);
    return base::Status::ok();
  }

  // One wire for each pair and kind. Switches and processors do not list theirs.
  base::Status pairWires() {
    TUTTI_RETURN_IF_ERROR(checkWires());
    struct Pair {
      Wire wire;
      int64_t counts[2] = {0, 0};
    };
    std::map<std::tuple<int32_t, int32_t, LinkKind>, Pair> pairs;
    for (const Wire& wire : machine_.wires) {
      const bool isForward = wire.from < wire.to;
      const auto [at, isNew] = pairs.try_emplace(
          {std::min(wire.from, wire.to), std::max(wire.from, wire.to), wire.kind}, Pair{wire});
      Pair& pair = at->second;
      pair.counts[isForward ? 0 : 1] += wire.count;
      pair.wire.rate = std::min(pair.wire.rate, wire.rate);
      pair.wire.provenance = std::min(pair.wire.provenance, wire.provenance);
    }
    machine_.wires.clear();
    for (auto& [key, pair] : pairs) {
      std::tie(pair.wire.from, pair.wire.to, std::ignore) = key;
      pair.wire.count = static_cast<int32_t>(agreedCount(pair.wire, pair.counts));
      machine_.wires.push_back(pair.wire);
    }
    return base::Status::ok();
  }

  int64_t agreedCount(const Wire& wire, const int64_t (&counts)[2]) {
    const auto [least, most] = std::minmax(counts[0], counts[1]);
    if (least == most) return most;
    const Part& from = part(wire.from);
    const Part& to = part(wire.to);
    const auto listsItsOwn = [](const Part& p) {
      return p.kind == NodeKind::kRank || p.kind == NodeKind::kBridge;
    };
    const bool isOneSided = wire.kind == LinkKind::kPci || !listsItsOwn(from) || !listsItsOwn(to);
    const int64_t agreed = least == 0 ? most : least;
    if (least != 0 || !isOneSided) {
      note(wire.line, fmt::format("{} lists {} links to {}, which lists {}: taken as {} each way",
                                  from.id, counts[0], to.id, counts[1], agreed));
    }
    return agreed;
  }

  base::Status dropEmptyHosts() {
    std::set<int32_t> busy;
    for (size_t i = 0; i < parts_.size(); ++i) {
      const Part& p = parts_[i];
      if ((p.kind != NodeKind::kRank && p.kind != NodeKind::kNic) || !p.isUsed) continue;
      for (int32_t up = static_cast<int32_t>(i); up >= 0; up = part(up).parent) busy.insert(up);
    }
    for (const Wire& wire : machine_.wires) busy.insert({wire.from, wire.to});
    int count = 0;
    for (size_t i = 0; i < parts_.size(); ++i) {
      Part& p = parts_[i];
      if (p.kind != NodeKind::kHost) continue;
      if (++count > kMostHosts) {
        return failure(p.line, fmt::format("more than {} processors", kMostHosts));
      }
      if (!p.isUsed || busy.contains(static_cast<int32_t>(i))) continue;
      p.isUsed = false;
      note(p.line, fmt::format("{}: no device there: left out", p.id));
    }
    return base::Status::ok();
  }

  void noteHiddenSwitches() {
    int devices = 0;
    for (const Part& p : parts_) {
      if (!p.isUsed) continue;
      if (p.kind == NodeKind::kBridge) return;
      if (p.attachment == Attachment::kPci) ++devices;
    }
    if (devices < kManyDevices) return;
    note(0,
         fmt::format("{} PCI devices and no bridge: a virtual machine may hide PCI switches, and "
                     "what shares their links is not known",
                     devices));
  }

  Machine& machine_;
  std::vector<Part>& parts_;
  std::vector<std::string>& notes_;
};

}  // namespace

base::Status sanitise(Machine& machine, std::vector<std::string>& notes) {
  return Sanitiser(machine, notes).run();
}

}  // namespace tutti::topology
