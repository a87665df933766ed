#include "src/plan/second_opinion.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <queue>
#include <utility>
#include <vector>

#include "src/base/errors.h"
#include "src/plan/bound_limits.h"
#include "src/plan/index.h"
#include "src/plan/search_graph.h"

namespace tutti::plan {
namespace {

using Arc = SearchGraph::Arc;
using Slot = SearchGraph::Slot;
using topology::NodeIndex;

// By what power of e a link becomes longer when a tree fills it. Great steps find the lengths'
// order of magnitude soon, small ones come close: when a round has made the fullest link kRound
// powers longer, the next one, with shorter steps, starts from its lengths. Of the figures tried on
// clusters of 8 to 1,024 ranks, these took the fewest trees to come within 2 % on all of them.
constexpr double kFirstStep = 1;
constexpr double kNextStep = 0.7;
constexpr double kRound = 16;
// Both sides give way by this much, far more than rounding amounts to.
constexpr double kMargin = 1e-9;
constexpr double kLongest = 1e200;
constexpr int32_t kMostLookedAt = 20'000;

// The shortest spanning tree of the ranks, over and over for lengths that change.
class ShortestTree {
 public:
  explicit ShortestTree(const SearchGraph& graph)
      : graph_(graph), lengths_(at(graph.arcCount())), via_(at(graph.nodeCount())) {}

  void setLength(Arc arc, double length) { lengths_[at(arc)] = length; }
  double lengthOf(Arc arc) const { return lengths_[at(arc)]; }

  // Calls visit(arc) for every arc of every edge, as often as edges pass it. Returns the length.
  template <typename Visit>
  double run(const Visit& visit) {
    spread();
    join();
    double length = 0;
    for (const auto& [reach, arc] : chosen_) {
      length += reach;
      visit(arc);
      for (NodeIndex node : {graph_.from(arc), graph_.to(arc)}) {
        for (; via_[at(node)] >= 0; node = graph_.from(via_[at(node)])) visit(via_[at(node)]);
      }
    }
    return length;
  }

 private:
  using Reach = std::pair<double, int32_t>;

  // By node, its distance from the nearest rank, which that is, and the arc that leads to it.
  void spread() {
    distance_.assign(at(graph_.nodeCount()), std::numeric_limits<double>::infinity());
    nearest_.assign(at(graph_.nodeCount()), -1);
    std::fill(via_.begin(), via_.end(), -1);
    for (ir::Rank rank = 0; rank < graph_.rankCount(); ++rank) {
      distance_[at(graph_.nodeOf(rank))] = 0;
      nearest_[at(graph_.nodeOf(rank))] = rank;
      queue_.push_back({0, graph_.nodeOf(rank)});
    }
    while (!queue_.empty()) {
      std::pop_heap(queue_.begin(), queue_.end(), std::greater<>());
      const auto [distance, node] = queue_.back();
      queue_.pop_back();
      if (distance > distance_[at(node)]) continue;
      for (Arc arc = graph_.outFirst(node); arc < graph_.outFirst(node + 1); ++arc) {
        const NodeIndex next = graph_.to(arc);
        const double reach = distance + lengths_[at(arc)];
        if (reach >= distance_[at(next)]) continue;
        distance_[at(next)] = reach;
        nearest_[at(next)] = nearest_[at(node)];
        via_[at(next)] = arc;
        queue_.push_back({reach, next});
        std::push_heap(queue_.begin(), queue_.end(), std::greater<>());
      }
    }
  }

  // Kruskal over the arcs between territories.
  void join() {
    borders_.clear();
    for (Arc arc = 0; arc < graph_.arcCount(); ++arc) {
      const NodeIndex from = graph_.from(arc);
      const NodeIndex to = graph_.to(arc);
      if (from > to || nearest_[at(from)] == nearest_[at(to)]) continue;
      borders_.push_back({distance_[at(from)] + lengths_[at(arc)] + distance_[at(to)], arc});
    }
    std::sort(borders_.begin(), borders_.end());
    group_.resize(at(graph_.rankCount()));
    std::iota(group_.begin(), group_.end(), 0);
    chosen_.clear();
    for (const Reach& border : borders_) {
      const ir::Rank a = groupOf(nearest_[at(graph_.from(border.second))]);
      const ir::Rank b = groupOf(nearest_[at(graph_.to(border.second))]);
      if (a == b) continue;
      group_[at(a)] = b;
      chosen_.push_back(border);
    }
  }

  ir::Rank groupOf(ir::Rank rank) {
    for (; group_[at(rank)] != rank; rank = group_[at(rank)]) {
      group_[at(rank)] = group_[at(group_[at(rank)])];
    }
    return rank;
  }

  const SearchGraph& graph_;
  std::vector<double> lengths_;
  std::vector<double> distance_;
  std::vector<ir::Rank> nearest_;
  std::vector<Arc> via_;
  std::vector<Reach> queue_;
  std::vector<Reach> borders_;
  std::vector<Reach> chosen_;
  std::vector<ir::Rank> group_;
};

class Weighing {
 public:
  explicit Weighing(const SearchGraph& graph)
      : graph_(graph),
        shortest_(graph),
        prices_(at(graph.slotCount())),
        mean_(prices_.size()),
        used_(prices_.size()),
        load_(prices_.size()) {
    for (Slot slot = 0; slot < graph.slotCount(); ++slot) {
      prices_[at(slot)] = 1 / capacity(slot);
    }
    reprice(1);
  }

  double atLeast() const { return atLeast_ * (1 - kMargin); }
  double atMost() const { return atMost_ * (1 + kMargin); }

  void addTree() {
    const double length = shortest_.run([this](Arc arc) {
      for (const SearchGraph::Charge& charge : graph_.charges(arc)) {
        if (load_[at(charge.at)] == 0) touched_.push_back(charge.at);
        load_[at(charge.at)] += charge.units;
      }
    });
    atMost_ = std::min(atMost_, worth_ / length);
    for (size_t slot = 0; slot < prices_.size(); ++slot) mean_[slot] += prices_[slot] / worth_;
    double weight = std::numeric_limits<double>::infinity();
    for (const Slot slot : touched_) weight = std::min(weight, capacity(slot) / load_[at(slot)]);
    carried_ += weight;
    bool isLong = false;
    for (const Slot slot : touched_) {
      const double use = weight * std::exchange(load_[at(slot)], 0) / capacity(slot);
      used_[at(slot)] += use;
      fullest_ = std::max(fullest_, used_[at(slot)]);
      lengthen(slot, prices_[at(slot)] * std::expm1(step_ * use));
      isLong = isLong || prices_[at(slot)] * capacity(slot) > kLongest;
    }
    touched_.clear();
    atLeast_ = std::max(atLeast_, carried_ / fullest_);
    if (isLong) reprice(1 / kLongest);
    if (fullest_ * step_ > kRound) endRound();
  }

 private:
  double capacity(Slot slot) const { return static_cast<double>(graph_.capacity(slot)); }

  void lengthen(Slot slot, double more) {
    prices_[at(slot)] += more;
    worth_ += more * capacity(slot);
    for (const SearchGraph::Charge& charger : graph_.chargers(slot)) {
      shortest_.setLength(charger.at, shortest_.lengthOf(charger.at) + more * charger.units);
    }
  }

  // Lengths swing around what is best, so their mean gives the better upper side. The trees of this
  // round were for worse lengths than those to come, and count no more.
  void endRound() {
    prices_.swap(mean_);
    reprice(1);
    atMost_ = std::min(atMost_, worth_ / shortest_.run([](Arc) {}));
    prices_.swap(mean_);
    reprice(1);
    std::fill(mean_.begin(), mean_.end(), 0);
    std::fill(used_.begin(), used_.end(), 0);
    step_ *= kNextStep;
    carried_ = 0;
    fullest_ = 0;
  }

  void reprice(double factor) {
    worth_ = 0;
    for (Slot slot = 0; slot < graph_.slotCount(); ++slot) {
      prices_[at(slot)] *= factor;
      worth_ += prices_[at(slot)] * capacity(slot);
    }
    for (Arc arc = 0; arc < graph_.arcCount(); ++arc) {
      double length = 0;
      for (const SearchGraph::Charge& charge : graph_.charges(arc)) {
        length += prices_[at(charge.at)] * charge.units;
      }
      shortest_.setLength(arc, length);
    }
  }

  const SearchGraph& graph_;
  ShortestTree shortest_;
  std::vector<double> prices_;  // by slot: y
  std::vector<double> mean_;    // by slot: y / worth_, over this round
  std::vector<double> used_;    // by slot: the part of its capacity that this round's trees take
  std::vector<double> load_;    // by slot: of the tree at hand
  std::vector<Slot> touched_;
  double worth_ = 0;  // sum of capacity * y
  double step_ = kFirstStep;
  double carried_ = 0;  // by all trees of this round
  double fullest_ = 0;  // the most of used_
  double atLeast_ = 0;
  double atMost_ = std::numeric_limits<double>::infinity();
};

}  // namespace

base::Result<Opinion> secondOpinion(const topology::Topology& topology,
                                    const OpinionOptions& options) {
  TUTTI_RETURN_IF_ERROR(topology::check(topology));
  if (options.gapPermille < 1 || options.gapPermille > 999 || options.mostTrees < 0) {
    return base::Status(
        base::Code::kInvalidArgument, base::kErrInvalidArgument,
        fmt::format("a gap of {} thousandths by at most {} trees: take 1 to 999, and 1 tree or "
                    "more (0: as many as are needed)",
                    options.gapPermille, options.mostTrees));
  }
  const topology::Topology fabric = topology::contract(topology).topology;
  const double unlimited = std::numeric_limits<double>::infinity();
  if (fabric.ranks().size() == 1) return Opinion{unlimited, unlimited, 0, true};
  if (!isSymmetric(makeFabric(fabric))) {
    return base::Status(base::Code::kInvalidUsage, base::kErrUnsupported,
                        "links have different capacities in their two directions: a tree used both "
                        "ways is not the best there, so multiplicative weights say nothing");
  }
  TUTTI_ASSIGN_OR_RETURN(const SearchGraph graph, SearchGraph::make(fabric, Direction::kBoth));
  Weighing weighing(graph);
  const int32_t most = options.mostTrees > 0 ? options.mostTrees : kMostLookedAt;
  Opinion opinion;
  while (opinion.trees < most && !opinion.isClose) {
    weighing.addTree();
    ++opinion.trees;
    opinion.atLeast = weighing.atLeast();
    opinion.atMost = weighing.atMost();
    opinion.isClose = opinion.atLeast >= opinion.atMost * (1000 - options.gapPermille) / 1000;
  }
  return opinion;
}

}  // namespace tutti::plan
