// From what was found for a fabric to what runs: the Plan that src/schedule lowers, and the ways
// that its messages take.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "src/ir/plan.h"
#include "src/plan/fabric.h"
#include "topology/routes.h"

namespace tutti::plan {

struct Planned {
  ir::Plan plan;
  // Of trees: over links of FabricPlan::fabric. Empty for patterns, whose messages go as
  // topology::RouteTable finds, which is what their load was counted by.
  std::vector<topology::Route> routes;
  bool operator==(const Planned&) const = default;
};

// `algorithm` is one of the candidates of `made`. Patterns send whole blocks, as their prediction
// says. Chains and trees are pipelines of chunks, so long that a link is busy with one for
//   max(kPostsPerChunk x costs.postNs, the latency between two neighbours):
// posting a message then costs little, the pipeline fills in few percent of a long call, and
// Limits::kFifoSlots messages outlast the way there and back. Chunks of chains and trees are not
// cut to the slots of shared memory (inSlots does that); those of forests are, for a forest has a
// channel for each depth only where all of them fit one (Limits::kFifoSlotBytes). Integers only, so
// the same on every machine.
//
// Fails (invalid argument) where `made` has no such candidate, or one that can not be used here.
base::Result<Planned> planned(const FabricPlan& made, std::string_view algorithm,
                              const MessageCosts& costs = {});

inline constexpr int64_t kPostsPerChunk = 16;

// `plan`, a chain, trees or a forest, with its chunk brought down to what one slot of a FIFO holds,
// for all trees that share it, and to a multiple of 128 B.
ir::Plan inSlots(ir::Plan plan);

}  // namespace tutti::plan
