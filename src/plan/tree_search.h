// Searching for trees that fill a fabric evenly: grow all, then rip up and regrow one at a time.
// Private to this room.
#pragma once

#include <cstdint>
#include <vector>

#include "src/plan/growth.h"

namespace tutti::plan {

class TreeSearch {
 public:
  static constexpr ir::Rank kAnyRoot = -1;  // the search chooses, and may choose anew

  struct Wanted {
    ir::Rank root = kAnyRoot;
    int32_t weight = 1;
  };

  // `unit`: the rate that one of weight stands for, above 0. Equal arguments, equal trees. `graph`
  // must outlive this; its arcs lead both ways where a root is free.
  TreeSearch(const SearchGraph& graph, Rational unit, const std::vector<Wanted>& wanted);

  // Grows all trees, then regrows, first flat ones, then ever deeper ones, until no slot is used
  // more than `goal` (of Prices::kFull), or no progress is made, or work() reaches `mostWork` (all
  // trees are grown in any case). Keeps the best.
  void run(int64_t goal, int64_t mostWork);

  // Regrows trees flatter while no slot is used more than fullest() or `goal`, the greater.
  void flatten(int64_t goal, int64_t mostWork);

  int64_t fullest() const { return fullest_; }
  int64_t work() const { return grower_.work() + work_; }
  // Free roots are anywhere: see middleOf.
  const std::vector<Grown>& trees() const { return trees_; }

 private:
  void growAll();
  void regrow(size_t tree, int64_t hop);
  size_t pick();
  bool isOnFullest(const Grown& tree, int64_t fullest);
  void keep(int64_t fullest);
  void restore();
  int64_t radius(size_t index) const;
  uint64_t random();
  size_t below(size_t count) { return static_cast<size_t>(random() % count); }

  const SearchGraph* graph_;
  Prices prices_;
  Grower grower_;
  int64_t work_ = 0;
  uint64_t seed_ = 0;
  int32_t steepness_;
  int64_t fullest_ = 0;
  std::vector<char> isFree_;
  std::vector<Grown> trees_;
  std::vector<Grown> best_;
  std::vector<size_t> changed_;  // since trees_ equalled best_; may repeat
};

}  // namespace tutti::plan
