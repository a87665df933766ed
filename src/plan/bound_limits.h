// The formulas of bound.h, each on a fabric of numbers. Private to this room.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "src/plan/flow.h"
#include "topology/graph.h"

namespace tutti::plan {

// A topology as numbers. Nodes 0 .. ranks-1 are the ranks, the others forward.
struct Fabric {
  int32_t ranks = 0;
  int32_t nodes = 0;
  std::vector<ArcPair<int64_t>> links;  // one for each two nodes that have links between them
  std::vector<int32_t> place;           // of each node of the topology
  std::vector<int32_t> linkOf;          // for each link of the topology, the one that it is part of
};

Fabric makeFabric(const topology::Topology& topology);
Fabric reversed(Fabric fabric);
Fabric narrowed(Fabric fabric);  // both directions as the lesser of the two
// Capacities cut down, evenly where possible, until as much enters each forwarder as leaves it.
Fabric balanced(Fabric fabric);
bool isSymmetric(const Fabric& fabric);
bool isBalanced(const Fabric& fabric);

// All numbers below `count`, neighbours far from each other: searches that treat what they have
// visited as one node then find it near by everywhere.
std::vector<int32_t> spreadOrder(int32_t count);

// The least cut that separates a set of ranks from all the others, forwarders free. Searched from
// the ranks (as a flow to them, over links turned around), so a cut near them is found fast.
class RankCuts {
 public:
  explicit RankCuts(const Fabric& fabric);
  // d(ranks): what leaves them. `ranks` are neither none nor all.
  int64_t leaving(std::span<const int32_t> ranks);
  // Is this node on the ranks' side of that cut? The smallest such side.
  bool isInside(int32_t node) const { return network_.reachesSink(node); }
  // Takes these capacities from now on for links[link].
  void setCapacity(int32_t link, int64_t forward, int64_t backward);

 private:
  void tie(int32_t rank, bool isInside);

  int32_t nodes_;
  int32_t links_;
  FlowNetwork<int64_t> network_;
  std::vector<int32_t> inside_;
};

// An upper bound in kB/s, and why.
struct Limit {
  enum class Kind : uint8_t {
    kCut,         // parts[0] to parts[1]
    kLeaving,     // what leaves each of the parts
    kEntering,    // what enters each of the parts
    kThroughput,  // what passes from ranks to ranks in all
    kResources,   // what `resources` allow where parts[0] meets parts[1]
  };
  Rational value = Rational::unlimited();
  Kind kind = Kind::kCut;
  std::vector<std::vector<int32_t>> parts = {};
  std::vector<std::string> resources = {};
};

// Two parts: the ranks for which `isFirst`, and the others.
std::vector<std::vector<int32_t>> split(std::span<const char> isFirst);

// Every rank of `sinks` receives what all ranks hold, a share of the whole by weight.
Limit gatherLimit(const Fabric& fabric, std::span<const int64_t> weights,
                  std::span<const int32_t> sinks);
Limit broadcastLimit(const Fabric& fabric, int32_t root);
// All-reduce, by what leaves the parts of a partition.
Limit partitionLimit(const Fabric& fabric);
// Every rank but one receives the vector `times` times, over forwarders that make no copies.
Limit throughputLimit(const Fabric& fabric, int times);
// All-to-all, by what leaves and enters each of these sets of ranks.
Limit exchangeLimit(const Fabric& fabric, std::span<const std::vector<int32_t>> sets);

// The links of `topology` that make up a limit, ascending. Not for kResources.
std::vector<topology::LinkIndex> limitingLinks(const topology::Topology& topology,
                                               const Limit& limit);

// What must leave and enter a set of ranks, as a part of M: out / whole and in / whole.
struct Crossing {
  int64_t out = 0;
  int64_t in = 0;
  int64_t whole = 1;  // the same for all sets, at most 2^24
};
using CrossingOf = std::function<Crossing(std::span<const int32_t> ranks)>;

// By what the resources of `topology` charge for what must cross the surroundings of ranks and
// hosts.
Limit resourceLimit(const topology::Topology& topology, const Fabric& fabric,
                    const CrossingOf& crossingOf, bool isAllReduce);
// The part of a rate on links alone that the resources allow for certain.
Rational shrunkByResources(const topology::Topology& topology, Rational rate);

}  // namespace tutti::plan
