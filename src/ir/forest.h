// Trees over the ranks, with integer weights: what a plan of packed trees splits a message by.
#pragma once

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

}  // namespace tutti::ir
