// Exact packings of out-trees with given roots: no packing of as many units is better. Private to
// this room.
#pragma once

#include <optional>
#include <vector>

#include "src/plan/grown.h"
#include "src/plan/pack_task.h"
#include "src/plan/search_graph.h"

namespace tutti::plan {

// The best trees of equal units for the task, which is none of all_reduce: by the first of its
// divisions that comes to enoughPermille of the bound, else by the one that comes nearest, where a
// unit more counts as a little less. Shared resources do not count in what is best. `graph` is one
// of the task's direction.
//
// Capacities are rounded down to whole units, the largest unit for which flows show that the trees
// exist (algorithm: bound, then split.h, then Edmonds' branchings batch by batch, breadth first).
//
// Grows with the fourth power of the ranks: 16 in 2 ms, 64 in 0.2 s. Nothing for more than 128
// ranks or 256 nodes, where rounding down leaves nothing, and where a forwarder that can receive
// more or less than it sends does not allow it.
std::optional<std::vector<Grown>> findArborescences(const SearchGraph& graph, const PackTask& task);

}  // namespace tutti::plan
