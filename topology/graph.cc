#include "topology/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "src/base/hash.h"

namespace tutti::topology {
namespace {

constexpr std::string_view kNodeNames[] = {"rank", "switch", "nic", "bridge", "host"};
constexpr std::string_view kLinkNames[] = {"device", "chip", "pci", "socket", "network", "other"};
constexpr std::string_view kProvenanceNames[] = {"table", "declared", "measured"};

uint64_t hashText(std::string_view text, uint64_t before) {
  return base::hash64(text, base::hash64(text.size(), before));
}

uint64_t hashNumber(int64_t value, uint64_t before) {
  return base::hash64(static_cast<uint64_t>(value), before);
}

uint64_t hashNode(const Node& node, uint64_t hash) {
  hash = hashNumber(static_cast<int64_t>(node.kind), hash);
  for (const std::string* text :
       {&node.id, &node.host, &node.site, &node.vendor, &node.model, &node.address}) {
    hash = hashText(*text, hash);
  }
  return hash;
}

uint64_t hashLink(const Link& link, uint64_t hash) {
  for (const int64_t value :
       {int64_t{link.from}, int64_t{link.to}, link.capacity, link.latencyNs,
        static_cast<int64_t>(link.kind), static_cast<int64_t>(link.provenance)}) {
    hash = hashNumber(value, hash);
  }
  return hash;
}

uint64_t hashResource(const Resource& resource, uint64_t hash) {
  hash = hashNumber(resource.capacity, hashText(resource.id, hash));
  hash = base::hash64(resource.charges.size(), hash);
  for (const Charge& charge : resource.charges) {
    hash = hashNumber(charge.units, hashNumber(charge.link, hash));
  }
  return hash;
}

// "-> s 300 GB/s device 1000 ns", on a line of its own
void writeLink(std::back_insert_iterator<std::string> out, const Topology& topology,
               const Link& link) {
  fmt::format_to(out, "\n  -> {} {} GB/s {}", topology.nodes[static_cast<size_t>(link.to)].id,
                 gigabytesText(link.capacity), name(link.kind));
  if (link.latencyNs != 0) fmt::format_to(out, " {} ns", link.latencyNs);
  if (link.provenance != Provenance::kDeclared) {
    fmt::format_to(out, " {}", name(link.provenance));
  }
}

}  // namespace

std::vector<NodeIndex> Topology::ranks() const {
  std::vector<NodeIndex> found;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].kind == NodeKind::kRank) found.push_back(static_cast<NodeIndex>(i));
  }
  return found;
}

std::vector<int32_t> Topology::rankOfNode() const {
  std::vector<int32_t> ranks(nodes.size(), -1);
  int32_t next = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].kind == NodeKind::kRank) ranks[i] = next++;
  }
  return ranks;
}

NodeIndex Topology::find(std::string_view id) const {
  const auto found =
      std::find_if(nodes.begin(), nodes.end(), [id](const Node& node) { return node.id == id; });
  return found == nodes.end() ? -1 : static_cast<NodeIndex>(found - nodes.begin());
}

NodeIndex Topology::addNode(Node node) {
  nodes.push_back(std::move(node));
  return static_cast<NodeIndex>(nodes.size() - 1);
}

LinkIndex Topology::addLink(Link link) {
  links.push_back(link);
  return static_cast<LinkIndex>(links.size() - 1);
}

LinkIndex Topology::addDuplex(Link link) {
  const LinkIndex first = addLink(link);
  std::swap(link.from, link.to);
  addLink(link);
  return first;
}

uint64_t Topology::digest() const {
  uint64_t hash = base::hash64(nodes.size(), base::kHashSeed);
  for (const Node& node : nodes) hash = hashNode(node, hash);
  hash = base::hash64(links.size(), hash);
  for (const Link& link : links) hash = hashLink(link, hash);
  hash = base::hash64(resources.size(), hash);
  for (const Resource& resource : resources) hash = hashResource(resource, hash);
  return hash;
}

Adjacency adjacency(const Topology& topology) {
  Adjacency found;
  found.out.resize(topology.nodes.size());
  found.in.resize(topology.nodes.size());
  for (size_t i = 0; i < topology.links.size(); ++i) {
    const Link& link = topology.links[i];
    found.out[static_cast<size_t>(link.from)].push_back(static_cast<LinkIndex>(i));
    found.in[static_cast<size_t>(link.to)].push_back(static_cast<LinkIndex>(i));
  }
  return found;
}

std::string_view name(NodeKind kind) { return kNodeNames[static_cast<size_t>(kind)]; }
std::string_view name(LinkKind kind) { return kLinkNames[static_cast<size_t>(kind)]; }
std::string_view name(Provenance provenance) {
  return kProvenanceNames[static_cast<size_t>(provenance)];
}

std::string gigabytesText(int64_t capacity) {
  // Four digits that count, of which kB/s are the sixth after the point.
  int decimals = 6;
  for (int64_t bound = kGigabyte / 100; decimals > 0 && capacity >= bound; bound *= 10) --decimals;
  std::string text = fmt::format("{:.{}f}", static_cast<double>(capacity) / kGigabyte, decimals);
  if (decimals > 0) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  return text;
}

std::string toString(const Topology& topology) {
  const std::vector<int32_t> ranks = topology.rankOfNode();
  const Adjacency adjacent = adjacency(topology);
  std::string text;
  const auto out = std::back_inserter(text);
  fmt::format_to(out, "topology {}: {} nodes, {} links, {} resources", topology.name,
                 topology.nodes.size(), topology.links.size(), topology.resources.size());
  for (size_t i = 0; i < topology.nodes.size(); ++i) {
    const Node& node = topology.nodes[i];
    fmt::format_to(out, "\n{} {}", name(node.kind), node.id);
    if (ranks[i] >= 0) fmt::format_to(out, " rank={}", ranks[i]);
    const std::pair<std::string_view, const std::string*> facts[] = {{"host", &node.host},
                                                                     {"site", &node.site},
                                                                     {"vendor", &node.vendor},
                                                                     {"model", &node.model},
                                                                     {"address", &node.address}};
    for (const auto& [key, value] : facts) {
      if (!value->empty()) fmt::format_to(out, " {}={}", key, *value);
    }
    for (const LinkIndex link : adjacent.out[i]) {
      writeLink(out, topology, topology.links[static_cast<size_t>(link)]);
    }
  }
  for (const Resource& resource : topology.resources) {
    fmt::format_to(out, "\nresource {} {} GB/s, charged by {} links", resource.id,
                   gigabytesText(resource.capacity), resource.charges.size());
  }
  return text + "\n";
}

}  // namespace tutti::topology
