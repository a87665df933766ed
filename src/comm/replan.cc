// A communicator while it runs: watches its links, and goes over to another plan with all ranks.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "src/base/clock.h"
#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/log.h"
#include "src/comm/communicator.h"
#include "src/plan/bound.h"

namespace tutti::comm {

using base::Code;
using base::Status;

namespace {

constexpr int64_t kMostPercent = 95;  // above, noise is slow
constexpr auto kLookWhileHeld = std::chrono::milliseconds(5);

std::string boundText(const topology::Topology& topology) {
  const auto bound = plan::bound(topology, {.collective = ir::Collective::kAllReduce});
  if (!bound.isOk() || bound->kilobytesPerSecond.isUnlimited()) return "unknown";
  return topology::gigabytesText(bound->kilobytesPerSecond.num / bound->kilobytesPerSecond.den);
}

}  // namespace

// All ranks judge alike: settings and World are the same.
Status Communicator::watchLinks() {
  const auto& config = base::processConfig();
  ReplanOptions options;
  options.permille = 10 * std::clamp<int64_t>(config.get(base::param::kReplan), 0, kMostPercent);
  options.drill = config.get(base::param::kReplanDrill);
  if (world_.isAllMapped()) options.permille = 0;
  const bool isWatching = options.permille > 0 || options.drill.count() > 0;
  if (fabric_ == nullptr || size() < 2 || !isWatching) return {};
  options.topology = fabric_->topology();
  for (const auto& connection : connections_) {
    options.remotes.push_back(connection == nullptr ? nullptr : connection->remote());
  }
  replanner_ = std::make_unique<Replanner>(*control_, std::move(options));
  TUTTI_RETURN_IF_ERROR(control_->allGather("").status());
  replanner_->start();
  return {};
}

// Waits where ranks are agreeing, for some milliseconds; goes over where they have agreed. What
// ends the wait is the communicator's failure: an abort that follows must not take its place.
Status Communicator::enterPlan() {
  if (replanner_ == nullptr) return {};
  Status status = awaitPlan();
  if (!status.isOk()) engine_->abort(status);
  return status;
}

Status Communicator::awaitPlan() {
  PlanGate& gate = replanner_->gate();
  const uint64_t number = engine_->nextNumber();
  if (gate.pass(number)) return {};
  const int64_t since = base::nowNs();
  for (;;) {
    Switch due;
    const auto entry = gate.enter(number, due);
    if (entry == PlanGate::Entry::kPass) return {};
    if (entry == PlanGate::Entry::kSwitch) {
      goOver(std::move(due));
      continue;
    }
    if (engine_->hasFailed()) return engine_->failure();
    if (auto status = externalFailure(); !status.isOk()) return status;
    const int64_t limitMs = config_.timeout.count();
    if (limitMs != 0 && base::nowNs() - since > limitMs * 1'000'000) {
      return {Code::kTimeout, base::kErrCollectiveTimeout,
              fmt::format("{} did not say within {:g} s how to go on after asking all ranks about "
                          "a new plan; look whether it is stopped",
                          describeRank(0), static_cast<double>(limitMs) / 1000.0)};
    }
    gate.await(kLookWhileHeld);
  }
}

void Communicator::goOver(Switch&& due) {
  const int generation = generation_.number + 1;
  auto fabric = Fabric::ofReplanned(std::move(due.topology), generation);
  if (rank_ == 0) {
    TUTTI_LOG_WARN("replanned from operation {} on: {}; all_reduce bound {} -> {} GB/s", due.from,
                   due.reason, boundText(fabric_->topology()), boundText(fabric->topology()));
    if (measured_) measured_->forget();  // the next communicator is to measure again
  } else {
    TUTTI_LOG_INFO(kGraph, "replanned from operation {} on, generation {}: {}", due.from,
                   generation, due.reason);
  }
  const std::lock_guard lock(plansMutex_);
  fabric_ = std::move(fabric);
  plans_.clear();
  generation_ = {generation, due.from, std::move(due.reason)};
}

}  // namespace tutti::comm
