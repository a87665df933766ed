// What is to be packed, and in which portions. Private to this room.
#pragma once

#include <cstdint>
#include <vector>

#include "src/base/status.h"
#include "src/plan/bound.h"
#include "src/plan/pack_trees.h"
#include "src/plan/routed.h"
#include "src/plan/tree_search.h"
#include "topology/graph.h"

namespace tutti::plan {

base::Result<Direction> directionOf(ir::Collective collective);

// A number of units of weight that the bound is divided into; of collectives by rank, for each
// root.
struct Division {
  int32_t units = 1;
  int32_t permille = 0;  // of the bound: more cannot be reached by whole units
};

struct PackTask {
  const topology::Topology& topology;
  const Bound& bound;
  ir::Rank root;
  PackingOptions options;  // all set
  int32_t ranks;

  int32_t mostTrees() const {  // of collectives by rank, for each root
    return isByRank(bound.collective) ? options.mostPerRoot : options.mostTrees;
  }
  // What so many trees cost beside their load, in 1/10000 of it: fewer are better.
  int64_t lossOf(int32_t trees) const { return trees * (isByRank(bound.collective) ? 25 : 3); }
  int64_t goal() const { return Prices::kFull * 1000 / options.enoughPermille; }

  // Those that may come to options.enoughPermille first, and the smaller first; the others by what
  // they may come to.
  std::vector<Division> divisions() const;
  // As many trees as the options allow, of weights as equal as the units allow.
  std::vector<TreeSearch::Wanted> wanted(int32_t units) const;
  // By rank, how many of the units start there; not of all_reduce.
  std::vector<int32_t> supply(int32_t units) const;
  // By the first candidate that is good enough, or the best one within mostWork.
  TreeSearch scan(const SearchGraph& graph, int64_t mostWork) const;
  Packing toPacking(const SearchGraph& graph, const std::vector<Grown>& trees) const;

 private:
  int32_t permilleOf(int32_t units) const;
  TreeSearch flatter(const SearchGraph& graph, const Division& division, TreeSearch deep,
                     int64_t mostWork) const;
};

}  // namespace tutti::plan
