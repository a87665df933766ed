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
  int32_t mostTrees = 32;  // of all_reduce, broadcast and reduce; 1 .. 1024
  // Of all_gather and reduce_scatter, for each root, 1 .. 64; 0: 8, and up to 16 for few ranks.
  int32_t mostPerRoot = 0;
  // The search ends where this share of the bound is reached, in thousandths, 1 .. 1000; 0: 980.
  int32_t enoughPermille = 0;
  // How long the search goes on, in arcs looked at, about 15 ns each; 0: by the ranks, so that 8
  // take 12 ms, 64 a quarter of a second, 1,024 six seconds. Trees as good as enough take less.
  int64_t mostWork = 0;
};

// Packs for bound.collective, which is one of those of Packing; for broadcast and reduce from or to
// `root`, which else has no meaning. `bound` is that of `topology`. Better call it with a
// contracted topology (topology::contract): fewer parts, the same result.
//
// Method of all_reduce, broadcast and reduce: the bound is divided into units, fewest first among
// those of which whole ones fill the links that limit well enough. For each division trees grow
// where there is room and are regrown one by one (tree_search.h); what serves two directions is
// charged for both, shared resources are loads like links. Where none is good enough, broadcast and
// reduce take exact trees (arborescences.h) instead, up to 128 ranks, if those are better. If that
// is not enough either, the best trees get unequal weights, by linear programs, and new trees where
// the programs' prices ask for them. At last trees are made as flat as the rate allows, and
// all_reduce's get their root in the middle.
//
// Of all_gather and reduce_scatter: the same search with trees from every root, up to 1,024 ranks;
// and exact forests up to 64 ranks, or up to 128 if the search is not good enough. Of two that are
// good enough the flatter one, else the faster one. Beyond, or where these are poor, all_reduce's
// trees carry every rank's block (Packing::isFlooding): half of the bound or more.
//
// Pure, the same on every machine: integers only, and its limit is counted work, not time.
// Fails where no tree of paths through forwarders spans the ranks (unsupported), and for a root,
// an option or a collective out of range (invalid argument). One rank: no trees.
base::Result<Packing> packTrees(const topology::Topology& topology, const Bound& bound,
                                ir::Rank root, const PackingOptions& options = {});

}  // namespace tutti::plan
