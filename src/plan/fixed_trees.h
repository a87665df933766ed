// Trees whose form is fixed, over the links of a fabric. Private to this room.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "src/ir/types.h"
#include "src/plan/bound.h"
#include "src/plan/routed.h"
#include "topology/graph.h"
#include "topology/routes.h"

namespace tutti::plan {

// "double_tree": two binary trees over all ranks, whatever joins them. "level_chain" and
// "level_tree": trees by the fabric's levels (levels.h), stars within the smallest groups, chains
// or double binary trees of the groups above. None of a root: of all_gather and reduce_scatter,
// which take a tree for each rank, only those by levels; of other collectives none at all.
std::vector<std::string_view> fixedTreesOf(ir::Collective collective);

// Measured, with equal weights; without trees where the fabric has no levels to make any by. Each
// message takes its way in `routes`. Fails (unsupported) where a way leads through other ranks, so
// that it is no edge of a tree.
base::Result<Packing> fixedTrees(const topology::Topology& fabric, topology::RouteTable& routes,
                                 const Demand& demand, std::string_view form);

}  // namespace tutti::plan
