#include "src/plan/pack_trees.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "src/base/errors.h"
#include "src/plan/tree_search.h"

namespace tutti::plan {
namespace {

using ir::Collective;
using topology::Topology;

constexpr int32_t kEnough = 980;
constexpr int32_t kEnoughByRank = 960;
// Weights of unequal trees add up to no more than this many times the number of trees.
constexpr int32_t kMostUnitsPerTree = 3;

bool isByRank(Collective collective) {
  return collective == Collective::kAllGather || collective == Collective::kReduceScatter;
}

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

// A number of units of weight that the bound is divided into, and what it can come to.
struct Candidate {
  int32_t units = 1;     // of all_gather: of each root
  int32_t permille = 0;  // at most this share of the bound can be reached by whole units
};

// What is to be packed.
struct Task {
  const Topology& topology;
  const Bound& bound;
  ir::Rank root;
  PackingOptions options;
  int32_t ranks;

  // Units over all roots.
  int64_t allUnits(int32_t units) const {
    return isByRank(bound.collective) ? int64_t{units} * ranks : units;
  }
  int32_t mostUnits() const {
    return isByRank(bound.collective) ? options.mostPerRoot : options.mostTrees * kMostUnitsPerTree;
  }
  // Of the bound at `permille` of it.
  Rational unit(int32_t units, int32_t permille = 1000) const {
    return makeRational(static_cast<Int128>(bound.kilobytesPerSecond.num) * permille,
                        static_cast<Int128>(bound.kilobytesPerSecond.den) * allUnits(units) * 1000);
  }

  std::vector<TreeSearch::Wanted> wanted(int32_t units) const {
    std::vector<TreeSearch::Wanted> wanted;
    if (isByRank(bound.collective)) {
      for (int32_t i = 0; i < units * ranks; ++i) wanted.push_back({i % ranks, 1});
      return wanted;
    }
    const bool isFree = bound.collective == Collective::kAllReduce;
    const int32_t trees = std::min(units, options.mostTrees);
    for (int32_t i = 0; i < trees; ++i) {
      wanted.push_back(
          {isFree ? TreeSearch::kAnyRoot : root, units / trees + (i < units % trees ? 1 : 0)});
    }
    return wanted;
  }
};

// The greatest share of the bound at which whole units fill the links that limit well enough: the
// links' capacities over the bound say how many units must cross them.
int32_t permilleOf(const Task& task, int32_t units) {
  if (task.bound.links.empty() || !task.bound.resources.empty()) return 1000;
  std::map<int64_t, int64_t> links;  // by capacity
  Int128 sum = 0;
  for (const topology::LinkIndex link : task.bound.links) {
    const int64_t capacity = task.topology.links[static_cast<size_t>(link)].capacity;
    ++links[capacity];
    sum += capacity;
  }
  constexpr int32_t kStep = 5;
  int32_t permille = 1000;
  for (; permille > kStep; permille -= kStep) {
    const Rational unit = task.unit(units, permille);
    Int128 fitting = 0;
    for (const auto& [capacity, count] : links) {
      fitting += static_cast<Int128>(capacity) * unit.den / unit.num * count;
    }
    if (fitting * unit.num * 1000 >= sum * unit.den * permille) break;
  }
  return permille;
}

std::vector<Candidate> candidatesOf(const Task& task) {
  std::vector<Candidate> candidates;
  for (int32_t units = 1; units <= task.mostUnits(); ++units) {
    candidates.push_back({units, permilleOf(task, units)});
  }
  const auto isBetter = [&](const Candidate& a, const Candidate& b) {
    const int32_t enough = task.options.enoughPermille;
    return std::min(a.permille, enough) > std::min(b.permille, enough);
  };
  std::stable_sort(candidates.begin(), candidates.end(), isBetter);
  return candidates;
}

Packing toPacking(const Task& task, const SearchGraph& graph, const TreeSearch& search) {
  Packing packing;
  packing.collective = task.bound.collective;
  for (const Grown& tree : search.trees()) {
    const bool isFree = packing.collective == Collective::kAllReduce;
    packing.trees.push_back(route(graph, tree, isFree ? middleOf(tree).rank : tree.root));
  }
  measure(task.topology, packing);
  return packing;
}

int64_t workFor(int64_t ranks) {
  return ranks * std::min<int64_t>(250'000, 22'000 + 3'500 * ranks);
}

// The first candidate that is good enough, or the best.
TreeSearch scan(const Task& task, const SearchGraph& graph, int64_t goal) {
  const int64_t mostWork = task.options.mostWork / 2;
  int64_t spent = 0;
  std::optional<TreeSearch> best;
  for (const Candidate& candidate : candidatesOf(task)) {
    TreeSearch tried(graph, task.bound.kilobytesPerSecond, task.wanted(candidate.units));
    tried.run(TreeSearch::kDeep, goal, mostWork - spent);
    spent += tried.work();
    if (!best || tried.fullest() < best->fullest()) best.emplace(std::move(tried));
    if (best->fullest() > goal && spent < mostWork) continue;
    if (best->fullest() > goal) break;
    // Good enough; now the flattest trees that are.
    for (const int shift : {3, 6, 10}) {
      TreeSearch flat(graph, task.bound.kilobytesPerSecond, task.wanted(candidate.units));
      flat.run(Prices::kPar >> shift, goal, std::max(best->work(), mostWork / 4));
      if (flat.fullest() <= goal) return flat;
    }
    break;
  }
  return *std::move(best);
}

Packing search(const Task& task, const SearchGraph& graph) {
  const int64_t goal = Prices::kFull * 1000 / task.options.enoughPermille;
  TreeSearch best = scan(task, graph, goal);
  if (best.fullest() > goal && !isByRank(task.bound.collective)) {
    best.reweigh(static_cast<size_t>(task.options.mostTrees), goal,
                 best.work() + task.options.mostWork / 2);
  }
  best.flatten(goal, best.work() + task.options.mostWork / 4);
  return toPacking(task, graph, best);
}

}  // namespace

base::Result<Packing> packTrees(const Topology& topology, const Bound& bound, ir::Rank root,
                                const PackingOptions& options) {
  TUTTI_ASSIGN_OR_RETURN(const Direction direction, directionOf(bound.collective));
  Task task{topology, bound, root, options, static_cast<int32_t>(topology.ranks().size())};
  PackingOptions& chosen = task.options;
  if (chosen.enoughPermille == 0) {
    chosen.enoughPermille = isByRank(bound.collective) ? kEnoughByRank : kEnough;
  }
  if (chosen.mostWork == 0) chosen.mostWork = workFor(task.ranks);
  if (root < 0 || root >= task.ranks || chosen.mostTrees < 1 || chosen.mostPerRoot < 1 ||
      chosen.enoughPermille < 1 || chosen.enoughPermille > 1000 || chosen.mostWork < 1) {
    return base::Status(
        base::Code::kInvalidArgument, base::kErrInvalidArgument,
        fmt::format("packing for {} ranks from root {}: at most {} trees, {} per root, {} "
                    "thousandths, work {}: root must be a rank, the others above 0, and the share "
                    "at most 1000",
                    task.ranks, root, chosen.mostTrees, chosen.mostPerRoot, chosen.enoughPermille,
                    chosen.mostWork));
  }
  if (task.ranks == 1) {
    Packing nothing;
    nothing.collective = bound.collective;
    return nothing;
  }
  TUTTI_ASSIGN_OR_RETURN(const SearchGraph graph, SearchGraph::make(topology, direction));
  return search(task, graph);
}

}  // namespace tutti::plan
