// A tree while it is searched for. Private to this room.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/plan/routed.h"
#include "src/plan/search_graph.h"

namespace tutti::plan {

struct Grown {
  using Arc = SearchGraph::Arc;

  // The hand-over from one rank to the next; the order of magnitude is all that matters.
  static constexpr int64_t kHopNs = 5000;

  ir::Rank root = 0;
  int32_t weight = 1;
  std::vector<ir::Rank> parents;  // by rank, as in ir::Tree
  std::vector<int64_t> delays;    // by rank: from the root, in ns: kHopNs an edge, and its latency
  std::vector<Arc> arcs;          // of all edges, each from the parent on
  std::vector<int32_t> first;     // by rank: where its edge starts in arcs
  std::vector<int32_t> count;     // by rank: how many arcs it has

  std::span<const Arc> arcsTo(ir::Rank rank) const {
    const auto at = static_cast<size_t>(rank);
    return {arcs.data() + first[at], static_cast<size_t>(count[at])};
  }
};

// The rank from which the farthest is nearest by delay, whatever the root.
struct Middle {
  ir::Rank rank;
  int64_t delay;  // to the farthest
};
Middle middleOf(const Grown& tree);

// The tree with its links, turned around so that `root` is its root; another one than tree.root
// only where the graph's direction is kBoth.
RoutedTree route(const SearchGraph& graph, const Grown& tree, ir::Rank root);

}  // namespace tutti::plan
