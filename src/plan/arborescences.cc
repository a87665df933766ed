#include "src/plan/arborescences.h"

#include <algorithm>
#include <deque>
#include <numeric>
#include <set>
#include <utility>

#include "src/plan/index.h"
#include "src/plan/split.h"

namespace tutti::plan {
namespace {

using ir::Rank;

constexpr int kMostRanks = 128;
constexpr int kMostNodes = 256;

// How many trees start at each rank, and what each of them carries, in kB/s.
struct Choice {
  std::vector<int32_t> supply;
  Rational unit;
};

int64_t sumOf(const std::vector<int32_t>& supply) {
  return std::accumulate(supply.begin(), supply.end(), int64_t{0});
}

// The largest unit for which the flows exist is one that some capacity is a multiple of. Looks
// among those that come to more than `floor` and no more than `ceiling`; nullopt: none.
std::optional<Rational> findUnit(const SearchGraph& graph, const std::vector<int32_t>& supply,
                                 Rational floor, Rational ceiling) {
  std::set<int64_t> capacities;
  for (SearchGraph::Slot slot = 0; slot < graph.slotCount(); ++slot) {
    capacities.insert(graph.capacity(slot));
  }
  std::vector<Rational> units;
  const int64_t most = sumOf(supply);
  for (const int64_t capacity : capacities) {
    const Int128 first =
        (static_cast<Int128>(capacity) * ceiling.den + ceiling.num - 1) / ceiling.num;
    for (Int128 parts = std::max<Int128>(1, first); parts <= most; ++parts) {
      const Rational unit = makeRational(capacity, parts);
      if (unit <= floor) break;
      units.push_back(unit);
    }
  }
  std::sort(units.begin(), units.end());
  units.erase(std::unique(units.begin(), units.end()), units.end());
  const auto exists = [&](Rational unit) { return UnitGraph(graph, unit, supply).flows().start(); };
  // Whatever the unit, a smaller one does too.
  size_t good = 0;
  for (size_t bad = units.size() + 1; good + 1 < bad;) {
    const size_t middle = (good + bad) / 2;
    (exists(units[middle - 1]) ? good : bad) = middle;
  }
  return good == 0 ? std::nullopt : std::optional(units[good - 1]);
}

std::optional<Choice> choose(const SearchGraph& graph, const PackTask& task) {
  // Shares of the bound, in 1/10000.
  const int64_t enough = int64_t{task.options.enoughPermille} * 10;
  const Int128 num = task.bound.kilobytesPerSecond.num;
  const Int128 den = task.bound.kilobytesPerSecond.den;
  int64_t best = 0;  // less losses
  std::optional<Choice> choice;
  for (const Division& division : task.divisions()) {
    const int64_t loss = task.lossOf(division.units);
    const int64_t worse = std::min(best + loss, enough - 1);
    if (int64_t{division.permille} * 10 <= worse || division.units > task.mostTrees()) continue;
    const std::vector<int32_t> supply = task.supply(division.units);
    const Int128 all = sumOf(supply);
    const auto unit = findUnit(graph, supply, makeRational(num * worse, den * all * 10000),
                               makeRational(num, den * all));
    if (!unit) continue;
    choice = {supply, *unit};
    const auto share = static_cast<int64_t>(unit->num * all * den * 10000 /
                                            (static_cast<Int128>(unit->den) * num));
    best = share - loss;
    if (share >= enough) break;
  }
  return choice;
}

// Partial trees that are equal so far.
struct Batch {
  Rank root;
  int node;  // in the flows
  int32_t units;
  std::vector<Rank> ranks;  // in the order of joining
  std::vector<Rank> parents;
};

// Edmonds' branchings: grows all trees of a root as one batch, which falls into several where an
// arc has room for some of them only.
class Branching {
 public:
  Branching(SpanningFlows& flows, const std::vector<int32_t>& supply)
      : flows_(&flows), ranks_(static_cast<int>(supply.size())) {
    const int32_t most = *std::max_element(supply.begin(), supply.end());
    for (int32_t i = 0; i <= most; ++i) free_.push_back(ranks_ + i);
  }

  // False where a tree does not come to span the ranks; never if the flows were whole.
  bool grow(Rank root, int32_t trees, std::vector<Batch>& grown) {
    Batch batch{root, takeNode(), trees, {root}, std::vector<Rank>(at(ranks_), -1)};
    flows_->open(batch.node, root, trees);
    std::vector<Batch> waiting = {std::move(batch)};
    while (!waiting.empty()) {
      Batch next = std::move(waiting.back());
      waiting.pop_back();
      if (!finish(next, waiting)) return false;
      flows_->close(next.node);
      free_.push_back(next.node);
      grown.push_back(std::move(next));
    }
    return true;
  }

 private:
  int takeNode() {
    const int node = free_.back();
    free_.pop_back();
    return node;
  }

  // Breadth first, so that trees are flat. What splits from the batch waits.
  bool finish(Batch& batch, std::vector<Batch>& waiting) {
    std::vector<char> isIn(at(ranks_), 0);
    for (const Rank rank : batch.ranks) isIn[at(rank)] = 1;
    for (size_t i = 0; i < batch.ranks.size(); ++i) {
      const Rank from = batch.ranks[i];
      for (int step = 1; step < ranks_; ++step) {
        const Rank to = (from + step) % ranks_;
        if (isIn[at(to)] != 0 || flows_->capacity(from, to) == 0) continue;
        const int32_t taken = flows_->extend(batch.node, free_.back(), from, to);
        if (taken == 0) continue;
        if (taken < batch.units) {
          waiting.push_back(batch);
          waiting.back().node = takeNode();
          waiting.back().units -= taken;
          batch.units = taken;
        }
        isIn[at(to)] = 1;
        batch.ranks.push_back(to);
        batch.parents[at(to)] = from;
      }
    }
    return batch.ranks.size() == at(ranks_);
  }

  SpanningFlows* flows_;
  int ranks_;
  std::vector<int> free_;
};

// The trees of a batch with their ways; as many as differ in them.
void routeBatch(const SearchGraph& graph, UnitGraph& units, const Batch& batch,
                std::vector<Grown>& trees) {
  const size_t ranks = batch.parents.size();
  std::vector<std::deque<UnitGraph::Way>> ways(ranks);
  for (const Rank rank : batch.ranks) {
    if (rank == batch.root) continue;
    const auto taken = units.take(batch.parents[at(rank)], rank, batch.units);
    ways[at(rank)].assign(taken.begin(), taken.end());
  }
  for (int32_t left = batch.units; left > 0; left -= trees.back().weight) {
    Grown& tree = trees.emplace_back();
    tree.root = batch.root;
    tree.weight = left;
    tree.parents = batch.parents;
    tree.delays.assign(ranks, 0);
    tree.first.assign(ranks, 0);
    tree.count.assign(ranks, 0);
    for (const auto& each : ways) {
      if (!each.empty()) tree.weight = std::min(tree.weight, each.front().units);
    }
    for (const Rank rank : batch.ranks) {
      if (rank == batch.root) continue;
      UnitGraph::Way& way = ways[at(rank)].front();
      tree.first[at(rank)] = static_cast<int32_t>(tree.arcs.size());
      tree.count[at(rank)] = static_cast<int32_t>(way.arcs.size());
      tree.arcs.insert(tree.arcs.end(), way.arcs.begin(), way.arcs.end());
      tree.delays[at(rank)] = tree.delays[at(batch.parents[at(rank)])] + Grown::kHopNs;
      for (const SearchGraph::Arc arc : way.arcs) tree.delays[at(rank)] += graph.latencyNs(arc);
      way.units -= tree.weight;
      if (way.units == 0) ways[at(rank)].pop_front();
    }
  }
}

}  // namespace

std::optional<std::vector<Grown>> findArborescences(const SearchGraph& graph,
                                                    const PackTask& task) {
  if (graph.rankCount() > kMostRanks || graph.nodeCount() > kMostNodes) return std::nullopt;
  const std::optional<Choice> choice = choose(graph, task);
  if (!choice) return std::nullopt;
  UnitGraph units(graph, choice->unit, choice->supply);
  if (!units.splitOff()) return std::nullopt;
  Branching branching(units.flows(), choice->supply);
  std::vector<Batch> batches;
  for (Rank root = 0; root < graph.rankCount(); ++root) {
    const int32_t trees = choice->supply[at(root)];
    if (trees > 0 && !branching.grow(root, trees, batches)) return std::nullopt;
  }
  std::vector<Grown> trees;
  for (const Batch& batch : batches) routeBatch(graph, units, batch, trees);
  return trees;
}

}  // namespace tutti::plan
