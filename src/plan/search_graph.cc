#include "src/plan/search_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "src/base/errors.h"
#include "src/plan/index.h"

namespace tutti::plan {
namespace {

using topology::Link;
using topology::LinkIndex;
using topology::NodeIndex;
using topology::Topology;

constexpr int kMostRanksByPaths = 256;
// An arc that takes more of a resource is as bad as it can be; keeps sums of prices in 64 bits.
constexpr int32_t kMostUnits = 1024;

// For every link the one that leads back, or -1. Of parallel links the widest are paired first.
std::vector<LinkIndex> findPartners(const Topology& topology) {
  std::map<std::pair<NodeIndex, NodeIndex>, std::vector<LinkIndex>> bundles;
  for (size_t i = 0; i < topology.links.size(); ++i) {
    bundles[{topology.links[i].from, topology.links[i].to}].push_back(static_cast<LinkIndex>(i));
  }
  const auto isWider = [&](LinkIndex a, LinkIndex b) {
    return topology.links[at(a)].capacity > topology.links[at(b)].capacity;
  };
  for (auto& [ends, bundle] : bundles) std::stable_sort(bundle.begin(), bundle.end(), isWider);
  std::vector<LinkIndex> partners(topology.links.size(), -1);
  for (const auto& [ends, bundle] : bundles) {
    const auto back = bundles.find({ends.second, ends.first});
    if (back == bundles.end()) continue;
    const size_t pairs = std::min(bundle.size(), back->second.size());
    for (size_t i = 0; i < pairs; ++i) partners[at(bundle[i])] = back->second[i];
  }
  return partners;
}

// By node, the path with the fewest links from a rank to each other one through forwarders; empty
// where there is none.
std::vector<std::vector<LinkIndex>> findPaths(const Topology& topology,
                                              const topology::Adjacency& adjacency,
                                              NodeIndex start) {
  const auto isRank = [&](NodeIndex node) {
    return topology.nodes[at(node)].kind == topology::NodeKind::kRank;
  };
  std::vector<LinkIndex> via(topology.nodes.size(), -1);
  std::vector<NodeIndex> queue = {start};
  for (size_t i = 0; i < queue.size(); ++i) {
    const NodeIndex node = queue[i];
    if (node != start && isRank(node)) continue;
    for (const LinkIndex link : adjacency.out[at(node)]) {
      const NodeIndex next = topology.links[at(link)].to;
      if (next == start || via[at(next)] >= 0) continue;
      via[at(next)] = link;
      queue.push_back(next);
    }
  }
  std::vector<std::vector<LinkIndex>> paths(topology.nodes.size());
  for (const NodeIndex end : queue) {
    if (end == start || !isRank(end)) continue;
    for (NodeIndex node = end; node != start; node = topology.links[at(via[at(node)])].from) {
      paths[at(end)].push_back(via[at(node)]);
    }
    std::reverse(paths[at(end)].begin(), paths[at(end)].end());
  }
  return paths;
}

int64_t latencyOf(const Topology& topology, const std::vector<LinkIndex>& path) {
  int64_t sum = 0;
  for (const LinkIndex link : path) sum += topology.links[at(link)].latencyNs;
  return sum;
}

}  // namespace

base::Result<SearchGraph> SearchGraph::make(const Topology& topology, Direction direction) {
  SearchGraph graph(topology, draftLinks(topology, direction));
  if (graph.spans()) return graph;
  if (direction == Direction::kBoth && graph.rankCount() <= kMostRanksByPaths) {
    SearchGraph composed(topology, draftPaths(topology));
    if (composed.spans()) return composed;
  }
  return base::Status(
      base::Code::kInvalidUsage, base::kErrUnsupported,
      fmt::format("no tree spans the {} ranks{}: some of them are joined to the "
                  "others in one direction, or through another rank only",
                  graph.rankCount(), topology.name.empty() ? "" : " of " + topology.name));
}

std::vector<SearchGraph::Draft> SearchGraph::draftLinks(const Topology& topology,
                                                        Direction direction) {
  std::vector<Draft> drafts;
  const std::vector<LinkIndex> partners = findPartners(topology);
  for (size_t i = 0; i < topology.links.size(); ++i) {
    const Link& link = topology.links[i];
    const auto index = static_cast<LinkIndex>(i);
    if (direction == Direction::kDown) {
      drafts.push_back({link.from, link.to, {index}, {}});
    } else if (direction == Direction::kUp) {
      drafts.push_back({link.to, link.from, {}, {index}});
    } else if (partners[i] >= 0) {
      drafts.push_back({link.from, link.to, {index}, {partners[i]}});
    }
  }
  return drafts;
}

std::vector<SearchGraph::Draft> SearchGraph::draftPaths(const Topology& topology) {
  const topology::Adjacency adjacency = topology::adjacency(topology);
  const std::vector<NodeIndex> ranks = topology.ranks();
  std::vector<std::vector<std::vector<LinkIndex>>> paths;
  for (const NodeIndex rank : ranks) paths.push_back(findPaths(topology, adjacency, rank));
  std::vector<Draft> drafts;
  for (size_t a = 0; a < ranks.size(); ++a) {
    for (size_t b = 0; b < ranks.size(); ++b) {
      const auto& down = paths[a][at(ranks[b])];
      const auto& up = paths[b][at(ranks[a])];
      if (down.empty() || up.empty()) continue;
      drafts.push_back({ranks[a], ranks[b], down, up});
    }
  }
  return drafts;
}

std::vector<std::vector<SearchGraph::Charge>> SearchGraph::addSlots(const Topology& topology) {
  std::vector<std::vector<Charge>> ofLink;
  for (const Link& link : topology.links) {
    ofLink.push_back({{slotCount(), 1}});
    capacity_.push_back(link.capacity);
  }
  for (const topology::Resource& resource : topology.resources) {
    for (const topology::Charge& charge : resource.charges) {
      ofLink[at(charge.link)].push_back({slotCount(), std::min(charge.units, kMostUnits / 2)});
    }
    capacity_.push_back(resource.capacity);
  }
  return ofLink;
}

SearchGraph::SearchGraph(const Topology& topology, std::vector<Draft> drafts)
    : rankNodes_(topology.ranks()),
      rankAt_(topology.rankOfNode()),
      outFirst_(topology.nodes.size() + 1, 0) {
  const std::vector<std::vector<Charge>> ofLink = addSlots(topology);
  // A node's arcs lie side by side.
  std::stable_sort(drafts.begin(), drafts.end(),
                   [](const Draft& a, const Draft& b) { return a.from < b.from; });
  std::vector<std::vector<Arc>> in(topology.nodes.size());
  std::vector<std::vector<Charge>> chargers(capacity_.size());
  for (const Draft& draft : drafts) {
    std::map<Slot, int32_t> units;
    for (const auto* path : {&draft.down, &draft.up}) {
      for (const LinkIndex link : *path) {
        for (const Charge& charge : ofLink[at(link)]) units[charge.at] += charge.units;
      }
    }
    std::vector<Charge> charges;
    for (const auto& [slot, count] : units) {
      charges.push_back({slot, count});
      chargers[at(slot)].push_back({arcCount(), count});
    }
    charges_.add(charges);
    down_.add(draft.down);
    up_.add(draft.up);
    in[at(draft.to)].push_back(arcCount());
    ++outFirst_[at(draft.from) + 1];
    ends_.push_back({draft.from, draft.to,
                     std::max(latencyOf(topology, draft.down), latencyOf(topology, draft.up))});
  }
  for (size_t node = 1; node < outFirst_.size(); ++node) outFirst_[node] += outFirst_[node - 1];
  for (const auto& arcs : in) in_.add(arcs);
  for (const auto& arcs : chargers) chargers_.add(arcs);
}

// Does a tree grow over all ranks from the first one? Trees of other roots then do too: in kBoth
// arcs lead both ways, and otherwise topology::check has seen to it that all ranks reach all.
bool SearchGraph::spans() const {
  std::vector<char> isSeen(at(nodeCount()), 0);
  std::vector<NodeIndex> queue = {nodeOf(0)};
  isSeen[at(nodeOf(0))] = 1;
  int found = 0;
  for (size_t i = 0; i < queue.size(); ++i) {
    found += rankAt(queue[i]) >= 0 ? 1 : 0;
    for (Arc arc = outFirst(queue[i]); arc < outFirst(queue[i] + 1); ++arc) {
      if (isSeen[at(to(arc))] == 0) queue.push_back(to(arc));
      isSeen[at(to(arc))] = 1;
    }
  }
  return found == rankCount();
}

}  // namespace tutti::plan
