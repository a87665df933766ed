// Packing spanning trees into a fabric, few and flat ones: schedules for long messages that come
// within a few percent of what the fabric allows, on any fabric.
#pragma once

#include <cstdint>

#include "src/base/status.h"
#include "src/ir/types.h"
#include "src/plan/bound.h"
#include "src/plan/routed.h"
#include "topology/graph.h"

namespace tutti::plan {

struct PackingOptions {
  int32_t mostTrees = 32;   // of all_reduce, broadcast and reduce; at least 1
  int32_t mostPerRoot = 8;  // of all_gather and reduce_scatter; at least 1
  // The search ends where this share of the bound is reached, in thousandths; 0: 980, of all_gather
  // and reduce_scatter 960 (there another tree per root is one more for every rank).
  int32_t enoughPermille = 0;
  // How long the search goes on, in arcs looked at, about 15 ns each; 0: by the ranks, so that 8
  // take 5 ms, 64 a sixth of a second, 1,024 four seconds. Trees as good as enough take less.
  int64_t mostWork = 0;
};

// Packs for bound.collective, which is one of those of Packing; of broadcast and reduce from or to
// `root`, which else has no meaning. `bound` is that of `topology`. Better call it with a
// contracted topology (topology::contract): fewer parts, the same result.
//
// Method: candidates are numbers of trees (of all_gather: per root), in ascending order, first
// those for which whole trees fill the links that limit well enough. Each is searched by growing
// trees where there is room and regrowing them one by one (tree_search.h): a tree that serves two
// directions is charged for both; shared resources are loads like links. Trees of unequal weight
// where mostTrees equal ones do not fill the links. At last trees are made as flat as the same rate
// allows, and all_reduce's get their root in the middle.
//
// Pure, the same on every machine: integers only, and its limit is counted work, not time.
// Fails where no tree of paths through forwarders spans the ranks (unsupported), and for a root,
// an option or a collective out of range (invalid argument). One rank: no trees.
base::Result<Packing> packTrees(const topology::Topology& topology, const Bound& bound,
                                ir::Rank root, const PackingOptions& options = {});

}  // namespace tutti::plan
