// The fabric that a command is about: from files, copies of them and a network between.
#pragma once

#include <CLI/App.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/base/status.h"
#include "src/ir/types.h"
#include "topology/graph.h"

namespace tutti::cli {

struct FabricInput {
  std::vector<std::string> files;
  int copies = 1;
  std::string network;                // topology/network.h
  std::vector<std::string> degraded;  // topology/compose.h
};

// Adds FILE..., --copies, --network and --degrade to a command; they are there once it is parsed.
std::shared_ptr<FabricInput> addFabricInput(CLI::App& command);

// Reads and joins them, and checks the result. Notes of the readers go to stderr, a line each.
base::Result<topology::Topology> loadFabric(const FabricInput& input);

// "all_reduce", "allreduce", "AllReduce", "all-reduce"; nothing for what is no collective.
std::optional<ir::Collective> parseCollective(const std::string& text);

}  // namespace tutti::cli
