#include "src/plan/pack_task.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "src/base/errors.h"

namespace tutti::plan {
namespace {

using ir::Collective;

// Weights of unequal trees add up to no more than this many times the number of trees.
constexpr int32_t kMostUnitsPerTree = 3;

// What a hop costs, from the flattest trees on; TreeSearch::kDeep was tried before.
constexpr int64_t kHops[] = {Prices::kPar >> 3, Prices::kPar >> 6, Prices::kPar >> 10};

}  // namespace

base::Result<Direction> directionOf(Collective collective) {
  switch (collective) {
    case Collective::kAllReduce: return Direction::kBoth;
    case Collective::kBroadcast:
    case Collective::kAllGather: return Direction::kDown;
    case Collective::kReduce:
    case Collective::kReduceScatter: return Direction::kUp;
    default: break;
  }
  return base::Status(base::Code::kInvalidArgument, base::kErrInvalidArgument,
                      fmt::format("{} is not done by trees; all_reduce, broadcast, reduce, "
                                  "all_gather and reduce_scatter are",
                                  ir::name(collective)));
}

// The links that limit have to carry a number of units that follows from their capacities and the
// bound, and each of them carries whole ones.
int32_t PackTask::permilleOf(int32_t units) const {
  if (bound.links.empty() || !bound.resources.empty()) return 1000;
  std::map<int64_t, int64_t> links;  // by capacity
  Int128 sum = 0;
  for (const topology::LinkIndex link : bound.links) {
    const int64_t capacity = topology.links[static_cast<size_t>(link)].capacity;
    ++links[capacity];
    sum += capacity;
  }
  const Rational rate = bound.kilobytesPerSecond;
  const Int128 all = isByRank(bound.collective) ? int64_t{units} * ranks : units;
  constexpr int32_t kStep = 5;
  for (int32_t permille = 1000; permille > kStep; permille -= kStep) {
    const Rational unit =
        makeRational(static_cast<Int128>(rate.num) * permille, all * rate.den * 1000);
    Int128 fitting = 0;
    for (const auto& [capacity, count] : links) {
      fitting += static_cast<Int128>(capacity) * unit.den / unit.num * count;
    }
    if (fitting * unit.num * 1000 >= sum * unit.den * permille) return permille;
  }
  return kStep;
}

std::vector<Division> PackTask::divisions() const {
  std::vector<Division> divisions;
  for (int32_t units = 1; units <= kMostUnitsPerTree * mostTrees(); ++units) {
    divisions.push_back({units, permilleOf(units)});
  }
  std::stable_sort(divisions.begin(), divisions.end(), [&](const auto& a, const auto& b) {
    return std::min(a.permille, options.enoughPermille) >
           std::min(b.permille, options.enoughPermille);
  });
  return divisions;
}

std::vector<TreeSearch::Wanted> PackTask::wanted(int32_t units) const {
  const bool isForest = isByRank(bound.collective);
  const bool isFree = bound.collective == Collective::kAllReduce;
  const int32_t trees = std::min(units, mostTrees());
  std::vector<TreeSearch::Wanted> wanted;
  for (int32_t i = 0; i < trees; ++i) {
    const int32_t weight = units / trees + (i < units % trees ? 1 : 0);
    if (!isForest) wanted.push_back({isFree ? TreeSearch::kAnyRoot : root, weight});
    for (int32_t rank = 0; isForest && rank < ranks; ++rank) wanted.push_back({rank, weight});
  }
  return wanted;
}

std::vector<int32_t> PackTask::supply(int32_t units) const {
  const bool isForest = isByRank(bound.collective);
  std::vector<int32_t> supply(static_cast<size_t>(ranks), isForest ? units : 0);
  supply[static_cast<size_t>(root)] = units;
  return supply;
}

TreeSearch PackTask::scan(const SearchGraph& graph, int64_t mostWork) const {
  int64_t spent = 0;
  int64_t least = std::numeric_limits<int64_t>::max();
  std::optional<TreeSearch> best;
  for (const Division& division : divisions()) {
    TreeSearch tried(graph, bound.kilobytesPerSecond, wanted(division.units));
    tried.run(TreeSearch::kDeep, goal(), mostWork - spent);
    spent += tried.work();
    const int64_t loss = lossOf(std::min(division.units, mostTrees()));
    const int64_t cost = tried.fullest() / 10000 * (10000 + loss);
    const bool isEnough = tried.fullest() <= goal();
    if (isEnough || cost < least) best.emplace(std::move(tried));
    least = std::min(least, cost);
    if (isEnough) return flatter(graph, division, *std::move(best), mostWork - spent);
    if (spent >= mostWork) break;
  }
  return *std::move(best);
}

// The flattest trees of those that do it, too.
TreeSearch PackTask::flatter(const SearchGraph& graph, const Division& division, TreeSearch deep,
                             int64_t mostWork) const {
  int64_t spent = 0;
  for (const int64_t hop : kHops) {
    if (spent + deep.work() > mostWork) break;
    TreeSearch flat(graph, bound.kilobytesPerSecond, wanted(division.units));
    flat.run(hop, goal(), mostWork - spent);
    if (flat.fullest() <= goal()) return flat;
    spent += flat.work();
  }
  return deep;
}

Packing PackTask::toPacking(const SearchGraph& graph, const std::vector<Grown>& trees) const {
  Packing packing;
  packing.collective = bound.collective;
  for (const Grown& tree : trees) {
    const bool isFree = bound.collective == Collective::kAllReduce;
    packing.trees.push_back(route(graph, tree, isFree ? middleOf(tree).rank : tree.root));
  }
  measure(topology, packing);
  return packing;
}

}  // namespace tutti::plan
