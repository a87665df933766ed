// Which algorithm a collective uses: a pure function of the World and the Call.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "src/ir/call.h"
#include "src/ir/plan.h"
#include "src/ir/world.h"

namespace tutti::plan {

// Names of the algorithms of a collective, in the order that breaks ties. {"send_recv"} for the
// collectives that have no schedule of their own: src/comm runs all_to_all_v, gather_v and
// scatter_v as grouped sends and receives.
std::vector<std::string_view> algorithmsFor(ir::Collective collective);

// May outputs be inputs, in the places that tutti.h names, on any subset of the ranks? False only
// for all_to_all direct: there the executor looks at the exposures, which say who is in place, and
// runs the fallback if anybody is.
bool isInPlaceSafe(ir::Collective collective, std::string_view algorithm);

// A choice that is not left to the model (TUTTI_ALGO).
struct Options {
  std::string algorithm;  // empty: the model chooses
  // 0: the model chooses; else brought down to what the algorithm can take
  uint64_t chunkBytes = 0;
  bool allowsPeerMemory = true;  // else only what works with any memory
};

// The plan with the shortest predicted time. Deterministic: times are compared as whole
// nanoseconds, equal ones by the order of algorithmsFor. World::costs come from one rank. About 5
// us for 8 ranks (callers cache by Call).
//
// The algorithm is one of algorithmsFor(call.collective), or "local" for one rank alone. Where it
// needs peer memory, fallbackAlgorithm is the best one that does not. Never blocks.
// Fails where options name an algorithm that this collective does not have, or that these ranks or
// this size can not use (invalid argument; the text lists those that can), and where the Call is no
// valid one (root or type out of range).
base::Result<ir::Plan> plan(const ir::World& world, const ir::Call& call, const Options& options);

// One algorithm's chance, for people and tests: `tutti plan` and docs/performance.md.
struct TemplatePrice {
  std::string_view algorithm;
  bool isUsable = false;
  std::string reason;       // why not, or why it is not chosen unless it is named
  uint64_t chunkBytes = 0;  // the best
  uint64_t ns = 0;          // predicted
};

// All algorithms of the call's collective as the model sees them, in the order of algorithmsFor.
std::vector<TemplatePrice> candidates(const ir::World& world, const ir::Call& call);

}  // namespace tutti::plan
