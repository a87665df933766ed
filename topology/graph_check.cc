#include <fmt/format.h>

#include <string>
#include <unordered_set>

#include "src/base/errors.h"
#include "topology/graph.h"

namespace tutti::topology {
namespace {

using base::Status;

Status failure(std::string text) {
  return {base::Code::kInvalidArgument, base::kErrTopology, std::move(text)};
}

Status checkNodes(const Topology& topology) {
  std::unordered_set<std::string_view> ids;
  for (size_t i = 0; i < topology.nodes.size(); ++i) {
    const std::string& id = topology.nodes[i].id;
    if (id.empty()) return failure(fmt::format("node {} has no id: give it one", i));
    if (!ids.insert(id).second) {
      return failure(fmt::format("two nodes have the id \"{}\": rename one of them", id));
    }
  }
  return Status::ok();
}

Status checkLink(const Topology& topology, size_t index) {
  const Link& link = topology.links[index];
  const auto isNode = [&](NodeIndex node) {
    return node >= 0 && static_cast<size_t>(node) < topology.nodes.size();
  };
  if (!isNode(link.from) || !isNode(link.to)) {
    return failure(fmt::format("link {} goes from node {} to node {}, but the nodes are 0 to {}",
                               index, link.from, link.to,
                               static_cast<int64_t>(topology.nodes.size()) - 1));
  }
  const std::string& from = topology.nodes[static_cast<size_t>(link.from)].id;
  const std::string& to = topology.nodes[static_cast<size_t>(link.to)].id;
  if (link.from == link.to) {
    return failure(fmt::format("a link of \"{}\" leads to itself: leave it out", from));
  }
  if (link.capacity < 1 || link.capacity > kMostCapacity) {
    return failure(
        fmt::format("the link from \"{}\" to \"{}\" has a capacity of {} kB/s, and it must be 1 to "
                    "{}: leave a link that carries nothing out",
                    from, to, link.capacity, kMostCapacity));
  }
  if (link.latencyNs < 0 || link.latencyNs > kMostLatencyNs) {
    return failure(
        fmt::format("the link from \"{}\" to \"{}\" has a latency of {} ns, and it must "
                    "be 0 to {}",
                    from, to, link.latencyNs, kMostLatencyNs));
  }
  return Status::ok();
}

Status checkCharges(const Topology& topology, const Resource& resource) {
  std::unordered_set<LinkIndex> charged;
  for (const Charge& charge : resource.charges) {
    if (charge.link < 0 || static_cast<size_t>(charge.link) >= topology.links.size()) {
      return failure(fmt::format("resource \"{}\" is charged by link {}, but there are {} links",
                                 resource.id, charge.link, topology.links.size()));
    }
    if (charge.units < 1) {
      return failure(
          fmt::format("resource \"{}\" is charged {} units by link {}, and it must be 1 "
                      "or more",
                      resource.id, charge.units, charge.link));
    }
    if (!charged.insert(charge.link).second) {
      return failure(fmt::format("resource \"{}\" is charged twice by link {}: add the units up",
                                 resource.id, charge.link));
    }
  }
  return Status::ok();
}

Status checkResources(const Topology& topology) {
  std::unordered_set<std::string_view> ids;
  for (size_t i = 0; i < topology.resources.size(); ++i) {
    const Resource& resource = topology.resources[i];
    if (resource.id.empty()) return failure(fmt::format("resource {} has no id: give it one", i));
    if (!ids.insert(resource.id).second) {
      return failure(
          fmt::format("two resources have the id \"{}\": rename one of them", resource.id));
    }
    if (resource.capacity < 1 || resource.capacity > kMostCapacity) {
      return failure(
          fmt::format("resource \"{}\" has a capacity of {} kB/s, and it must be 1 to {}",
                      resource.id, resource.capacity, kMostCapacity));
    }
    TUTTI_RETURN_IF_ERROR(checkCharges(topology, resource));
  }
  return Status::ok();
}

// The nodes that can be reached from `start` along (out) or against (in) the links.
std::vector<bool> reached(const Topology& topology, NodeIndex start,
                          const std::vector<std::vector<LinkIndex>>& links, bool isAlong) {
  std::vector<bool> seen(topology.nodes.size(), false);
  std::vector<NodeIndex> open{start};
  seen[static_cast<size_t>(start)] = true;
  while (!open.empty()) {
    const NodeIndex node = open.back();
    open.pop_back();
    for (const LinkIndex index : links[static_cast<size_t>(node)]) {
      const Link& link = topology.links[static_cast<size_t>(index)];
      const NodeIndex next = isAlong ? link.to : link.from;
      if (seen[static_cast<size_t>(next)]) continue;
      seen[static_cast<size_t>(next)] = true;
      open.push_back(next);
    }
  }
  return seen;
}

// All ranks reach each other if rank 0 reaches all and all reach rank 0.
Status checkWays(const Topology& topology) {
  const std::vector<NodeIndex> ranks = topology.ranks();
  if (ranks.empty()) return failure("there is no rank: a node of the kind \"rank\" is needed");
  const Adjacency adjacent = adjacency(topology);
  const std::vector<bool> there = reached(topology, ranks[0], adjacent.out, true);
  const std::vector<bool> back = reached(topology, ranks[0], adjacent.in, false);
  const std::string& first = topology.nodes[static_cast<size_t>(ranks[0])].id;
  for (size_t rank = 1; rank < ranks.size(); ++rank) {
    const auto node = static_cast<size_t>(ranks[rank]);
    if (there[node] && back[node]) continue;
    const std::string far = fmt::format("rank {} (\"{}\")", rank, topology.nodes[node].id);
    const std::string near = fmt::format("rank 0 (\"{}\")", first);
    return failure(
        fmt::format("there is no way from {} to {}: join them by links, or take the "
                    "parts as separate topologies",
                    there[node] ? far : near, there[node] ? near : far));
  }
  return Status::ok();
}

}  // namespace

Status check(const Topology& topology) {
  TUTTI_RETURN_IF_ERROR(checkNodes(topology));
  for (size_t i = 0; i < topology.links.size(); ++i) {
    TUTTI_RETURN_IF_ERROR(checkLink(topology, i));
  }
  TUTTI_RETURN_IF_ERROR(checkResources(topology));
  return checkWays(topology);
}

}  // namespace tutti::topology
