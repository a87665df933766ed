// Trees level by level: islands in hosts in sites. With "trees" they are the two- and three-level
// algorithms, all of whose phases overlap: chunk by chunk, while one is combined inside the hosts,
// the one before crosses the network.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/base/status.h"
#include "src/ir/forest.h"

namespace tutti::plan {

// How the groups of a level hang together, by their leaders: one in the middle, one after the
// other, or two below each.
enum class LevelShape : uint8_t { kStar, kChain, kBinary };

struct Level {
  std::vector<int32_t> groups;  // by rank; ranks of one group are of one group at all later levels
  LevelShape shape = LevelShape::kStar;  // of what is in a group: of its ranks, or of the groups of
                                         // the level before
};

// `count` trees of weight 1 over the ranks, from the smallest groups to the largest; `top` is the
// shape in which the largest hang together. Tree t enters a group at its rank number t, modulo its
// size, so that the members of a group, and their links to others, share the work; it starts in
// another of the largest groups than the tree before. `root` >= 0: all start at this rank. O(count
// x size x levels).
//
// Fails (invalid argument) where a level does not have one group for each rank, or groups that do
// not lie within those of the next.
base::Result<std::vector<ir::Tree>> levelTrees(int size, std::span<const Level> levels,
                                               LevelShape top, int count, ir::Rank root = -1);

}  // namespace tutti::plan
