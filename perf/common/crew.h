// The ranks of one process: a thread for each, which joins the communicator, measures and leaves.
#pragma once

#include <string>

#include "perf/common/collective.h"
#include "perf/common/launch.h"
#include "perf/common/options.h"

namespace tutti::perf {

// Runs this process's ranks to their end and returns the exit code. When one rank fails the others
// are given a few seconds to notice; then the process exits by itself.
int runCrew(const Options& options, const Collective& collective, const Process& process,
            const std::string& program);

}  // namespace tutti::perf
