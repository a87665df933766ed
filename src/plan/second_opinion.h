// An independent check of what bound.h says of all_reduce and of the trees that pack_trees.h finds:
// the rate of spanning trees by multiplicative weights, enclosed from both sides.
#pragma once

#include <cstdint>

#include "src/base/status.h"
#include "topology/graph.h"

namespace tutti::plan {

struct OpinionOptions {
  // The search ends when the two sides are this close, in thousandths of the upper one; 1 .. 999.
  int32_t gapPermille = 20;
  // At most so many trees; 0: 20,000, which is 2 s for 128 ranks and 20 s for 1,024.
  int32_t mostTrees = 0;
};

// In kB/s, the algorithm bandwidth of long messages, as Bound. For people and tests only: floating
// point decides here, which no two ranks must have to agree on.
struct Opinion {
  double atLeast = 0;    // trees were found that carry this much
  double atMost = 0;     // no trees carry more
  int32_t trees = 0;     // looked at; not all are different
  bool isClose = false;  // by options.gapPermille
};

// Of all_reduce on fabrics with links that have the same capacity both ways, where reducing up a
// tree and broadcasting down the same one is as good as anything. So there the bound of bound.h
// lies between the two, but for shared resources: these count as they are charged by trees.
//
// Method (Garg, Koenemann; Young): every link has a length y, at first 1 / capacity. Again and
// again the shortest spanning tree takes as much as fits its tightest link, and lengths grow
// exponentially with what their links carry, in ever shorter steps. What the trees carry together,
// divided by how overfull the fullest link is, can be had at once: the lower side. By duality
// sum(capacity * y) / (length of the shortest tree) is an upper one for any y. Shortest trees
// follow from one Dijkstra from all ranks together (Mehlhorn: ranks are joined where their
// territories meet) and Kruskal.
//
// Deterministic on one machine. O(links log links) for each tree; to 2 %, 64 ranks 30 ms, 256 ranks
// 0.3 s, 1,024 ranks 3 to 6 s. Fails where topology::check does,
// for options out of range (invalid argument), and where links differ between their directions
// (unsupported). One rank: no trees, both sides unlimited (infinite).
base::Result<Opinion> secondOpinion(const topology::Topology& topology,
                                    const OpinionOptions& options = {});

}  // namespace tutti::plan
