#include "src/plan/bound.h"

#include <algorithm>
#include <map>
#include <utility>

#include "src/plan/bound_limits.h"
#include "src/plan/bound_task.h"

namespace tutti::plan {
namespace {

using topology::Topology;

struct LinkBound {
  Limit limit;
  Rational reachable;
};

void lower(Limit& limit, Limit other) {
  if (other.value < limit.value) limit = std::move(other);
}

// One flow to one sink needs no copies.
bool isFlow(const Task& task) { return task.kind == Task::Kind::kGather && task.sinks.size() == 1; }

LinkBound treeBound(const Fabric& fabric, const Task& task) {
  const auto cutLimit = [&](const Fabric& on) {
    return task.kind == Task::Kind::kBroadcast ? broadcastLimit(on, task.root)
                                               : gatherLimit(on, task.weights, task.sinks);
  };
  LinkBound found{.limit = cutLimit(fabric)};
  found.reachable = found.limit.value;
  if (isFlow(task) || isBalanced(fabric)) return found;
  found.reachable = cutLimit(balanced(fabric)).value;
  lower(found.limit, throughputLimit(fabric, 1));
  return found;
}

LinkBound allReduceBound(const Fabric& fabric) {
  LinkBound found{.limit = partitionLimit(fabric)};
  found.reachable = found.limit.value;
  if (isSymmetric(fabric)) return found;
  found.reachable = partitionLimit(narrowed(fabric)).value;
  Limit entering = partitionLimit(reversed(fabric));
  entering.kind = Limit::Kind::kEntering;
  lower(found.limit, std::move(entering));
  lower(found.limit, broadcastLimit(fabric, 0));
  Limit inward = broadcastLimit(reversed(fabric), 0);
  std::swap(inward.parts[0], inward.parts[1]);
  lower(found.limit, std::move(inward));
  lower(found.limit, throughputLimit(fabric, 2));
  return found;
}

// The ranks, and those of each host and each site, but not all ranks.
std::vector<std::vector<int32_t>> exchangeSets(const Topology& topology) {
  const auto nodes = topology.ranks();
  std::vector<std::vector<int32_t>> sets;
  for (size_t rank = 0; rank < nodes.size(); ++rank) sets.push_back({static_cast<int32_t>(rank)});
  for (const auto name : {&topology::Node::host, &topology::Node::site}) {
    std::map<std::string, std::vector<int32_t>> groups;
    for (size_t rank = 0; rank < nodes.size(); ++rank) {
      const std::string& group = topology.nodes[static_cast<size_t>(nodes[rank])].*name;
      if (!group.empty()) groups[group].push_back(static_cast<int32_t>(rank));
    }
    for (auto& [group, set] : groups) {
      if (set.size() > 1 && set.size() < nodes.size()) sets.push_back(std::move(set));
    }
  }
  return sets;
}

LinkBound linkBound(const Topology& topology, const Fabric& fabric, const Task& task) {
  switch (task.kind) {
    case Task::Kind::kAllReduce: return allReduceBound(fabric);
    case Task::Kind::kExchange:
      return {.limit = exchangeLimit(fabric, exchangeSets(topology)), .reachable = {0, 1}};
    default: break;
  }
  if (!task.isReversed) return treeBound(fabric, task);
  LinkBound found = treeBound(reversed(fabric), task);
  if (found.limit.kind == Limit::Kind::kCut && !found.limit.parts.empty()) {
    std::swap(found.limit.parts[0], found.limit.parts[1]);
  }
  return found;
}

std::vector<topology::LinkIndex> chargedLinks(const Topology& topology, const std::string& id) {
  std::vector<topology::LinkIndex> links;
  for (const topology::Resource& resource : topology.resources) {
    if (resource.id != id) continue;
    for (const topology::Charge& charge : resource.charges) links.push_back(charge.link);
  }
  std::sort(links.begin(), links.end());
  return links;
}

}  // namespace

base::Result<Bound> bound(const Topology& topology, const Demand& demand) {
  TUTTI_RETURN_IF_ERROR(topology::check(topology));
  TUTTI_RETURN_IF_ERROR(checkDemand(topology, demand));
  const Topology small = topology::contract(topology).topology;
  const Fabric fabric = makeFabric(small);
  Bound found{.collective = demand.collective};
  if (fabric.ranks == 1) return found;
  const Task task = taskOf(demand, fabric.ranks);
  LinkBound links = linkBound(small, fabric, task);
  lower(links.limit, resourceLimit(small, fabric, crossingOf(task, fabric.ranks),
                                   task.kind == Task::Kind::kAllReduce));
  found.kilobytesPerSecond = links.limit.value;
  found.reachable = shrunkByResources(small, links.reachable);
  found.isExact = found.reachable == found.kilobytesPerSecond;
  if (found.kilobytesPerSecond.isUnlimited()) return found;
  found.parts = links.limit.parts;
  found.resources = links.limit.resources;
  found.links = found.resources.empty() ? limitingLinks(topology, links.limit)
                                        : chargedLinks(topology, found.resources[0]);
  return found;
}

}  // namespace tutti::plan
