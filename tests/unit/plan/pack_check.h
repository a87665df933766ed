// What a packing must be, looked at without the code that made it.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "src/plan/bound.h"
#include "src/plan/routed.h"
#include "topology/graph.h"

namespace tutti::plan {

// Walks every path; adds the tree's weight times `blocks` to the links. Returns whether they are
// ways from each rank's parent to it (`isDown`), or back, through forwarders.
inline bool addLoad(const topology::Topology& topology, const RoutedTree& routed, bool isDown,
                    std::vector<int64_t>& load) {
  const auto ranks = topology.ranks();
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const ir::Rank parent = routed.tree.parents[rank];
    const auto& path = isDown ? routed.down[rank] : routed.up[rank];
    if (parent < 0) {
      if (!path.empty()) return false;
      continue;
    }
    auto here = isDown ? ranks[static_cast<size_t>(parent)] : ranks[rank];
    const auto end = isDown ? ranks[rank] : ranks[static_cast<size_t>(parent)];
    for (size_t i = 0; i < path.size(); ++i) {
      const auto& link = topology.links[static_cast<size_t>(path[i])];
      const bool isRank =
          topology.nodes[static_cast<size_t>(here)].kind == topology::NodeKind::kRank;
      if (link.from != here || (i > 0 && isRank)) return false;
      here = link.to;
      load[static_cast<size_t>(path[i])] += routed.tree.weight;
    }
    if (here != end || path.empty()) return false;
  }
  return true;
}

// Does every rank come to the root by its parents?
inline bool spans(const ir::Tree& tree) {
  for (size_t rank = 0; rank < tree.parents.size(); ++rank) {
    auto here = static_cast<ir::Rank>(rank);
    for (size_t steps = 0; here != tree.root; ++steps) {
      if (here < 0 || steps > tree.parents.size()) return false;
      here = tree.parents[static_cast<size_t>(here)];
    }
  }
  return tree.parents[static_cast<size_t>(tree.root)] == -1;
}

// Trees span, weights by root are as the collective wants them, and at the rate that it claims no
// link and no resource carries more than it can; one of them carries that exactly. Not of flooding.
inline void expectSound(const topology::Topology& topology, const Packing& packing,
                        const Bound& bound) {
  const bool isDown = packing.collective != ir::Collective::kReduce &&
                      packing.collective != ir::Collective::kReduceScatter;
  const bool isUp = !isDown || packing.collective == ir::Collective::kAllReduce;
  const bool isByRank = packing.collective == ir::Collective::kAllGather ||
                        packing.collective == ir::Collective::kReduceScatter;
  ASSERT_FALSE(packing.isFlooding);
  std::vector<int64_t> load(topology.links.size(), 0);
  std::vector<int64_t> weights(topology.ranks().size(), 0);
  int64_t total = 0;
  for (const RoutedTree& routed : packing.trees) {
    ASSERT_GE(routed.tree.weight, 1);
    ASSERT_TRUE(spans(routed.tree));
    total += routed.tree.weight;
    weights[static_cast<size_t>(routed.tree.root)] += routed.tree.weight;
    ASSERT_TRUE(!isDown || addLoad(topology, routed, true, load));
    ASSERT_TRUE(!isUp || addLoad(topology, routed, false, load));
  }
  const auto ranks = static_cast<int64_t>(weights.size());
  for (const int64_t each : weights) EXPECT_TRUE(!isByRank || each * ranks == total);
  const Rational rate = packing.achieved;  // load / total * rate <= capacity
  bool isFull = false;
  const auto fits = [&](int64_t charged, int64_t capacity) {
    const Int128 used = static_cast<Int128>(charged) * rate.num;
    const Int128 most = static_cast<Int128>(capacity) * total * rate.den;
    isFull = isFull || used == most;
    return used <= most;
  };
  for (size_t i = 0; i < load.size(); ++i) EXPECT_TRUE(fits(load[i], topology.links[i].capacity));
  for (const auto& resource : topology.resources) {
    int64_t charged = 0;
    for (const auto& charge : resource.charges) {
      charged += load[static_cast<size_t>(charge.link)] * charge.units;
    }
    EXPECT_TRUE(fits(charged, resource.capacity)) << resource.id;
  }
  EXPECT_TRUE(isFull);
  EXPECT_LE(rate, bound.kilobytesPerSecond);
}

}  // namespace tutti::plan
