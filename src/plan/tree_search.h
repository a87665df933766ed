// Searching for trees that fill a fabric evenly: grow all, then rip up and regrow one at a time.
// Private to this room.
#pragma once

#include <cstdint>
#include <vector>

#include "src/plan/growth.h"

namespace tutti::plan {

// Equal calls, equal trees: random choices are pseudorandom. Work is counted in arcs looked at.
class TreeSearch {
 public:
  static constexpr ir::Rank kAnyRoot = -1;  // the search chooses, and may choose anew
  // What a hop costs for trees as deep as they come.
  static constexpr int64_t kDeep = Prices::kPar >> 20;

  struct Wanted {
    ir::Rank root = kAnyRoot;
    int32_t weight = 1;
  };

  // `rate`: what all trees together are to carry, in kB/s, above 0. `graph` must outlive this; its
  // direction is kBoth where a root is free.
  TreeSearch(const SearchGraph& graph, Rational rate, const std::vector<Wanted>& wanted);

  // Goes on from trees with their roots fixed, as flatten does.
  TreeSearch(const SearchGraph& graph, Rational rate, std::vector<Grown> trees);

  // Grows all trees, then regrows them until no slot is used more than `goal` (of Prices::kFull),
  // or for long without progress, or until work() reaches `mostWork`. Keeps the best.
  void run(int64_t hop, int64_t goal, int64_t mostWork);

  // After run: finds the best weights for the trees, replaces those of no use by ones that the
  // weights' prices ask for (column generation), adds such up to `mostTrees`, and so on, until
  // as above. All roots are free, or all the same.
  void reweigh(size_t mostTrees, int64_t goal, int64_t mostWork);

  // Regrows trees flatter while no slot is used more than fullest() or `goal`, the greater.
  void flatten(int64_t goal, int64_t mostWork);

  int64_t fullest() const { return fullest_; }
  int64_t work() const { return grower_.work() + work_; }
  // Free roots are anywhere: see middleOf.
  const std::vector<Grown>& trees() const { return trees_; }

 private:
  void growAll(int64_t hop);
  void regrow(size_t tree, int64_t hop);
  bool takeWeights(const std::vector<int32_t>& weights);
  void replace(size_t mostTrees, const std::vector<int64_t>& prices);
  void reprice();
  void keep(int64_t fullest);
  void restore();
  int64_t radius(const Grown& tree) const;
  uint64_t random();
  size_t below(size_t count) { return static_cast<size_t>(random() % count); }
  ir::Rank anyRank() {
    return static_cast<ir::Rank>(below(static_cast<size_t>(graph_->rankCount())));
  }

  const SearchGraph* graph_;
  Rational rate_;
  Prices prices_;
  Grower grower_;
  bool isFree_;
  int64_t work_ = 0;
  uint64_t seed_ = 0;
  int32_t steepness_;
  int64_t level_ = Prices::kFull;
  int64_t fullest_ = 0;
  std::vector<Grown> trees_;
  std::vector<Grown> best_;
  std::vector<size_t> changed_;  // since trees_ equalled best_; may repeat
};

}  // namespace tutti::plan
