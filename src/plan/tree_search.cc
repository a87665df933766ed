#include "src/plan/tree_search.h"

#include <algorithm>
#include <utility>

#include "src/base/hash.h"
#include "src/plan/index.h"
#include "src/plan/weights.h"

namespace tutti::plan {
namespace {

// Prices double for each eighth of use at first; towards the end for each 58th, so that almost only
// the fullest slots count.
constexpr int32_t kFirstSteepness = 8;
constexpr int32_t kLastSteepness = 58;

Rational unitOf(Rational rate, const std::vector<Grown>& trees) {
  int64_t weights = 0;
  for (const Grown& tree : trees) weights += tree.weight;
  return makeRational(rate.num, static_cast<Int128>(rate.den) * weights);
}

std::vector<Grown> plant(int ranks, const std::vector<TreeSearch::Wanted>& wanted) {
  std::vector<Grown> trees;
  for (size_t i = 0; i < wanted.size(); ++i) {
    Grown& tree = trees.emplace_back();
    // Free roots are spread over the ranks.
    tree.root = wanted[i].root != TreeSearch::kAnyRoot
                    ? wanted[i].root
                    : static_cast<ir::Rank>(i * at(ranks) / wanted.size());
    tree.weight = wanted[i].weight;
  }
  return trees;
}

}  // namespace

TreeSearch::TreeSearch(const SearchGraph& graph, Rational rate, const std::vector<Wanted>& wanted)
    : graph_(&graph),
      rate_(rate),
      prices_(graph, unitOf(rate, plant(graph.rankCount(), wanted))),
      grower_(graph),
      isFree_(wanted[0].root == kAnyRoot),
      steepness_(kFirstSteepness),
      trees_(plant(graph.rankCount(), wanted)) {}

TreeSearch::TreeSearch(const SearchGraph& graph, Rational rate, std::vector<Grown> trees)
    : graph_(&graph),
      rate_(rate),
      prices_(graph, unitOf(rate, trees)),
      grower_(graph),
      isFree_(false),
      steepness_(kLastSteepness),
      trees_(std::move(trees)),
      best_(trees_) {
  for (const Grown& tree : trees_) prices_.load(tree.arcs, tree.weight);
  fullest_ = prices_.fullest();
}

void TreeSearch::run(int64_t hop, int64_t goal, int64_t mostWork) {
  growAll(hop);
  const size_t patience = 12 * trees_.size();
  size_t idle = 0;
  for (size_t round = 1; idle < patience && fullest_ > goal && work() < mostWork; ++round, ++idle) {
    // Where the goal seems out of reach, the fullest slots are told apart instead.
    level_ = 2 * idle < patience ? Prices::kFull : std::max(Prices::kFull, fullest_);
    regrow(below(trees_.size()), hop);
    const int64_t fullest = prices_.fullest();
    if (fullest < fullest_) {
      keep(fullest);
      idle = 0;
    }
    if (round % trees_.size() == 0) {
      steepness_ = std::min(kLastSteepness, steepness_ + steepness_ / 8);
    }
  }
  restore();
}

void TreeSearch::growAll(int64_t hop) {
  for (Grown& tree : trees_) {
    prices_.setTerms(tree.weight, steepness_, Prices::kFull);
    grower_.grow(prices_, hop, random(), tree);
  }
  best_ = trees_;
  changed_.clear();
  fullest_ = prices_.fullest();
}

void TreeSearch::regrow(size_t index, int64_t hop) {
  Grown& tree = trees_[index];
  changed_.push_back(index);
  prices_.load(tree.arcs, -int64_t{tree.weight});
  // Roots that are spread well make flat trees: there they change seldom.
  if (isFree_ && (hop <= kDeep || below(16) == 0)) tree.root = anyRank();
  prices_.setTerms(tree.weight, steepness_, level_);
  grower_.grow(prices_, hop, random(), tree);
}

void TreeSearch::keep(int64_t fullest) {
  fullest_ = fullest;
  for (const size_t tree : changed_) best_[tree] = trees_[tree];
  changed_.clear();
}

void TreeSearch::restore() {
  for (const size_t tree : changed_) {
    prices_.load(trees_[tree].arcs, -int64_t{trees_[tree].weight});
    trees_[tree] = best_[tree];
    prices_.load(trees_[tree].arcs, trees_[tree].weight);
  }
  changed_.clear();
}

void TreeSearch::reweigh(size_t mostTrees, int64_t goal, int64_t mostWork) {
  constexpr int kPatience = 40;
  std::vector<int64_t> smooth(at(graph_->slotCount()), 0);
  for (int idle = 0; idle < kPatience && fullest_ > goal && work() < mostWork; ++idle) {
    const Weights weights = weigh(*graph_, trees_);
    work_ += weights.work;
    if (!takeWeights(weights.weights)) break;
    reprice();
    const int64_t fullest = prices_.fullest();
    if (fullest < fullest_) {
      best_ = trees_;
      fullest_ = fullest;
      idle = 0;
    }
    // The prices of one answer are those of a corner; a mean leads to better trees.
    for (size_t slot = 0; slot < smooth.size(); ++slot) {
      smooth[slot] = (smooth[slot] + weights.prices[slot]) / 2 + static_cast<int64_t>(below(1024));
    }
    replace(mostTrees, smooth);
  }
  trees_ = best_;
  std::erase_if(trees_, [](const Grown& tree) { return tree.weight == 0; });
  best_ = trees_;
  reprice();
}

// False where there is no weight at all.
bool TreeSearch::takeWeights(const std::vector<int32_t>& weights) {
  if (std::all_of(weights.begin(), weights.end(), [](int32_t weight) { return weight == 0; })) {
    return false;
  }
  for (size_t i = 0; i < trees_.size(); ++i) trees_[i].weight = weights[i];
  return true;
}

void TreeSearch::replace(size_t mostTrees, const std::vector<int64_t>& prices) {
  prices_.setPrices(prices);
  while (trees_.size() < mostTrees) {
    Grown& tree = trees_.emplace_back();
    tree.root = trees_[0].root;
    tree.weight = 0;
  }
  std::vector<size_t> useless;
  for (size_t i = 0; i < trees_.size(); ++i) {
    if (trees_[i].weight == 0) useless.push_back(i);
  }
  if (useless.empty()) {
    size_t light = below(trees_.size());
    for (int i = 0; i < 3; ++i) {
      const size_t other = below(trees_.size());
      if (trees_[other].weight < trees_[light].weight) light = other;
    }
    useless.push_back(light);
  }
  for (const size_t i : useless) {
    if (isFree_) trees_[i].root = anyRank();
    grower_.grow(prices_, 0, random(), trees_[i]);
  }
}

void TreeSearch::reprice() {
  prices_ = Prices(*graph_, unitOf(rate_, trees_));
  for (const Grown& tree : trees_) prices_.load(tree.arcs, tree.weight);
}

void TreeSearch::flatten(int64_t goal, int64_t mostWork) {
  constexpr int kTries = 12;
  constexpr int kShifts[] = {3, 6, 9, 12};
  constexpr int32_t kSteepness[] = {58, 200, 500};
  // Half a percent is a fair price; what is better than the goal may not become worse than it.
  const int64_t allowed = std::max(fullest_, std::min(goal, fullest_ + fullest_ / 200));
  level_ = allowed;
  for (int i = 0; i < kTries; ++i) {
    steepness_ = kSteepness[i / 4 % 3];
    for (size_t tree = 0; tree < trees_.size() && work() < mostWork; ++tree) {
      const int64_t before = radius(trees_[tree]);
      regrow(tree, Prices::kPar >> kShifts[i % 4]);
      work_ += graph_->rankCount();
      const int64_t fullest = prices_.fullest();
      if (fullest <= allowed && radius(trees_[tree]) <= before) {
        keep(fullest);
      } else {
        restore();
      }
    }
  }
}

// The delay to the farthest rank, from the best root that the tree may have.
int64_t TreeSearch::radius(const Grown& tree) const {
  return isFree_ ? middleOf(tree).delay : *std::max_element(tree.delays.begin(), tree.delays.end());
}

uint64_t TreeSearch::random() { return base::mix64(seed_ += 0x9e3779b97f4a7c15u); }

}  // namespace tutti::plan
