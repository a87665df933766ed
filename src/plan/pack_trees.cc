#include "src/plan/pack_trees.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/base/errors.h"
#include "src/plan/arborescences.h"
#include "src/plan/pack_forest.h"
#include "src/plan/pack_task.h"

namespace tutti::plan {
namespace {

using topology::Topology;

constexpr int32_t kEnough = 980;
constexpr int32_t kMostTrees = 1024;
constexpr int32_t kMostPerRoot = 64;

int64_t workFor(int64_t ranks) {
  return ranks * std::min(44'000 + 7'000 * ranks, 240'000 + 160 * ranks);
}

void setDefaults(int32_t ranks, PackingOptions& options) {
  if (options.mostPerRoot == 0) options.mostPerRoot = std::clamp(128 / ranks, 8, 16);
  if (options.enoughPermille == 0) options.enoughPermille = kEnough;
  if (options.mostWork == 0) options.mostWork = workFor(ranks);
}

base::Status checkOptions(const PackTask& task) {
  const PackingOptions& options = task.options;
  const auto isIn = [](int64_t value, int64_t most) { return value >= 1 && value <= most; };
  if (task.ranks > 0 && task.root >= 0 && task.root < task.ranks &&
      isIn(options.mostTrees, kMostTrees) && isIn(options.mostPerRoot, kMostPerRoot) &&
      isIn(options.enoughPermille, 1000) && options.mostWork >= 1) {
    return base::Status::ok();
  }
  return {
      base::Code::kInvalidArgument, base::kErrInvalidArgument,
      fmt::format("packing for {} ranks, root {}, at most {} trees, {} per root, {} thousandths "
                  "of the bound, work {}: the root must be a rank, the others at least 1 and at "
                  "most {}, {}, 1000 and any",
                  task.ranks, task.root, options.mostTrees, options.mostPerRoot,
                  options.enoughPermille, options.mostWork, kMostTrees, kMostPerRoot)};
}

Packing packFew(const PackTask& task, const SearchGraph& graph) {
  const int64_t share = task.options.mostWork / 4;
  TreeSearch search = task.scan(graph, 2 * share);
  const bool hasRoot = task.bound.collective != ir::Collective::kAllReduce;
  if (hasRoot && search.fullest() > task.goal()) {
    if (auto exact = findArborescences(graph, task)) {
      TreeSearch other(graph, task.bound.kilobytesPerSecond, *std::move(exact));
      if (other.fullest() < search.fullest()) search = std::move(other);
    }
  }
  search.reweigh(static_cast<size_t>(task.options.mostTrees), task.goal(),
                 search.work() + 2 * share);
  search.flatten(task.goal(), search.work() + share);
  return task.toPacking(graph, search.trees());
}

}  // namespace

base::Result<Packing> packTrees(const Topology& topology, const Bound& bound, ir::Rank root,
                                const PackingOptions& options) {
  TUTTI_ASSIGN_OR_RETURN(const Direction direction, directionOf(bound.collective));
  PackTask task{topology, bound, root, options, static_cast<int32_t>(topology.ranks().size())};
  setDefaults(std::max(1, task.ranks), task.options);
  TUTTI_RETURN_IF_ERROR(checkOptions(task));
  if (task.ranks == 1) {
    Packing nothing;
    nothing.collective = bound.collective;
    return nothing;
  }
  TUTTI_ASSIGN_OR_RETURN(const SearchGraph graph, SearchGraph::make(topology, direction));
  if (isByRank(bound.collective)) return packForest(task, graph);
  return packFew(task, graph);
}

}  // namespace tutti::plan
