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
  int32_t maxDepth = 0;  // messages one after another on the way of a chunk
  bool operator==(const Planned&) const = default;
};

// `algorithm` is one of the candidates of `made`, for a call of `bytes`. Patterns send whole
// blocks, as their prediction says. Chains and trees are pipelines of chunks, each as long as keeps
// a link busy for Pace::chunkNs; they are not cut to the slots of shared memory (inSlots does
// that). Integers only, so the same on every machine.
//
// Fails (invalid argument) where `made` has no such candidate, or one that can not be used here.
base::Result<Planned> planned(const FabricPlan& made, std::string_view algorithm, uint64_t bytes);

// The plan, a chain, trees or a forest, with its chunk brought down to what one slot of a FIFO
// holds, and to a multiple of 128 B: for all trees that share it, or, of a forest, for a message of
// each depth, so that each has a channel of its own (src/schedule/templates_trees.cc).
ir::Plan inSlots(Planned planned);

}  // namespace tutti::plan
