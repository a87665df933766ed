// What tells two descriptions of one fabric apart.
#pragma once

#include <string>
#include <vector>

#include "topology/graph.h"

namespace tutti::topology {

// A line for each node and link of `before` that is missing or other in `after`, and for each that
// came in addition, 20 at most; empty exactly if the digests are equal. Nodes belong together by
// id, the rest by their place among those of their kind. Order of links counts only where nothing
// else differs.
std::vector<std::string> differences(const Topology& before, const Topology& after);

}  // namespace tutti::topology
