#include "src/plan/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "src/base/errors.h"
#include "src/base/hash.h"
#include "src/ir/schedule.h"
#include "src/plan/planned.h"

namespace tutti::plan {
namespace {

using ir::Collective;

constexpr uint64_t kShortestCall = 8;
constexpr uint64_t kLongestCall = uint64_t{4} << 30;

// A call of about `bytes`, as planBytes counts them.
ir::Call callOf(const FabricPlan& made, uint64_t bytes) {
  ir::Call call{
      .collective = made.collective, .type = ir::DataType::kUint8, .count = 1, .root = made.root};
  call.count = std::max<uint64_t>(1, bytes / ir::planBytes(call, made.ranks));
  return call;
}

// What runs in chunks that follow from the fabric; other patterns send blocks as plan() cuts them.
bool isPipelined(const Candidate& candidate) {
  return !candidate.packing.trees.empty() || candidate.algorithm == "chain";
}

}  // namespace

bool hasTable(Collective collective) {
  return collective == Collective::kAllReduce || collective == Collective::kReduce ||
         collective == Collective::kBroadcast || collective == Collective::kAllGather ||
         collective == Collective::kReduceScatter;
}

base::Result<DecisionTable> DecisionTable::make(const ir::World& world, FabricPlan made) {
  const auto refuse = [](std::string text) {
    return base::Status(base::Code::kInvalidArgument, base::kErrInvalidArgument, std::move(text));
  };
  if (made.ranks != world.size()) {
    return refuse(fmt::format("a fabric of {} ranks for {}", made.ranks, world.size()));
  }
  if (!hasTable(made.collective)) {
    return refuse(fmt::format("{} has no decision table", ir::name(made.collective)));
  }
  const auto templates = candidates(world, callOf(made, kLongestCall));
  std::erase_if(made.candidates, [&](const Candidate& each) {
    const auto found = std::find_if(templates.begin(), templates.end(), [&](const auto& other) {
      return other.algorithm == templateOf(each);
    });
    const bool isKnown = found != templates.end() && found->isUsable;
    return !isKnown || each.kilobytesPerSecond.num == 0;
  });
  DecisionTable table(std::move(made));
  for (uint64_t bytes = kShortestCall; bytes <= kLongestCall; bytes *= 2) {
    const Candidate* best = choiceOf(table.made_.candidates, bytes);
    const bool isByBoard = world.isAllMapped() && bytes <= ir::Limits::kBoardBytes;
    if (best != nullptr && !isByBoard) {
      table.rows_.push_back({bytes, best->algorithm, predictedNs(*best, bytes), false});
      continue;
    }
    TUTTI_ASSIGN_OR_RETURN(const ir::Plan other,
                           plan::plan(world, callOf(table.made_, bytes), Options()));
    table.rows_.push_back({bytes, other.algorithm, static_cast<int64_t>(other.predictedNs), true});
  }
  return table;
}

const DecisionTable::Row& DecisionTable::rowFor(uint64_t bytes) const {
  const auto after =
      std::upper_bound(rows_.begin(), rows_.end(), bytes,
                       [](uint64_t size, const Row& row) { return size < row.bytes; });
  return after == rows_.begin() ? *after : *std::prev(after);
}

uint64_t DecisionTable::digest() const {
  uint64_t hash = base::hash64(made_.fabric.digest(), base::kHashSeed);
  hash = base::hash64(static_cast<uint64_t>(made_.collective), hash);
  hash = base::hash64(static_cast<uint64_t>(made_.root), hash);
  for (const Row& row : rows_) {
    hash = base::hash64(row.algorithm, base::hash64(row.bytes, hash));
    hash = base::hash64(uint64_t{row.isByWorld}, hash);
  }
  return hash;
}

const Candidate* DecisionTable::find(std::string_view algorithm) const {
  const auto found =
      std::find_if(made_.candidates.begin(), made_.candidates.end(),
                   [&](const Candidate& each) { return each.algorithm == algorithm; });
  return found == made_.candidates.end() ? nullptr : &*found;
}

base::Result<ir::Plan> DecisionTable::plan(const ir::World& world, const ir::Call& call,
                                           const Options& options) const {
  const Row& row = rowFor(ir::planBytes(call, world.size()));
  if (!options.algorithm.empty()) {
    const Candidate* named = find(options.algorithm);
    if (named != nullptr) return fromFabric(*named, world, call, options);
  } else if (!row.isByWorld) {
    const Candidate* chosen = find(row.algorithm);
    if (chosen != nullptr) return fromFabric(*chosen, world, call, options);
  }
  return plan::plan(world, call, options);
}

base::Result<ir::Plan> DecisionTable::fromFabric(const Candidate& candidate, const ir::World& world,
                                                 const ir::Call& call, Options options) const {
  // This is also what checks the call.
  options.algorithm = templateOf(candidate);
  TUTTI_ASSIGN_OR_RETURN(ir::Plan result, plan::plan(world, call, options));
  const uint64_t bytes = ir::planBytes(call, world.size());
  result.order = candidate.order;
  result.predictedNs = static_cast<double>(predictedNs(candidate, bytes));
  if (!isPipelined(candidate)) return result;
  TUTTI_ASSIGN_OR_RETURN(Planned planned, plan::planned(made_, candidate.algorithm, bytes));
  if (options.chunkBytes > 0) planned.plan.chunkBytes = options.chunkBytes;
  ir::Plan fitted = inSlots(std::move(planned));
  result.trees = std::move(fitted.trees);
  result.chunkBytes = fitted.chunkBytes;
  result.isPaced = fitted.isPaced;
  return result;
}

}  // namespace tutti::plan
