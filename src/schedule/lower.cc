#include "src/schedule/lower.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "src/base/errors.h"
#include "src/schedule/check.h"
#include "src/schedule/forest.h"
#include "src/schedule/templates.h"

namespace tutti::schedule {
namespace {

using ir::Collective;

struct Entry {
  Collective collective;
  std::string_view algorithm;
  Template add;
  bool needsPeerMemory = false;
  bool needsPowerOfTwo = false;
};

constexpr Entry kTable[] = {
    {Collective::kAllReduce, "one_shot", allReduceOneShot},
    {Collective::kAllReduce, "direct", allReduceDirect, true},
    {Collective::kAllReduce, "two_shot", allReduceTwoShot},
    {Collective::kAllReduce, "recursive_doubling", allReduceRecursiveDoubling},
    {Collective::kAllReduce, "halving_doubling", allReduceHalvingDoubling},
    {Collective::kAllReduce, "ring", allReduceRing},
    {Collective::kAllReduce, "double_tree", allReduceDoubleTree},
    {Collective::kAllReduce, "trees", allReduceTrees},
    {Collective::kReduce, "one_shot", reduceOneShot},
    {Collective::kReduce, "direct", reduceDirect, true},
    {Collective::kReduce, "two_shot", reduceTwoShot},
    {Collective::kReduce, "tree", reduceTree},
    {Collective::kReduce, "double_tree", reduceDoubleTree},
    {Collective::kReduce, "chain", reduceChain},
    {Collective::kReduce, "trees", reduceTrees},
    {Collective::kBroadcast, "one_shot", broadcastOneShot},
    {Collective::kBroadcast, "direct", broadcastDirect, true},
    {Collective::kBroadcast, "chain", broadcastChain},
    {Collective::kBroadcast, "tree", broadcastTree},
    {Collective::kBroadcast, "double_tree", broadcastDoubleTree},
    {Collective::kBroadcast, "scatter_all_gather", broadcastScatterAllGather},
    {Collective::kBroadcast, "trees", broadcastTrees},
    {Collective::kAllGather, "one_shot", allGatherOneShot},
    {Collective::kAllGather, "direct", allGatherDirect, true},
    {Collective::kAllGather, "exchange", allGatherExchange},
    {Collective::kAllGather, "ring", allGatherRing},
    {Collective::kAllGather, "bruck", allGatherBruck},
    {Collective::kAllGather, "recursive_doubling", allGatherRecursiveDoubling, false, true},
    {Collective::kAllGather, "pat", allGatherPat},
    {Collective::kAllGather, "forest", allGatherForest},
    {Collective::kReduceScatter, "one_shot", reduceScatterOneShot},
    {Collective::kReduceScatter, "direct", reduceScatterDirect, true},
    {Collective::kReduceScatter, "exchange", reduceScatterExchange},
    {Collective::kReduceScatter, "ring", reduceScatterRing},
    {Collective::kReduceScatter, "halving", reduceScatterHalving},
    {Collective::kReduceScatter, "pat", reduceScatterPat},
    {Collective::kReduceScatter, "forest", reduceScatterForest},
    {Collective::kAllToAll, "one_shot", allToAllOneShot},
    {Collective::kAllToAll, "direct", allToAllDirect, true},
    {Collective::kAllToAll, "exchange", allToAllExchange},
    {Collective::kAllToAll, "bruck", allToAllBruck},
    {Collective::kGather, "one_shot", gatherOneShot},
    {Collective::kGather, "direct", gatherDirect, true},
    {Collective::kGather, "exchange", gatherExchange},
    {Collective::kGather, "binomial", gatherBinomial},
    {Collective::kScatter, "one_shot", scatterOneShot},
    {Collective::kScatter, "direct", scatterDirect, true},
    {Collective::kScatter, "exchange", scatterExchange},
    {Collective::kScatter, "binomial", scatterBinomial},
    {Collective::kAllGatherV, "direct", allGatherDirect, true},
    {Collective::kAllGatherV, "exchange", allGatherExchange},
    {Collective::kAllGatherV, "ring", allGatherRing},
    {Collective::kAllGatherV, "pat", allGatherPat},
    {Collective::kAllGatherV, "forest", allGatherForest},
    {Collective::kReduceScatterV, "exchange", reduceScatterExchange},
    {Collective::kReduceScatterV, "pat", reduceScatterPat},
    {Collective::kReduceScatterV, "forest", reduceScatterForest},
    {Collective::kSend, "fifo", sendFifo},
    {Collective::kRecv, "fifo", recvFifo},
};

constexpr bool isPowerOfTwo(int size) { return (size & (size - 1)) == 0; }

const Entry* find(Collective collective, std::string_view algorithm, int size) {
  for (const Entry& entry : kTable) {
    if (entry.collective != collective || entry.algorithm != algorithm) continue;
    return entry.needsPowerOfTwo && !isPowerOfTwo(size) ? nullptr : &entry;
  }
  return nullptr;
}

base::Status checkRanks(const ir::Plan& plan, int size, ir::Rank rank) {
  const auto isRank = [size](ir::Rank value) { return value >= 0 && value < size; };
  if (!isRank(rank)) return defect(fmt::format("rank {} is not one of {} ranks", rank, size));
  if (!isRank(plan.root)) {
    return defect(fmt::format("the plan's root {} is not one of {} ranks", plan.root, size));
  }
  if (plan.order.empty()) return {};
  std::vector<ir::Rank> sorted = plan.order;
  std::sort(sorted.begin(), sorted.end());
  bool isPermutation = sorted.size() == static_cast<size_t>(size);
  for (int at = 0; isPermutation && at < size; ++at) {
    isPermutation = sorted[static_cast<size_t>(at)] == at;
  }
  if (isPermutation) return {};
  return defect(fmt::format("the plan's order [{}] does not name each of {} ranks once",
                            fmt::join(plan.order, " "), size));
}

ir::Schedule head(const ir::Plan& plan, int size, ir::Rank rank) {
  ir::Schedule schedule;
  schedule.collective = plan.collective;
  schedule.rank = rank;
  schedule.size = size;
  schedule.root = plan.root;
  schedule.algorithm = plan.algorithm;
  schedule.sliceWeights = {1};
  return schedule;
}

// One rank alone: its output is its input (which a factor or a divisor may change).
ir::Schedule local(const ir::Plan& plan) {
  ir::Schedule schedule = head(plan, 1, 0);
  schedule.algorithm = "local";
  ir::Step copy = move(input(0), {output(0)});
  copy.isFinal = ir::isReducing(plan.collective);
  schedule.lanes.emplace_back().steps.push_back(std::move(copy));
  return schedule;
}

}  // namespace

base::Result<ir::Schedule> lower(const ir::Plan& plan, int size, ir::Rank rank) {
  TUTTI_RETURN_IF_ERROR(checkRanks(plan, size, rank));
  const bool isPair = plan.collective == Collective::kSend || plan.collective == Collective::kRecv;
  if (isPair && plan.root == rank) {
    return defect(fmt::format("{} of rank {} with itself has no schedule: it is a copy",
                              ir::name(plan.collective), rank));
  }
  const bool hasSchedule = !loweredAlgorithms(plan.collective, size).empty();
  if (size == 1 && hasSchedule) return local(plan);
  const Entry* entry = find(plan.collective, plan.algorithm, size);
  if (entry == nullptr) {
    return defect(fmt::format("{} among {} ranks has no schedule named \"{}\" (known: {})",
                              ir::name(plan.collective), size, plan.algorithm,
                              fmt::join(loweredAlgorithms(plan.collective, size), ", ")));
  }
  ir::Schedule schedule = head(plan, size, rank);
  schedule.needsPeerMemory = entry->needsPeerMemory;
  schedule.acceptsKernelCopy = entry->needsPeerMemory && plan.acceptsKernelCopy;
  const bool usesTrees = plan.algorithm == "trees" || plan.algorithm == "forest";
  if (!usesTrees && !entry->needsPeerMemory && !plan.usesBoard) {
    entry->add(Shape(plan, size, rank), schedule);
    return schedule;
  }
  ir::Plan completed = plan;
  if (usesTrees) {
    if (plan.trees.empty()) completed.trees = defaultTrees(plan, size);
    if (plan.chunkBytes == 0) completed.chunkBytes = ir::Limits::kFifoSlotBytes;
    TUTTI_RETURN_IF_ERROR(checkTrees(completed, size));
  } else {
    completed.chunkBytes = 0;
  }
  entry->add(Shape(completed, size, rank), schedule);
  // Every slice has at least the smallest chunk, and one tree may have them all.
  constexpr size_t kMostSlices = ir::Limits::kFifoSlotBytes / 128;
  if (schedule.sliceWeights.size() > kMostSlices) {
    return defect(fmt::format("the plan's forest cuts blocks into {} slices; {} are the most",
                              schedule.sliceWeights.size(), kMostSlices));
  }
  return schedule;
}

base::Result<ir::Schedule> lowerFallback(const ir::Plan& plan, int size, ir::Rank rank) {
  ir::Plan fallback = plan;
  fallback.algorithm = plan.fallbackAlgorithm;
  fallback.chunkBytes = plan.fallbackChunkBytes;
  fallback.usesBoard = false;
  fallback.acceptsKernelCopy = false;
  return lower(fallback, size, rank);
}

std::vector<std::string_view> loweredAlgorithms(ir::Collective collective, int size) {
  std::vector<std::string_view> names;
  for (const Entry& entry : kTable) {
    const bool fits = !entry.needsPowerOfTwo || isPowerOfTwo(size);
    if (entry.collective == collective && fits) names.push_back(entry.algorithm);
  }
  return names;
}

}  // namespace tutti::schedule
