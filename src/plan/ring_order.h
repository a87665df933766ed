// The order of the ranks in a ring. Private to this room.
#pragma once

#include <vector>

#include "src/base/status.h"
#include "src/ir/types.h"
#include "topology/graph.h"
#include "topology/routes.h"

namespace tutti::plan {

// The best order found, with `first` in front: from rank to rank in their own order and by nearest
// neighbours, the better one then improved by turning pieces around (2-opt), as long as the fullest
// link gets emptier and a number of tries that falls with the ranks is not used up. Deterministic.
base::Result<std::vector<ir::Rank>> ringOrder(const topology::Topology& topology,
                                              topology::RouteTable& routes, ir::Rank first);

}  // namespace tutti::plan
