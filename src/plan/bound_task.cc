#include "src/plan/bound_task.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "src/base/errors.h"
#include "src/plan/index.h"

namespace tutti::plan {
namespace {

using base::Status;
using ir::Collective;
using topology::Topology;

// Sums of all capacities stay below this, and with it all products below 2^126.
constexpr int64_t kMostTotal = int64_t{1} << 52;
constexpr int64_t kMostWeight = int64_t{1} << 60;

bool hasWeights(Collective collective) {
  switch (collective) {
    case Collective::kAllGather:
    case Collective::kAllGatherV:
    case Collective::kReduceScatter:
    case Collective::kReduceScatterV:
    case Collective::kGather:
    case Collective::kGatherV:
    case Collective::kScatter:
    case Collective::kScatterV: return true;
    default: return false;
  }
}

Status invalid(std::string text) {
  return {base::Code::kInvalidArgument, base::kErrInvalidArgument, std::move(text)};
}

Status checkWeights(const Demand& demand, int32_t ranks) {
  if (demand.weights.empty()) return Status::ok();
  if (!hasWeights(demand.collective)) {
    return invalid(fmt::format("{} takes no weights", ir::name(demand.collective)));
  }
  if (demand.weights.size() != at(ranks)) {
    return invalid(fmt::format("{} weights for {} ranks: give one for each, or none",
                               demand.weights.size(), ranks));
  }
  int64_t left = kMostWeight;
  for (size_t rank = 0; rank < demand.weights.size(); ++rank) {
    const int64_t weight = demand.weights[rank];
    if (weight < 0) return invalid(fmt::format("the weight of rank {} is {}", rank, weight));
    if (weight > left) {
      return invalid(
          fmt::format("the weights add up to more than {}: scale them down", kMostWeight));
    }
    left -= weight;
  }
  return Status::ok();
}

}  // namespace

Status checkDemand(const Topology& topology, const Demand& demand) {
  const auto ranks = static_cast<int32_t>(topology.ranks().size());
  const Collective collective = demand.collective;
  int64_t left = kMostTotal;
  for (const topology::Link& link : topology.links) {
    if ((left -= link.capacity) <= 0) {
      return invalid(
          fmt::format("the capacities of all links add up to {} kB/s or more: the "
                      "figures must be too large",
                      kMostTotal));
    }
  }
  if (collective == Collective::kAllToAllV) {
    return {base::Code::kInvalidArgument, base::kErrUnsupported,
            "there is no bound for all_to_all_v: look at all_to_all"};
  }
  const auto isRank = [&](int32_t rank) { return rank >= 0 && rank < ranks; };
  const bool isPair = collective == Collective::kSend || collective == Collective::kRecv;
  if ((isPair || ir::hasRoot(collective)) && !isRank(demand.root)) {
    return invalid(fmt::format("root {}: the ranks are 0 to {}", demand.root, ranks - 1));
  }
  if (isPair && !isRank(demand.peer)) {
    return invalid(fmt::format("peer {}: the ranks are 0 to {}", demand.peer, ranks - 1));
  }
  return checkWeights(demand, ranks);
}

Task taskOf(const Demand& demand, int32_t ranks) {
  Task task{.root = demand.root, .weights = demand.weights};
  if (task.weights.empty()) task.weights.assign(at(ranks), 1);
  switch (demand.collective) {
    case Collective::kAllReduce: task.kind = Task::Kind::kAllReduce; break;
    case Collective::kReduce: task.isReversed = true; [[fallthrough]];
    case Collective::kBroadcast: task.kind = Task::Kind::kBroadcast; break;
    case Collective::kReduceScatter:
    case Collective::kReduceScatterV: task.isReversed = true; [[fallthrough]];
    case Collective::kAllGather:
    case Collective::kAllGatherV:
      task.kind = Task::Kind::kGather;
      task.sinks.resize(at(ranks));
      std::iota(task.sinks.begin(), task.sinks.end(), 0);
      break;
    case Collective::kScatter:
    case Collective::kScatterV: task.isReversed = true; [[fallthrough]];
    case Collective::kGather:
    case Collective::kGatherV:
      task.kind = Task::Kind::kGather;
      task.sinks = {demand.root};
      break;
    case Collective::kSend:
    case Collective::kRecv:
      task.kind = Task::Kind::kGather;
      task.sinks = {demand.peer};
      task.weights.assign(at(ranks), 0);
      task.weights[at(demand.root)] = 1;
      break;
    case Collective::kAllToAll:
    case Collective::kAllToAllV: task.kind = Task::Kind::kExchange; break;
  }
  return task;
}

CrossingOf crossingOf(const Task& task, int32_t ranks) {
  std::vector<int64_t> weights = task.weights;
  int64_t whole = std::accumulate(weights.begin(), weights.end(), int64_t{0});
  constexpr int64_t kMostWhole = 1 << 23;
  const int64_t divisor = whole / kMostWhole + 1;
  if (divisor > 1) {
    // Shares rounded down of a whole rounded up: less must cross, and the bound stays one.
    for (int64_t& weight : weights) weight /= divisor;
    whole = whole / divisor + 1;
  }
  const int64_t total = std::accumulate(weights.begin(), weights.end(), int64_t{0});
  return [&task, ranks, whole, total, weights](std::span<const int32_t> set) {
    const auto isIn = [&](int32_t rank) {
      return std::find(set.begin(), set.end(), rank) != set.end();
    };
    Crossing crossing{.out = 1, .in = 1};
    const auto size = static_cast<int64_t>(set.size());
    if (task.kind == Task::Kind::kBroadcast) {
      (isIn(task.root) ? crossing.in : crossing.out) = 0;
    } else if (task.kind == Task::Kind::kExchange) {
      crossing = {.out = size * (ranks - size), .in = size * (ranks - size), .whole = ranks};
    } else if (task.kind == Task::Kind::kGather) {
      const bool isToAll = task.sinks.size() > 1;
      const bool isToSet = !isToAll && isIn(task.sinks[0]);
      int64_t weight = 0;
      for (const int32_t rank : set) weight += weights[at(rank)];
      crossing = {.out = isToSet ? 0 : weight,
                  .in = isToAll || isToSet ? total - weight : 0,
                  .whole = whole};
    }
    if (task.isReversed) std::swap(crossing.out, crossing.in);
    return crossing;
  };
}

}  // namespace tutti::plan
