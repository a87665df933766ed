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
// other, or as one of the two trees of a double binary tree.
enum class LevelShape : uint8_t { kStar, kChain, kBinary };

struct Level {
  std::vector<int32_t> groups;  // by rank; ranks of one group are of one group at all later levels
  LevelShape shape = LevelShape::kStar;  // of what is in a group: of its ranks, or of the groups of
                                         // the level before
  bool operator==(const Level&) const = default;
};

// Are there groups for all of `size` ranks, and do those of a level lie within those of the next?
// Fails (invalid argument) where not.
base::Status checkLevels(int size, std::span<const Level> levels);

// Which of several trees that share a message.
struct LevelTree {
  LevelShape top = LevelShape::kStar;  // in which the largest groups hang together
  // It enters a group at its rank number `number`, modulo its size, so that the members of a group,
  // and their links to others, share the work; and starts in group number `number` of the largest.
  int number = 0;
  bool isSecond = false;  // of binary shapes: the second tree of a pair
  // With `root` >= 0 it starts at that rank, which hands over to the member whose turn it is: its
  // links to other groups are not the only ones in use.
  ir::Rank root = -1;
  // Where it is the root's own turn, the smallest group around it is a chain, so that all trees
  // together take no more of the root's links than of others'.
  bool sparesRoot = false;
};

// The tree, of weight 1, over the ranks, from the smallest groups to the largest. The levels have
// passed checkLevels. O(size x levels).
ir::Tree levelTree(int size, std::span<const Level> levels, const LevelTree& which);

}  // namespace tutti::plan
