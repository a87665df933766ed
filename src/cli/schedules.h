// From a question about a plan to what ranks run, and how it is written down.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "src/cli/plan_options.h"
#include "src/ir/call.h"
#include "src/ir/plan.h"
#include "src/ir/schedule.h"
#include "src/plan/fabric.h"

namespace tutti::cli {

// An error of usage, for people.
base::Status usageError(std::string text);

// The call of question.bytes, in bytes as elements, so that any size is possible.
base::Result<ir::Call> callOf(const PlanQuestion& question, int ranks);

// The Schedules of all ranks, in order.
base::Result<std::vector<ir::Schedule>> lowerAll(const ir::Plan& plan, int ranks);
// Those of the plan's choice.
base::Result<std::vector<ir::Schedule>> chosenSchedules(const plan::FabricPlan& made);

// Writes all of `text` to a file, or to stdout for "-".
base::Status writeText(const std::string& path, std::string_view text);

}  // namespace tutti::cli
