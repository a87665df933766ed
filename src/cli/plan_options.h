// The collective on a fabric that `tutti plan` and `tutti sim` are asked about.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "src/base/status.h"
#include "src/cli/topology_options.h"
#include "src/plan/bound.h"
#include "src/plan/fabric.h"
#include "src/plan/store.h"
#include "topology/load.h"

namespace tutti::cli {

struct PlanOptions {
  TopologyOptions topology;
  std::string collective = "all_reduce";
  std::string bytes = "1G";
  int root = 0;
  bool asJson = false;
  bool isUncached = false;
};

// Adds what addTopologyOptions does, --coll, --bytes, --root, --json and --no-cache. `options`
// outlives `command`.
void addPlanOptions(CLI::App& command, PlanOptions& options);

struct PlanQuestion {
  topology::Topology fabric;
  plan::Demand demand;
  uint64_t bytes = 0;
};

// Reads what was given; prints the notes of topologies to stderr. Errors are for people.
base::Result<PlanQuestion> readPlanQuestion(const PlanOptions& options);

// Where plans are kept: nowhere with --no-cache.
plan::PlanStore storeOf(const PlanOptions& options);

// "all_reduce of 1 GiB over 8 ranks on h100".
std::string toString(const PlanQuestion& question, int ranks);

// In GB/s; null where nothing has to move.
nlohmann::json rateJson(const plan::Rational& kilobytesPerSecond);

// Since a time of base::nowNs.
double millisecondsSince(int64_t startNs);

// Prints "tutti COMMAND: ..." and returns the exit code.
int failedCommand(std::string_view command, const base::Status& status);

}  // namespace tutti::cli
