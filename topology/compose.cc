#include "topology/compose.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "src/base/errors.h"
#include "topology/decimal.h"

namespace tutti::topology {
namespace {

using base::Status;

constexpr size_t kMostParts = 4'000'000;
constexpr int64_t kManagementRatio = 4;

Status refusal(std::string text) {
  return {base::Code::kInvalidArgument, base::kErrInvalidArgument, std::move(text)};
}

// Where a machine meets the network.
struct Port {
  NodeIndex nic = 0;
  int64_t own = 0;  // speed of the NIC itself; 0: not known
  Provenance provenance = Provenance::kDeclared;
  int32_t number = 0;  // among the machine's
};

// value * numerator / denominator, rounded down, within 64 bits.
int64_t scale(int64_t value, int64_t numerator, int64_t denominator) {
  return value / denominator * numerator + value % denominator * numerator / denominator;
}

// A switch of the network that NICs are at.
struct Hub {
  NodeIndex node = 0;
  int64_t carried = 0;  // by its ports
};

class Composer {
 public:
  Composer(std::span<const Topology* const> machines, const NetworkSpec& network,
           std::span<const Degraded> degraded, std::vector<std::string>* notes)
      : machines_(machines), network_(network), degraded_(degraded), notes_(notes) {}

  base::Result<Topology> run();

 private:
  Status checkInput() const;
  void append(const Topology& machine, size_t index);
  std::vector<Port> ports(size_t machine);
  std::vector<Port> nics(size_t machine);
  Status attach(size_t machine);
  int64_t portCapacity(const Port& port, const Degraded& degraded) const;
  Degraded degradedOf(size_t machine) const;
  size_t hub(const std::string& id);
  size_t hubOf(size_t machine, const Port& port);
  std::string siteOf(size_t machine) const;
  void joinHubs();
  void addUplink(NodeIndex from, NodeIndex to, int64_t capacity);

  std::span<const Topology* const> machines_;
  const NetworkSpec& network_;
  std::span<const Degraded> degraded_;
  std::vector<std::string>* notes_;
  Topology made_;
  std::vector<NodeIndex> firstNode_;  // of each machine, and the end
  std::vector<LinkIndex> firstLink_;  // likewise
  std::vector<Hub> hubs_;
  std::map<std::string, size_t> hubById_;
};

Status Composer::checkInput() const {
  if (machines_.empty()) return refusal("a network joins machines, and there is none");
  size_t parts = 0;
  for (const Topology* machine : machines_) {
    parts += machine->nodes.size() + machine->links.size() + 1;
    if (parts > kMostParts) {
      return refusal(fmt::format("{} machines have more than {} nodes and links: join fewer",
                                 machines_.size(), kMostParts));
    }
  }
  if (machines_.size() < network_.sites.size()) {
    return refusal(
        fmt::format("the network has {} sites for {} machines: give every site one "
                    "(--copies)",
                    network_.sites.size(), machines_.size()));
  }
  for (const Degraded& each : degraded_) {
    if (each.machine < 0 || static_cast<size_t>(each.machine) >= machines_.size()) {
      return refusal(fmt::format("there is no machine {} to be degraded: they are 0 to {}",
                                 each.machine, machines_.size() - 1));
    }
  }
  return Status::ok();
}

// Machines are dealt to the sites in order: the first parts are the larger ones by one.
std::string Composer::siteOf(size_t machine) const {
  if (network_.sites.empty()) return {};
  return network_.sites[machine * network_.sites.size() / machines_.size()];
}

void Composer::append(const Topology& machine, size_t index) {
  const std::string prefix = fmt::format("m{}/", index);
  const auto nodes = static_cast<NodeIndex>(made_.nodes.size());
  const auto links = static_cast<LinkIndex>(made_.links.size());
  firstNode_.push_back(nodes);
  firstLink_.push_back(links);
  const std::string site = siteOf(index);
  for (Node node : machine.nodes) {
    node.id.insert(0, prefix);
    node.host = node.host.empty() ? fmt::format("m{}", index) : prefix + node.host;
    if (!site.empty()) node.site = site;
    made_.addNode(std::move(node));
  }
  for (Link link : machine.links) {
    link.from += nodes;
    link.to += nodes;
    made_.addLink(link);
  }
  for (Resource resource : machine.resources) {
    resource.id.insert(0, prefix);
    for (Charge& charge : resource.charges) charge.link += links;
    made_.resources.push_back(std::move(resource));
  }
}

std::vector<Port> Composer::nics(size_t machine) {
  std::vector<Port> found;
  std::map<NodeIndex, size_t> place;
  for (NodeIndex node = firstNode_[machine]; node < firstNode_[machine + 1]; ++node) {
    if (made_.nodes[static_cast<size_t>(node)].kind != NodeKind::kNic) continue;
    place[node] = found.size();
    found.push_back({.nic = node});
  }
  for (LinkIndex i = firstLink_[machine]; i < firstLink_[machine + 1]; ++i) {
    const Link& link = made_.links[static_cast<size_t>(i)];
    for (const NodeIndex end : {link.from, link.to}) {
      const auto at = place.find(end);
      if (at == place.end() || link.capacity <= found[at->second].own) continue;
      found[at->second].own = link.capacity;
      found[at->second].provenance = link.provenance;
    }
  }
  return found;
}

// The NICs that count, or one made for each rank.
std::vector<Port> Composer::ports(size_t machine) {
  std::vector<Port> found = nics(machine);
  int64_t fastest = 0;
  for (const Port& port : found) fastest = std::max(fastest, port.own);
  std::erase_if(found, [&](const Port& port) {
    const bool isSlow = port.own * kManagementRatio < fastest;
    if (isSlow && notes_ != nullptr) {
      notes_->push_back(
          fmt::format("\"{}\" stays out of the network: with {} GB/s it is less than a quarter of "
                      "the machine's fastest NIC ({} GB/s), a port for management",
                      made_.nodes[static_cast<size_t>(port.nic)].id, gigabytesText(port.own),
                      gigabytesText(fastest)));
    }
    return isSlow;
  });
  if (found.empty()) {
    for (NodeIndex node = firstNode_[machine]; node < firstNode_[machine + 1]; ++node) {
      const Node& rank = made_.nodes[static_cast<size_t>(node)];
      if (rank.kind != NodeKind::kRank) continue;
      found.push_back({.nic = made_.addNode({.id = rank.id + "/nic",
                                             .kind = NodeKind::kNic,
                                             .host = rank.host,
                                             .site = rank.site})});
      made_.addDuplex({.from = node,
                       .to = found.back().nic,
                       .capacity = network_.nicCapacity,
                       .kind = LinkKind::kPci});
    }
  }
  for (size_t i = 0; i < found.size(); ++i) found[i].number = static_cast<int32_t>(i);
  return found;
}

Degraded Composer::degradedOf(size_t machine) const {
  Degraded all;
  for (const Degraded& each : degraded_) {
    if (static_cast<size_t>(each.machine) != machine) continue;
    if (each.keptNics != 0) all.keptNics = each.keptNics;
    if (each.numerator != each.denominator) {
      all.numerator = each.numerator;
      all.denominator = each.denominator;
    }
  }
  return all;
}

int64_t Composer::portCapacity(const Port& port, const Degraded& degraded) const {
  const int64_t whole = network_.nicCapacity != 0 ? network_.nicCapacity : port.own;
  return scale(whole, degraded.numerator, degraded.denominator);
}

Status Composer::attach(size_t machine) {
  const bool hasNics = !nics(machine).empty();
  if (!hasNics && network_.nicCapacity == 0) {
    return refusal(
        fmt::format("machine {} ({:.100}) has no NICs, so the network must say how fast "
                    "those are that its ranks get: for example star:50",
                    machine, machines_[machine]->name));
  }
  std::vector<Port> found = ports(machine);
  const Degraded degraded = degradedOf(machine);
  const auto count = static_cast<int64_t>(found.size());
  const int64_t kept = degraded.keptNics == 0 ? count : degraded.keptNics;
  if (kept > count) {
    return refusal(fmt::format("machine {} cannot keep {} NICs: it has {}", machine, kept, count));
  }
  for (int64_t i = 0; i < kept; ++i) {
    const Port& port = found[static_cast<size_t>(i * count / kept)];
    const int64_t capacity = portCapacity(port, degraded);
    if (capacity < 1) {
      return refusal(fmt::format("NIC \"{}\" is left with less than 1 kB/s: degrade it less",
                                 made_.nodes[static_cast<size_t>(port.nic)].id));
    }
    Hub& to = hubs_[hubOf(machine, port)];
    const bool isWan = network_.kind == NetworkKind::kWan;
    constexpr int64_t kLocalLatencyNs = 1000;
    made_.addDuplex(
        {.from = port.nic,
         .to = to.node,
         .capacity = capacity,
         .latencyNs = isWan ? kLocalLatencyNs : network_.latencyNs,
         .kind = LinkKind::kNetwork,
         .provenance = network_.nicCapacity != 0 ? Provenance::kDeclared : port.provenance});
    to.carried += capacity;
  }
  return Status::ok();
}

size_t Composer::hub(const std::string& id) {
  const auto [found, isNew] = hubById_.emplace(id, hubs_.size());
  if (isNew) hubs_.push_back({made_.addNode({.id = id, .kind = NodeKind::kSwitch})});
  return found->second;
}

size_t Composer::hubOf(size_t machine, const Port& port) {
  switch (network_.kind) {
    case NetworkKind::kStar: break;
    case NetworkKind::kRails: return hub(fmt::format("rail{}", port.number));
    case NetworkKind::kFat:
      return hub(fmt::format("leaf{}", machine / static_cast<size_t>(network_.leafMachines)));
    case NetworkKind::kWan: return hub("site " + siteOf(machine));
  }
  return hub("network");
}

void Composer::addUplink(NodeIndex from, NodeIndex to, int64_t capacity) {
  made_.addDuplex({.from = from,
                   .to = to,
                   .capacity = std::clamp<int64_t>(capacity, 1, kMostCapacity),
                   .latencyNs = network_.latencyNs,
                   .kind = LinkKind::kNetwork});
}

void Composer::joinHubs() {
  if (network_.upCapacity != 0 || network_.over != 0) {
    const NodeIndex core = made_.addNode({.id = "core", .kind = NodeKind::kSwitch});
    for (const Hub& leaf : hubs_) {
      const int64_t part = network_.over == 0 ? 0 : scale(leaf.carried, 1000, network_.over);
      addUplink(leaf.node, core, network_.over == 0 ? network_.upCapacity : part);
    }
  }
  std::vector<NodeIndex> sites;
  for (const std::string& site : network_.sites) {
    sites.push_back(hubs_[hub("site " + site)].node);
    made_.nodes[static_cast<size_t>(sites.back())].site = site;
  }
  NodeIndex core = -1;
  for (const SiteLink& link : network_.siteLinks) {
    if (link.b == kCore && core < 0) {
      core = made_.addNode({.id = "core", .kind = NodeKind::kSwitch});
    }
    const NodeIndex b = link.b == kCore ? core : sites[static_cast<size_t>(link.b)];
    addUplink(sites[static_cast<size_t>(link.a)], b, link.capacity);
  }
}

base::Result<Topology> Composer::run() {
  TUTTI_RETURN_IF_ERROR(checkInput());
  for (size_t i = 0; i < machines_.size(); ++i) append(*machines_[i], i);
  firstNode_.push_back(static_cast<NodeIndex>(made_.nodes.size()));
  firstLink_.push_back(static_cast<LinkIndex>(made_.links.size()));
  for (size_t i = 0; i < machines_.size(); ++i) TUTTI_RETURN_IF_ERROR(attach(i));
  joinHubs();
  return std::move(made_);
}

}  // namespace

base::Result<Degraded> parseDegraded(std::string_view text) {
  const auto refuse = [text] {
    return refusal(
        fmt::format("\"{:.100}\" is no degraded machine: 15=1/2 (machine 15 at half its "
                    "network speed), 15=0.5 or 15=4nics",
                    text));
  };
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) return refuse();
  const std::string_view value = text.substr(equals + 1);
  const auto whole = [](std::string_view digits, int64_t most) -> int64_t {
    const auto number = scaleDecimal(digits, 0);
    return number && number->isExact && number->value <= most ? number->value : -1;
  };
  Degraded degraded;
  degraded.machine = static_cast<int32_t>(whole(text.substr(0, equals), 1'000'000));
  const size_t slash = value.find('/');
  if (value.ends_with("nics")) {
    degraded.keptNics = static_cast<int32_t>(whole(value.substr(0, value.size() - 4), 1'000'000));
    if (degraded.keptNics < 1) return refuse();
  } else if (slash != std::string_view::npos) {
    degraded.numerator = whole(value.substr(0, slash), 1'000'000'000);
    degraded.denominator = whole(value.substr(slash + 1), 1'000'000'000);
  } else {
    const auto part = scaleDecimal(value, 6);
    degraded.numerator = part && part->isExact ? part->value : -1;
    degraded.denominator = 1'000'000;
  }
  const int64_t divisor = std::gcd(degraded.numerator, degraded.denominator);
  const bool isPart = degraded.numerator >= 1 && degraded.numerator <= degraded.denominator;
  if (degraded.machine < 0 || !isPart) return refuse();
  degraded.numerator /= divisor;
  degraded.denominator /= divisor;
  return degraded;
}

base::Result<Topology> compose(std::span<const Topology* const> machines,
                               const NetworkSpec& network, std::span<const Degraded> degraded,
                               std::vector<std::string>* notes) {
  return Composer(machines, network, degraded, notes).run();
}

}  // namespace tutti::topology
