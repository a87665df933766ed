#include "topology/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

namespace tutti::topology {
namespace {

struct PciGeneration {
  int32_t megatransfers;
  int64_t effective;  // kB/s of a lane
  int64_t wire;
};

constexpr int32_t kDeviceLanes = 4;

// On the wire: 8b/10b encoding up to 5 GT/s, 128b/130b up to 32, 242B/256B flits at 64.
constexpr PciGeneration kGenerations[] = {
    {2'500, 187'500, 250'000},      {5'000, 375'000, 500'000},      {8'000, 750'000, 984'615},
    {16'000, 1'500'000, 1'969'231}, {32'000, 3'000'000, 3'938'462}, {64'000, 6'000'000, 7'562'500},
};

const PciGeneration* generationOf(PciLink link) {
  for (const PciGeneration& generation : kGenerations) {
    if (generation.megatransfers == link.megatransfers) return &generation;
  }
  return nullptr;
}

// Makes the graph of a machine: which parts stay, in which order, then their links.
class Grapher {
 public:
  explicit Grapher(const Machine& machine)
      : machine_(machine), isKept_(machine.parts.size()), nodeOf_(machine.parts.size(), -1) {}

  Topology make() {
    topology_.name = machine_.name;
    keepWhatLeadsSomewhere();
    addNodes();
    for (const int32_t part : order_) linkToParent(part);
    linkWires();
    linkSockets();
    if (hosts_.size() > 1) joinHosts();
    return std::move(topology_);
  }

 private:
  const Part& part(int32_t index) const { return machine_.parts[static_cast<size_t>(index)]; }
  NodeIndex node(int32_t index) const { return nodeOf_[static_cast<size_t>(index)]; }

  void keepWhatLeadsSomewhere() {
    for (size_t i = 0; i < machine_.parts.size(); ++i) {
      const Part& p = machine_.parts[i];
      const bool isLeaf = p.kind == NodeKind::kRank || p.kind == NodeKind::kNic;
      if (isLeaf && p.isUsed) keepWithParents(static_cast<int32_t>(i));
    }
    for (const Wire& wire : machine_.wires) {
      const bool goes = part(wire.from).isUsed && part(wire.to).isUsed;
      const bool isFabric = wire.kind != LinkKind::kPci;
      if (!goes || !isFabric) continue;
      keepWithParents(wire.from);
      keepWithParents(wire.to);
    }
  }

  void keepWithParents(int32_t index) {
    for (; index >= 0 && !isKept_[static_cast<size_t>(index)]; index = part(index).parent) {
      isKept_[static_cast<size_t>(index)] = true;
      if (part(index).kind == NodeKind::kSwitch) return;
    }
  }

  void addNodes() {
    for (size_t i = 0; i < machine_.parts.size(); ++i) {
      if (!isKept_[i]) continue;
      order_.push_back(static_cast<int32_t>(i));
      const Part& p = machine_.parts[i];
      if (p.kind == NodeKind::kHost) hosts_.try_emplace(p.host, hosts_.size());
    }
    std::stable_sort(order_.begin(), order_.end(),
                     [&](int32_t a, int32_t b) { return sortKey(part(a)) < sortKey(part(b)); });
    std::unordered_set<std::string> ids;
    std::unordered_map<std::string, int> copies;  // of an id, so far
    for (const int32_t index : order_) {
      const Part& p = part(index);
      std::string id = p.id;
      int& copy = copies.try_emplace(p.id, 1).first->second;
      while (!ids.insert(id).second) id = fmt::format("{}#{}", p.id, ++copy);
      nodeOf_[static_cast<size_t>(index)] =
          topology_.addNode({id, p.kind, p.host, {}, p.vendor, p.model, p.address});
    }
  }

  // Ranks of all hosts share one numbering; NICs are numbered in each host. What has no number
  // comes after what has, as in the file.
  std::tuple<int, size_t, uint32_t> sortKey(const Part& p) const {
    const auto number = static_cast<uint32_t>(p.order);
    const auto host = hosts_.find(p.host);
    switch (p.kind) {
      case NodeKind::kRank: return {0, 0, number};
      case NodeKind::kSwitch: return {1, 0, 0};
      case NodeKind::kNic: return {2, host == hosts_.end() ? 0 : host->second, number};
      case NodeKind::kBridge: return {3, 0, 0};
      case NodeKind::kHost: return {4, 0, 0};
    }
    return {5, 0, 0};
  }

  void addDuplex(NodeIndex from, NodeIndex to, int64_t capacity, LinkKind kind,
                 Provenance provenance, int64_t moreLatency = 0) {
    const bool isToSwitch = topology_.nodes[static_cast<size_t>(to)].kind == NodeKind::kSwitch;
    topology_.addDuplex({from, to, std::clamp<int64_t>(capacity, 1, kMostCapacity),
                         tableLatency(kind, isToSwitch) + moreLatency, kind, provenance});
  }

  void linkToParent(int32_t index) {
    const Part& p = part(index);
    if (p.parent < 0 || p.kind == NodeKind::kSwitch) return;
    const bool isPci = p.attachment == Attachment::kPci;
    int64_t capacity = isPci ? effectiveRate(p.pci) : p.rate;
    if (isPci && p.kind == NodeKind::kNic) capacity = std::min(capacity, p.rate);
    const bool isPiece = p.kind == NodeKind::kRank && p.attachment == Attachment::kShare;
    addDuplex(node(p.parent), node(index), capacity, isPiece ? LinkKind::kOther : LinkKind::kPci,
              p.provenance, p.latencyNs);
  }

  // Several wires between the same two parts are one link.
  void linkWires() {
    struct Sum {
      int64_t capacity = 0;
      Provenance provenance = Provenance::kMeasured;
    };
    std::map<std::tuple<NodeIndex, NodeIndex, LinkKind>, Sum> sums;
    for (const Wire& wire : machine_.wires) {
      const NodeIndex from = node(wire.from);
      const NodeIndex to = node(wire.to);
      if (from < 0 || to < 0) continue;
      int64_t rate = wire.rate;
      if (rate == 0) {
        rate = std::min(effectiveRate(part(wire.from).pci), effectiveRate(part(wire.to).pci));
      }
      Sum& sum = sums[{std::min(from, to), std::max(from, to), wire.kind}];
      sum.capacity += rate * wire.count;
      sum.provenance = std::min(sum.provenance, wire.provenance);
    }
    for (const auto& [key, sum] : sums) {
      addDuplex(std::get<0>(key), std::get<1>(key), sum.capacity, std::get<2>(key), sum.provenance);
    }
  }

  void linkSockets() {
    std::vector<int32_t> sockets;
    for (const int32_t index : order_) {
      if (part(index).kind != NodeKind::kHost) continue;
      for (const int32_t other : sockets) {
        if (part(other).host != part(index).host) continue;
        addDuplex(node(other), node(index), std::min(part(other).rate, part(index).rate),
                  LinkKind::kSocket, Provenance::kTable);
      }
      sockets.push_back(index);
    }
  }

  void joinHosts() {
    int64_t fastest = 0;
    for (const int32_t index : order_) {
      if (part(index).kind == NodeKind::kNic) fastest = std::max(fastest, part(index).rate);
    }
    if (fastest == 0) return;
    const NodeIndex network = topology_.addNode({"network", NodeKind::kSwitch});
    for (const int32_t index : order_) {
      const Part& p = part(index);
      if (p.kind != NodeKind::kNic || p.rate != fastest) continue;
      addDuplex(node(index), network, p.rate, LinkKind::kNetwork, Provenance::kTable);
    }
  }

  const Machine& machine_;
  std::vector<bool> isKept_;
  std::vector<NodeIndex> nodeOf_;
  std::vector<int32_t> order_;           // the parts that become nodes, in the nodes' order
  std::map<std::string, size_t> hosts_;  // and their place
  Topology topology_;
};

}  // namespace

// Chosen so that a way between two devices comes to NCCL's table of
// latencies per hop (LL): 0.6 us over device links, 1.0 us over two PCI links.
int64_t tableLatency(LinkKind kind, bool isToSwitch) {
  switch (kind) {
    case LinkKind::kDevice: return isToSwitch ? 300 : 600;
    case LinkKind::kChip: return 300;
    case LinkKind::kPci: return 500;
    case LinkKind::kSocket: return 150;
    case LinkKind::kNetwork: return 500;
    case LinkKind::kOther: return 100;
  }
  return 0;
}

int64_t effectiveRate(PciLink link) {
  const PciGeneration* generation = generationOf(link);
  return generation == nullptr ? 0 : generation->effective * link.lanes;
}

int64_t wireRate(PciLink link) {
  const PciGeneration* generation = generationOf(link);
  return generation == nullptr ? 0 : generation->wire * link.lanes;
}

int32_t parseMegatransfers(std::string_view text) {
  int32_t whole = 0;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, whole);
  if (error != std::errc() || whole < 0 || whole > 1'000) return 0;
  whole *= 1'000;
  if (rest + 1 < end && *rest == '.' && rest[1] == '5') whole += 500;
  return generationOf({whole, 1}) == nullptr ? 0 : whole;
}

std::string toString(PciLink link) {
  const std::string speed = link.megatransfers == 0 ? "?"
                            : link.megatransfers % 1000
                                ? fmt::format("{:.1f}", link.megatransfers / 1000.0)
                                : fmt::format("{}", link.megatransfers / 1000);
  return fmt::format("{} GT/s x{}", speed, link.lanes == 0 ? "?" : std::to_string(link.lanes));
}

std::string normalAddress(std::string_view address) {
  std::string text(address);
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  // Parts from the right: function, device, bus, domain; all but the function may be missing.
  std::array<uint32_t, 4> parts{};
  size_t count = 0;
  const char* at = text.data();
  const char* end = at + text.size();
  while (count < parts.size()) {
    const auto [rest, error] = std::from_chars(at, end, parts[count], 16);
    if (error != std::errc()) return text;
    ++count;
    if (rest == end) break;
    const bool isLastDot = *rest == '.';
    if (*rest != ':' && !isLastDot) return text;
    at = rest + 1;
  }
  const bool isWhole = text.find('.') != std::string::npos && count >= 3;
  if (!isWhole) return text;
  if (count == 3) return fmt::format("0000:{:02x}:{:02x}.{:x}", parts[0], parts[1], parts[2]);
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", parts[0], parts[1], parts[2], parts[3]);
}

bool isPciAddress(std::string_view normal) {
  constexpr std::string_view kForm = "0000:00:00.0";
  const size_t dot = normal.rfind('.');
  if (normal.size() < kForm.size() || dot == std::string_view::npos || dot < 10) return false;
  return normal[dot - 3] == ':' && normal[dot - 6] == ':' &&
         normal.find_first_not_of("0123456789abcdef:.") == std::string_view::npos;
}

int64_t socketRate(std::string_view vendor, std::string_view arch, int family, int model) {
  if (arch == "arm64" || arch == "aarch64") return 6 * kGigabyte;
  if (arch.starts_with("ppc64")) return 32 * kGigabyte;
  if (vendor.find("AMD") != std::string_view::npos || vendor == "HygonGenuine") {
    return 16 * kGigabyte;
  }
  const bool isZhaoxin = vendor == "CentaurHauls" || vendor.find("Shanghai") != vendor.npos;
  if (isZhaoxin) return (family == 7 && model == 0x5B ? 9 : 6) * kGigabyte;
  if (vendor != "GenuineIntel") return 6 * kGigabyte;
  if (model >= 0xCF) return 40 * kGigabyte;  // Emerald Rapids
  if (model >= 0x8F) return 22 * kGigabyte;  // Sapphire Rapids
  return (model >= 0x55 ? 10 : 6) * kGigabyte;
}

std::string hostModel(std::string_view arch, int family, int model) {
  std::string text(arch);
  if (family < 0 && model < 0) return text;
  return text + fmt::format("{}{}/{}", text.empty() ? "" : " ", family, model);
}

bool isConsole(const Part& part) { return part.mayBeConsole && part.pci.lanes < kDeviceLanes; }

void numberRanks(Machine& machine) {
  std::vector<Part*> ranks;
  for (Part& part : machine.parts) {
    if (part.kind != NodeKind::kRank) continue;
    part.id = "display";
    if (!isConsole(part)) ranks.push_back(&part);
  }
  std::stable_sort(ranks.begin(), ranks.end(),
                   [](const Part* a, const Part* b) { return a->address < b->address; });
  for (size_t i = 0; i < ranks.size(); ++i) {
    ranks[i]->order = static_cast<int32_t>(i);
    ranks[i]->id = fmt::format("gpu{}", i);
  }
}

Topology toTopology(const Machine& machine) { return Grapher(machine).make(); }

}  // namespace tutti::topology
