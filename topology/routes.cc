#include "topology/routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <queue>

#include "src/base/errors.h"

namespace tutti::topology {
namespace {

base::Status invalid(std::string text) {
  return {base::Code::kInvalidArgument, base::kErrInvalidArgument, std::move(text)};
}

}  // namespace

RouteTable::RouteTable(const Topology& topology)
    : topology_(&topology),
      adjacency_(adjacency(topology)),
      nodes_(topology.ranks()),
      rankOfNode_(topology.rankOfNode()) {}

base::Result<RouteTable> RouteTable::make(const Topology& topology,
                                          const std::vector<Route>& given) {
  RouteTable table(topology);
  for (const Route& route : given) TUTTI_RETURN_IF_ERROR(table.add(route));
  return table;
}

base::Status RouteTable::add(const Route& route) {
  const auto what = fmt::format("the route from rank {} to rank {} for slice {}", route.from,
                                route.to, route.slice);
  const auto isRank = [this](ir::Rank rank) {
    return rank >= 0 && static_cast<size_t>(rank) < nodes_.size();
  };
  if (!isRank(route.from) || !isRank(route.to) || route.from == route.to) {
    return invalid(fmt::format("{} does not join two of {} ranks", what, nodes_.size()));
  }
  NodeIndex at = nodes_[static_cast<size_t>(route.from)];
  for (const LinkIndex link : route.links) {
    if (link < 0 || static_cast<size_t>(link) >= topology_->links.size()) {
      return invalid(fmt::format("{} names link {} of {}", what, link, topology_->links.size()));
    }
    const Link& next = topology_->links[static_cast<size_t>(link)];
    if (next.from != at) {
      return invalid(fmt::format("{}: link {} does not start at {}, where the route has come to",
                                 what, link, topology_->nodes[static_cast<size_t>(at)].id));
    }
    at = next.to;
  }
  const NodeIndex end = nodes_[static_cast<size_t>(route.to)];
  if (at != end) {
    return invalid(fmt::format("{} ends at {}, not at {}", what,
                               topology_->nodes[static_cast<size_t>(at)].id,
                               topology_->nodes[static_cast<size_t>(end)].id));
  }
  if (!given_.try_emplace({route.slice, route.block, route.from, route.to}, route.links).second) {
    return invalid(fmt::format("{} is given twice", what));
  }
  return {};
}

base::Result<std::vector<LinkIndex>> RouteTable::find(ir::Rank from, ir::Rank to, int channel,
                                                      int slice, int block) {
  for (const int of : {block, -1}) {
    const auto given = given_.find({slice, of, from, to});
    if (given != given_.end()) return given->second;
  }
  const NodeIndex start = nodes_[static_cast<size_t>(from)];
  const NodeIndex target = nodes_[static_cast<size_t>(to)];
  for (const bool passesRanks : {false, true}) {
    const int64_t width = searchFrom(start, passesRanks).widths[static_cast<size_t>(target)];
    if (width > 0) return walk(from, target, channel, width, passesRanks);
  }
  return invalid(fmt::format("the topology has no way from rank {} to rank {}", from, to));
}

// Back from the target, over links that lie on a shortest way.
std::vector<LinkIndex> RouteTable::walk(ir::Rank from, NodeIndex target, int channel, int64_t width,
                                        bool passesRanks) {
  const NodeIndex start = nodes_[static_cast<size_t>(from)];
  const std::vector<Distance>& distances = distancesOver(width, start, passesRanks);
  const auto turn = static_cast<size_t>(from) + static_cast<size_t>(channel);
  std::vector<LinkIndex> links;
  std::vector<LinkIndex> equal;
  for (NodeIndex node = target; node != start;) {
    equal.clear();
    for (const LinkIndex index : adjacency_.in[static_cast<size_t>(node)]) {
      const Link& link = topology_->links[static_cast<size_t>(index)];
      const Distance& there = distances[static_cast<size_t>(link.from)];
      if (link.capacity < width || there.links < 0) continue;
      if (!forwards(link.from, start, passesRanks)) continue;
      const Distance sum{there.links + 1, there.latencyNs + link.latencyNs};
      if (sum == distances[static_cast<size_t>(node)]) equal.push_back(index);
    }
    links.push_back(equal[turn % equal.size()]);
    node = topology_->links[static_cast<size_t>(links.back())].from;
  }
  std::reverse(links.begin(), links.end());
  return links;
}

bool RouteTable::forwards(NodeIndex node, NodeIndex from, bool passesRanks) const {
  return passesRanks || node == from || rankOfNode_[static_cast<size_t>(node)] < 0;
}

const RouteTable::Search& RouteTable::searchFrom(NodeIndex node, bool passesRanks) {
  const auto [found, isNew] = searches_.try_emplace(2 * int64_t{node} + (passesRanks ? 1 : 0));
  if (isNew) found->second.widths = widthsFrom(node, passesRanks);
  return found->second;
}

const std::vector<RouteTable::Distance>& RouteTable::distancesOver(int64_t width, NodeIndex from,
                                                                   bool passesRanks) {
  Search& search = searches_[2 * int64_t{from} + (passesRanks ? 1 : 0)];
  const auto [found, isNew] = search.distances.try_emplace(width);
  if (isNew) found->second = distancesFrom(from, width, passesRanks);
  return found->second;
}

// Dijkstra's algorithm on the narrowest link of the way.
std::vector<int64_t> RouteTable::widthsFrom(NodeIndex from, bool passesRanks) const {
  std::vector<int64_t> widths(topology_->nodes.size());
  std::priority_queue<std::pair<int64_t, NodeIndex>> queue;
  widths[static_cast<size_t>(from)] = INT64_MAX;
  queue.push({INT64_MAX, from});
  while (!queue.empty()) {
    const auto [width, node] = queue.top();
    queue.pop();
    if (width < widths[static_cast<size_t>(node)] || !forwards(node, from, passesRanks)) continue;
    for (const LinkIndex index : adjacency_.out[static_cast<size_t>(node)]) {
      const Link& link = topology_->links[static_cast<size_t>(index)];
      const int64_t reached = std::min(width, link.capacity);
      if (reached <= widths[static_cast<size_t>(link.to)]) continue;
      widths[static_cast<size_t>(link.to)] = reached;
      queue.push({reached, link.to});
    }
  }
  return widths;
}

std::vector<RouteTable::Distance> RouteTable::distancesFrom(NodeIndex from, int64_t width,
                                                            bool passesRanks) const {
  using Entry = std::tuple<int32_t, int64_t, NodeIndex>;
  std::vector<Distance> distances(topology_->nodes.size());
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
  distances[static_cast<size_t>(from)] = {0, 0};
  queue.push({0, 0, from});
  while (!queue.empty()) {
    const auto [links, latency, node] = queue.top();
    queue.pop();
    if (distances[static_cast<size_t>(node)] != Distance{links, latency} ||
        !forwards(node, from, passesRanks)) {
      continue;
    }
    for (const LinkIndex index : adjacency_.out[static_cast<size_t>(node)]) {
      const Link& link = topology_->links[static_cast<size_t>(index)];
      if (link.capacity < width) continue;
      Distance& there = distances[static_cast<size_t>(link.to)];
      const Distance reached{links + 1, latency + link.latencyNs};
      const bool isNearer = there.links < 0 || std::tie(reached.links, reached.latencyNs) <
                                                   std::tie(there.links, there.latencyNs);
      if (!isNearer) continue;
      there = reached;
      queue.push({reached.links, reached.latencyNs, link.to});
    }
  }
  return distances;
}

}  // namespace tutti::topology
