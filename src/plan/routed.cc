#include "src/plan/routed.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/base/errors.h"
#include "src/plan/index.h"

namespace tutti::plan {
namespace {

using ir::Collective;
using ir::Rank;
using topology::LinkIndex;
using topology::NodeIndex;
using topology::Topology;

bool flowsDown(const Packing& packing) {
  return packing.isFlooding || plan::flowsDown(packing.collective);
}

bool flowsUp(const Packing& packing) {
  return packing.isFlooding || plan::flowsUp(packing.collective);
}

// The ranks from the root on, parents before children; fewer than all where the tree does not span.
std::vector<Rank> inOrder(const ir::Tree& tree) {
  const size_t size = tree.parents.size();
  std::vector<std::vector<Rank>> children(size);
  for (size_t rank = 0; rank < size; ++rank) {
    const Rank parent = tree.parents[rank];
    if (parent >= 0) children[at(parent)].push_back(static_cast<Rank>(rank));
  }
  std::vector<Rank> order = {tree.root};
  for (size_t i = 0; i < order.size(); ++i) {
    const auto& next = children[at(order[i])];
    order.insert(order.end(), next.begin(), next.end());
  }
  return order;
}

int32_t depthOf(const ir::Tree& tree) {
  std::vector<int32_t> depths(tree.parents.size(), 0);
  int32_t deepest = 0;
  for (const Rank rank : inOrder(tree)) {
    const Rank parent = tree.parents[at(rank)];
    if (parent >= 0) deepest = std::max(deepest, depths[at(rank)] = depths[at(parent)] + 1);
  }
  return deepest;
}

// Of how many ranks a tree edge carries the block, by the rank at its lower end: away from the root
// and towards it.
struct Parts {
  std::vector<int64_t> down;
  std::vector<int64_t> up;
};

Parts partsOf(const Packing& packing, const ir::Tree& tree) {
  const size_t size = tree.parents.size();
  if (!packing.isFlooding) return {std::vector<int64_t>(size, 1), std::vector<int64_t>(size, 1)};
  std::vector<int64_t> below(size, 1);
  const std::vector<Rank> order = inOrder(tree);
  for (size_t i = order.size(); i-- > 1;) {
    below[at(tree.parents[at(order[i])])] += below[at(order[i])];
  }
  std::vector<int64_t> above(size);
  for (size_t rank = 0; rank < size; ++rank) above[rank] = static_cast<int64_t>(size) - below[rank];
  // A block of all_gather goes away from its rank, one of reduce_scatter towards it.
  return packing.collective == Collective::kAllGather ? Parts{std::move(above), std::move(below)}
                                                      : Parts{std::move(below), std::move(above)};
}

base::Status defect(size_t tree, std::string text) {
  return {base::Code::kInternalError, base::kErrInternal,
          fmt::format("tree {} of a packing: {}", tree, text)};
}

// Is `path` a way from one rank to another through forwarders?
bool isPath(const Topology& topology, const std::vector<LinkIndex>& path, NodeIndex from,
            NodeIndex to) {
  NodeIndex node = from;
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] < 0 || at(path[i]) >= topology.links.size()) return false;
    const topology::Link& link = topology.links[at(path[i])];
    if (link.from != node) return false;
    if (i > 0 && topology.nodes[at(node)].kind == topology::NodeKind::kRank) return false;
    node = link.to;
  }
  return node == to && !path.empty();
}

base::Status checkTree(const Topology& topology, const std::vector<NodeIndex>& ranks,
                       const Packing& packing, size_t index) {
  const RoutedTree& routed = packing.trees[index];
  const ir::Tree& tree = routed.tree;
  const size_t size = ranks.size();
  if (tree.parents.size() != size || routed.down.size() != size || routed.up.size() != size) {
    return defect(index, fmt::format("not of {} ranks", size));
  }
  if (tree.weight < 1) return defect(index, fmt::format("weight {}", tree.weight));
  for (size_t rank = 0; rank < size; ++rank) {
    const Rank parent = tree.parents[rank];
    const bool isRoot = static_cast<Rank>(rank) == tree.root;
    if (parent < -1 || parent >= static_cast<Rank>(size) || isRoot != (parent == -1)) {
      return defect(index, fmt::format("parent {} of rank {}", parent, rank));
    }
    const bool isDown = !isRoot && flowsDown(packing);
    const bool isUp = !isRoot && flowsUp(packing);
    if (isDown ? !isPath(topology, routed.down[rank], ranks[at(parent)], ranks[rank])
               : !routed.down[rank].empty()) {
      return defect(index, fmt::format("no path down to rank {}", rank));
    }
    if (isUp ? !isPath(topology, routed.up[rank], ranks[rank], ranks[at(parent)])
             : !routed.up[rank].empty()) {
      return defect(index, fmt::format("no path up from rank {}", rank));
    }
  }
  if (tree.root < 0 || at(tree.root) >= size || inOrder(tree).size() != size) {
    return defect(index, fmt::format("does not span the ranks from {}", tree.root));
  }
  return base::Status::ok();
}

}  // namespace

bool flowsDown(Collective collective) {
  return collective == Collective::kAllReduce || collective == Collective::kBroadcast ||
         collective == Collective::kAllGather;
}

bool flowsUp(Collective collective) {
  return collective == Collective::kAllReduce || collective == Collective::kReduce ||
         collective == Collective::kReduceScatter;
}

bool isByRank(Collective collective) {
  return collective == Collective::kAllGather || collective == Collective::kReduceScatter;
}

void chargeResources(const Topology& topology, Load& load) {
  load.resources.assign(topology.resources.size(), 0);
  for (size_t i = 0; i < topology.resources.size(); ++i) {
    for (const topology::Charge& charge : topology.resources[i].charges) {
      load.resources[i] += load.links[at(charge.link)] * charge.units;
    }
  }
}

Load loadOf(const Topology& topology, const Packing& packing) {
  Load load;
  load.links.assign(topology.links.size(), 0);
  for (const RoutedTree& routed : packing.trees) {
    const Parts parts = partsOf(packing, routed.tree);
    const auto size = static_cast<int64_t>(routed.tree.parents.size());
    load.total += routed.tree.weight * (packing.isFlooding ? size : 1);
    for (size_t rank = 0; rank < routed.tree.parents.size(); ++rank) {
      for (const LinkIndex link : routed.down[rank]) {
        load.links[at(link)] += routed.tree.weight * parts.down[rank];
      }
      for (const LinkIndex link : routed.up[rank]) {
        load.links[at(link)] += routed.tree.weight * parts.up[rank];
      }
    }
  }
  chargeResources(topology, load);
  return load;
}

Rational rateOf(const Topology& topology, const Load& load) {
  Rational rate = Rational::unlimited();
  const auto bound = [&](int64_t capacity, int64_t charged) {
    if (charged == 0) return;
    rate = std::min(rate, makeRational(static_cast<Int128>(capacity) * load.total, charged));
  };
  for (size_t i = 0; i < load.links.size(); ++i) bound(topology.links[i].capacity, load.links[i]);
  for (size_t i = 0; i < load.resources.size(); ++i) {
    bound(topology.resources[i].capacity, load.resources[i]);
  }
  return rate;
}

base::Status check(const Topology& topology, const Packing& packing) {
  const std::vector<NodeIndex> ranks = topology.ranks();
  std::vector<int64_t> weights(ranks.size(), 0);
  for (size_t i = 0; i < packing.trees.size(); ++i) {
    TUTTI_RETURN_IF_ERROR(checkTree(topology, ranks, packing, i));
    const ir::Tree& tree = packing.trees[i].tree;
    weights[at(tree.root)] += tree.weight;
    const bool hasRoot =
        packing.collective == Collective::kBroadcast || packing.collective == Collective::kReduce;
    if (hasRoot && tree.root != packing.trees[0].tree.root) {
      return defect(i, fmt::format("root {}", tree.root));
    }
  }
  if (packing.trees.empty() && ranks.size() > 1) return defect(0, "missing");
  for (size_t rank = 0; rank < weights.size(); ++rank) {
    if (isByRank(packing.collective) && !packing.isFlooding && weights[rank] != weights[0]) {
      return defect(0, fmt::format("weight {} of rank {}", weights[rank], rank));
    }
  }
  return base::Status::ok();
}

void measure(const Topology& topology, Packing& packing) {
  packing.achieved = rateOf(topology, loadOf(topology, packing));
  packing.maxDepth = 0;
  int64_t weighted = 0;
  int64_t weights = 0;
  for (const RoutedTree& routed : packing.trees) {
    const int32_t depth = depthOf(routed.tree);
    packing.maxDepth = std::max(packing.maxDepth, depth);
    weighted += int64_t{depth} * routed.tree.weight;
    weights += routed.tree.weight;
  }
  packing.averageDepth = weights == 0 ? Rational{} : makeRational(weighted, weights);
}

std::string toString(const Packing& packing) {
  return fmt::format("{}: {} trees{}, {:.6g} GB/s, depth {} (average {:.1f})",
                     ir::name(packing.collective), packing.trees.size(),
                     packing.isFlooding ? " for every rank" : "",
                     packing.achieved.value() / topology::kGigabyte, packing.maxDepth,
                     packing.averageDepth.value());
}

}  // namespace tutti::plan
