// Packing trees from every rank, for all-gather and reduce-scatter. Private to this room.
#pragma once

#include "src/base/status.h"
#include "src/plan/pack_task.h"
#include "src/plan/routed.h"

namespace tutti::plan {

// See packTrees. At least two ranks; `graph` is one of the task's direction.
base::Result<Packing> packForest(const PackTask& task, const SearchGraph& graph);

}  // namespace tutti::plan
