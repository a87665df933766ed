#include "src/plan/pack_forest.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "src/plan/arborescences.h"

namespace tutti::plan {
namespace {

constexpr int32_t kMostGrown = 1024;
constexpr int32_t kMostExactAtOnce = 64;
constexpr int32_t kPoor = 850;  // thousandths of the bound

bool reaches(const PackTask& task, const Packing& packing, int32_t permille) {
  const Rational& bound = task.bound.kilobytesPerSecond;
  return makeRational(static_cast<Int128>(packing.achieved.num) * 1000,
                      static_cast<Int128>(packing.achieved.den) * permille) >= bound;
}

bool isEnough(const PackTask& task, const Packing& packing) {
  return reaches(task, packing, task.options.enoughPermille);
}

// The rate less what the trees cost.
Rational worthOf(const PackTask& task, const Packing& packing) {
  const auto trees = static_cast<int32_t>(packing.trees.size());
  const int64_t loss = task.lossOf(packing.isFlooding ? trees : trees / task.ranks);
  return makeRational(
      static_cast<Int128>(packing.achieved.num) * std::max<int64_t>(1, 10000 - loss),
      static_cast<Int128>(packing.achieved.den) * 10000);
}

// Of two that are good enough the flatter one, else the better one.
void keepBetter(const PackTask& task, Packing other, std::optional<Packing>& best) {
  const bool isBetter = !best || (isEnough(task, *best) && isEnough(task, other)
                                      ? other.averageDepth < best->averageDepth
                                      : worthOf(task, other) > worthOf(task, *best));
  if (isBetter) best = std::move(other);
}

// All-reduce's trees, each for every rank's block.
base::Result<Packing> flood(const PackTask& task) {
  TUTTI_ASSIGN_OR_RETURN(const Bound reduction,
                         bound(task.topology, {.collective = ir::Collective::kAllReduce}));
  PackingOptions options = task.options;
  options.enoughPermille = 0;
  TUTTI_ASSIGN_OR_RETURN(Packing packing, packTrees(task.topology, reduction, task.root, options));
  packing.collective = task.bound.collective;
  packing.isFlooding = true;
  measure(task.topology, packing);
  return packing;
}

}  // namespace

base::Result<Packing> packForest(const PackTask& task, const SearchGraph& graph) {
  const int64_t share = task.options.mostWork / 4;
  std::optional<Packing> best;
  if (task.ranks <= kMostGrown) {
    TreeSearch search = task.scan(graph, 2 * share);
    search.flatten(task.goal(), search.work() + share);
    best = task.toPacking(graph, search.trees());
  }
  if (best && (task.ranks <= kMostExactAtOnce || !isEnough(task, *best))) {
    if (auto exact = findArborescences(graph, task)) {
      TreeSearch search(graph, task.bound.kilobytesPerSecond, *std::move(exact));
      search.flatten(task.goal(), search.work() + share);
      keepBetter(task, task.toPacking(graph, search.trees()), best);
    }
  }
  if (!best || !reaches(task, *best, kPoor)) {
    base::Result<Packing> flooding = flood(task);
    if (!best && !flooding.isOk()) return flooding.status();
    if (flooding.isOk()) keepBetter(task, flooding.take(), best);
  }
  return *std::move(best);
}

}  // namespace tutti::plan
