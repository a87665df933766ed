// Plan::trees as the templates see them. Private to this room.
#pragma once

#include <cstdint>
#include <vector>

#include "src/base/status.h"
#include "src/ir/forest.h"
#include "src/ir/plan.h"
#include "src/ir/trees.h"

namespace tutti::schedule {

// Trees for ranks that are all alike, where a plan for "trees" or "forest" names none: a double
// binary tree, or a binomial tree from each rank.
std::vector<ir::Tree> defaultTrees(const ir::Plan& plan, int size);

// Are the plan's trees what its algorithm needs (ir/plan.h)? O(trees x size).
base::Status checkTrees(const ir::Plan& plan, int size);

// The place of `rank`, with its children in ascending order.
ir::TreeNode nodeOf(const ir::Tree& tree, ir::Rank rank);
// How far each rank is from the root.
std::vector<int> depthsOf(const ir::Tree& tree);

// `chunkBytes` cut by weight: each part a multiple of 128 and at least that, so the sum exceeds
// `chunkBytes` where there is less than 128 bytes for each.
std::vector<uint64_t> chunksByWeight(uint64_t chunkBytes, const std::vector<int32_t>& weights);

}  // namespace tutti::schedule
