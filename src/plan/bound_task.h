// A demand in terms of the formulas. Private to this room.
#pragma once

#include <cstdint>
#include <vector>

#include "src/base/status.h"
#include "src/plan/bound.h"
#include "src/plan/bound_limits.h"
#include "topology/graph.h"

namespace tutti::plan {

struct Task {
  enum class Kind : uint8_t { kGather, kBroadcast, kAllReduce, kExchange };
  Kind kind = Kind::kAllReduce;
  bool isReversed = false;  // every link turned around
  int32_t root = 0;
  std::vector<int32_t> sinks = {};    // of kGather: one rank or all
  std::vector<int64_t> weights = {};  // of kGather
};

// Can there be a bound? The topology is one that topology::check accepts.
base::Status checkDemand(const topology::Topology& topology, const Demand& demand);
Task taskOf(const Demand& demand, int32_t ranks);
// Refers to the task.
CrossingOf crossingOf(const Task& task, int32_t ranks);

}  // namespace tutti::plan
