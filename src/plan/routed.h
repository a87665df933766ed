// Trees with the links that they run over, and the load that they put on a fabric: what the packers
// make, and the certificate of how good it is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/base/status.h"
#include "src/ir/forest.h"
#include "src/ir/types.h"
#include "src/plan/rational.h"
#include "topology/graph.h"

namespace tutti::plan {

struct RoutedTree {
  ir::Tree tree;
  // By rank, in order of travel: the links from its parent to it, and from it to its parent. Both
  // empty for the root; `down` of trees that only reduce and `up` of those that only broadcast have
  // no links at all.
  std::vector<std::vector<topology::LinkIndex>> down;
  std::vector<std::vector<topology::LinkIndex>> up;

  bool operator==(const RoutedTree&) const = default;
};

// How a collective is done by trees.
//   all_reduce       each tree reduces its part of the vector to its root and, chunk by chunk at
//                    the same time, broadcasts it: both directions of its edges carry all of it
//   broadcast        away from the root, which is the same for all trees
//   reduce           towards the root
//   all_gather       a tree carries its part of its root's block away from the root; the trees of
//                    every root have the same sum of weights
//   reduce_scatter   a tree reduces its part of its root's block towards the root
// Where `isFlooding`, all_gather and reduce_scatter take every tree once for every rank: a tree
// carries its part of every rank's block, from or to that rank, along its edges in both directions.
struct Packing {
  ir::Collective collective = ir::Collective::kAllReduce;
  bool isFlooding = false;
  std::vector<RoutedTree> trees;
  // Algorithm bandwidth of long messages in kB/s, the scale of Bound: exact, by loadOf.
  Rational achieved = Rational::unlimited();
  int32_t maxDepth = 0;        // edges between a root and the farthest rank
  Rational averageDepth = {};  // of the trees, each counted by its weight
  bool operator==(const Packing&) const = default;
};

// What the trees of a collective carry: data away from the root, towards it, or both; and whether
// every rank is the root of its own block.
bool flowsDown(ir::Collective collective);
bool flowsUp(ir::Collective collective);
bool isByRank(ir::Collective collective);

// Of a message of M bytes (as Bound counts them), M * links[l] / total bytes pass link l and
// M * resources[r] / total are taken of resource r.
struct Load {
  std::vector<int64_t> links;
  std::vector<int64_t> resources;
  int64_t total = 0;
};

// From the paths alone. The packing must be valid (check).
Load loadOf(const topology::Topology& topology, const Packing& packing);

// Sets load.resources to what load.links take of them.
void chargeResources(const topology::Topology& topology, Load& load);

// total / max(load / capacity): the rate at which the fullest link or resource is just full.
Rational rateOf(const topology::Topology& topology, const Load& load);

// Does every tree span the ranks, do its paths lead where they should through forwarders only, are
// weights and roots as `collective` wants them? The failure names tree and rank (internal error).
base::Status check(const topology::Topology& topology, const Packing& packing);

// Sets achieved and the depths from the trees.
void measure(const topology::Topology& topology, Packing& packing);

// "all_reduce: 16 trees, 171.429 GB/s, depth 4 (average 3.2)": for people.
std::string toString(const Packing& packing);

}  // namespace tutti::plan
