// The main of every tool.
#pragma once

#include <memory>

#include "perf/common/collective.h"

namespace tutti::perf {

// Reads the command line, starts the ranks, measures, reports. Returns the exit code (failure.h).
int runTool(int argc, char** argv, std::unique_ptr<Collective> (*makeCollective)());

template <typename OneCollective>
int runTool(int argc, char** argv) {
  return runTool(argc, argv,
                 []() -> std::unique_ptr<Collective> { return std::make_unique<OneCollective>(); });
}

}  // namespace tutti::perf
