#include "src/plan/tree_search.h"

#include <string>

#include "src/base/hash.h"

namespace tutti::plan {
namespace {

// Prices double for each eighth of use at first; towards the end for each 58th, so that almost only
// the fullest slots count (Fleischer's and PathFinder's experience as well as ours).
constexpr int32_t kFirstSteepness = 8;
constexpr int32_t kLastSteepness = 58;

// What a hop costs, from the flattest trees to the deepest.
#include <cstdlib>
static std::vector<int64_t> hops() {
  std::vector<int64_t> v;
  const char* e = getenv("HOPS");
  std::string x = e ? e : "3,6,10,20";
  char* p = x.data();
  while (*p) {
    v.push_back(Prices::kPar >> strtol(p, &p, 10));
    if (*p == ',') p++;
  }
  return v;
}
static const std::vector<int64_t> kHops = hops();
static int envi(const char* n, int d) {
  const char* e = getenv(n);
  return e ? atoi(e) : d;
}
static const int kPat = envi("PAT", 2), kPat0 = envi("PAT0", 16);

size_t at(int64_t index) { return static_cast<size_t>(index); }

}  // namespace

TreeSearch::TreeSearch(const SearchGraph& graph, Rational unit, const std::vector<Wanted>& wanted)
    : graph_(&graph), prices_(graph, unit), grower_(graph), steepness_(kFirstSteepness) {
  for (size_t i = 0; i < wanted.size(); ++i) {
    Grown& tree = trees_.emplace_back();
    // Free roots are spread over the ranks.
    tree.root = wanted[i].root != kAnyRoot
                    ? wanted[i].root
                    : static_cast<ir::Rank>(i * at(graph.rankCount()) / wanted.size());
    tree.weight = wanted[i].weight;
    isFree_.push_back(wanted[i].root == kAnyRoot ? 1 : 0);
  }
}

void TreeSearch::run(int64_t goal, int64_t mostWork) {
  growAll();
  for (const int64_t hop : kHops) {
    const size_t patience = kPat * trees_.size() + kPat0;
    size_t idle = 0;
    for (size_t round = 1; idle < patience; ++round, ++idle) {
      if (fullest_ <= goal || work() >= mostWork) break;
      regrow(pick(), hop);
      const int64_t fullest = prices_.fullest();
      if (fullest < fullest_) {
        keep(fullest);
        idle = 0;
      }
      if (round % trees_.size() == 0) {
        steepness_ = std::min(kLastSteepness, steepness_ + steepness_ / 8);
      }
    }
  }
  restore();
}

void TreeSearch::growAll() {
  for (size_t i = 0; i < trees_.size(); ++i) {
    prices_.setTerms(trees_[i].weight, steepness_, Prices::kFull);
    grower_.grow(prices_, kHops[0], random(), trees_[i]);
  }
  best_ = trees_;
  changed_.clear();
  fullest_ = prices_.fullest();
}

void TreeSearch::regrow(size_t index, int64_t hop) {
  Grown& tree = trees_[index];
  changed_.push_back(index);
  prices_.load(tree.arcs, -int64_t{tree.weight});
  if (isFree_[index] != 0) tree.root = static_cast<ir::Rank>(below(at(graph_->rankCount())));
  prices_.setTerms(tree.weight, steepness_, std::max(Prices::kFull, fullest_));
  grower_.grow(prices_, hop, random(), tree);
}

// One of those on the fullest slots, most of the time.
size_t TreeSearch::pick() {
  constexpr int kTries = 16;
  size_t tree = below(trees_.size());
  if (random() % 4 == 0) return tree;
  const int64_t fullest = prices_.fullest();
  for (int i = 0; i < kTries && !isOnFullest(trees_[tree], fullest); ++i) {
    tree = below(trees_.size());
  }
  return tree;
}

bool TreeSearch::isOnFullest(const Grown& tree, int64_t fullest) {
  for (const SearchGraph::Arc arc : tree.arcs) {
    ++work_;
    for (const SearchGraph::Charge& charge : graph_->charges(arc)) {
      if (prices_.use(charge.at) >= fullest) return true;
    }
  }
  return false;
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

void TreeSearch::flatten(int64_t goal, int64_t mostWork) {
  constexpr int kTries = 12;
  const int64_t allowed = std::max(goal, fullest_);
  for (int i = 0; i < kTries; ++i) {
    for (size_t tree = 0; tree < trees_.size() && work() < mostWork; ++tree) {
      const int64_t before = radius(tree);
      regrow(tree, kHops[0] << (i % 4));
      const int64_t fullest = prices_.fullest();
      if (fullest <= allowed && radius(tree) <= before) {
        keep(fullest);
      } else {
        restore();
      }
    }
  }
}

// The delay to the farthest rank, from the best root that the tree may have.
int64_t TreeSearch::radius(size_t index) const {
  const Grown& tree = trees_[index];
  if (isFree_[index] != 0) return middleOf(tree).delay;
  return *std::max_element(tree.delays.begin(), tree.delays.end());
}

uint64_t TreeSearch::random() { return base::mix64(seed_ += 0x9e3779b97f4a7c15u); }

}  // namespace tutti::plan
