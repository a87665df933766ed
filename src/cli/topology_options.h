// The fabric that a command is to look at, as its command line describes it.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "src/base/status.h"
#include "topology/load.h"

namespace tutti::cli {

struct TopologyOptions {
  std::vector<std::string> files;
  int copies = 1;
  std::string network;
  std::vector<std::string> degraded;
};

// Adds FILE..., --copies, --network and --degrade. `options` outlives `command`.
void addTopologyOptions(CLI::App& command, TopologyOptions& options);

// Reads the files (without any: discovers this machine) and joins them: copies of each, in order.
// One machine without a network stays as it is. The result can be planned for; its notes say what
// was corrected. Errors are for people.
base::Result<topology::Loaded> makeTopology(const TopologyOptions& options);

}  // namespace tutti::cli
