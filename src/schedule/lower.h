// From a Plan to the Schedule of one rank. Pure: every rank computes the same for all ranks.
#pragma once

#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "src/ir/plan.h"
#include "src/ir/schedule.h"

namespace tutti::schedule {

// The part of `rank` in `plan` among `size` ranks. O(size) steps (O(size log size) for the packing
// of all_to_all bruck, O(trees) for trees and forests), whatever the length of the message. One
// rank alone copies ("local") whatever the plan says. Fails with an internal error where the plan
// names an algorithm that this collective or this size does not have, ranks out of range, or trees
// that are none.
base::Result<ir::Schedule> lower(const ir::Plan& plan, int size, ir::Rank rank);

// The same for plan.fallbackAlgorithm in chunks of plan.fallbackChunkBytes. Never uses peer memory
// or posts, so it can follow the exposures of the first choice.
base::Result<ir::Schedule> lowerFallback(const ir::Plan& plan, int size, ir::Rank rank);

// Names that `lower` knows for a collective among `size` ranks, in the order of the table.
std::vector<std::string_view> loweredAlgorithms(ir::Collective collective, int size);

}  // namespace tutti::schedule
