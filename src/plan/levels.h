// The levels of a fabric: islands of fast links, hosts, sites. Private to this room.
#pragma once

#include <vector>

#include "src/plan/level_trees.h"
#include "topology/graph.h"

namespace tutti::plan {

// Groups of the fabric's ranks, the smallest first; at most three levels, none where all ranks are
// alike. Sites and hosts as the nodes name them; where hosts have no names or one rank each, the
// largest groups joined by links that are wider than those between the groups. Islands are groups
// within these, joined by links at least half as wide again as what leads out of them; of several
// such divisions that where the step is the greatest. Links count that lead both ways, and the
// narrower of the two.
//
// The shape of the smallest groups is a star, that of the others `shape`. O(links log links).
std::vector<Level> levelsOf(const topology::Topology& fabric, LevelShape shape);

}  // namespace tutti::plan
