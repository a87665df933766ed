// The best weights for given trees. Private to this room.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/plan/grown.h"
#include "src/plan/search_graph.h"

namespace tutti::plan {

struct Weights {
  static constexpr int32_t kSum = 1 << 16;
  static constexpr int kPriceBits = 40;

  // By tree: with these they carry the most while no slot has more than it can; at most as many are
  // above 0 as slots are full. Their sum is at most kSum.
  std::vector<int32_t> weights;
  // By slot: how much more a little more capacity would let through; 0 where it is not full. Below
  // 2^kPriceBits. A tree is worth adding if its slots' prices add up to less than those of the
  // others.
  std::vector<int64_t> prices;
  int64_t work = 0;  // as Grower::work counts it
};

// Exact but for rounding the weights, on the slots that matter. At least one tree; they have arcs.
Weights weigh(const SearchGraph& graph, std::span<const Grown> trees);

}  // namespace tutti::plan
