// Trees over the ranks, with integer weights: what a plan of packed trees splits a message by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/ir/types.h"

namespace tutti::ir {

// A spanning tree of the ranks. Of several trees that share a message, each carries its weight's
// part of the sum of all weights.
struct Tree {
  Rank root = 0;
  int32_t weight = 1;         // at least 1
  std::vector<Rank> parents;  // by rank; parents[root] == -1

  bool operator==(const Tree&) const = default;
};

// How the trees of a forest share the blocks. All roots' blocks are cut at the same places, into so
// many slices that each tree carries a run of them.
struct ForestCut {
  explicit ForestCut(const std::vector<Tree>& trees);

  struct Run {
    int32_t slice = 0;
    int32_t slices = 1;
  };
  std::vector<int32_t> weights;  // of the slices
  std::vector<Run> runs;         // by tree
  // The trees, the first of every root before the second of any: neighbours in it differ in their
  // roots.
  std::vector<size_t> order;
};

}  // namespace tutti::ir
