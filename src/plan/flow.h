// Maximum flow over a directed network with integer capacities: what bounds and packings are made
// of. Dinic's algorithm with labels from the sink, so that a flow whose source and sink are near
// each other costs what lies between them, not the size of the network.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "src/plan/rational.h"

namespace tutti::plan {

// Two opposite arcs, from -> to and to -> from; an undirected edge has equal capacities.
template <typename Capacity>
struct ArcPair {
  int32_t from = 0;
  int32_t to = 0;
  Capacity forward = 0;
  Capacity backward = 0;
};

// Capacity is int64_t or Int128; forward + backward of a pair and the value of a flow must fit it.
// Where 64 bits may not do (capacities multiplied by weights), take Int128, at half again the time.
// Not for several threads at once.
template <typename Capacity>
class FlowNetwork {
 public:
  static constexpr Capacity kUnlimited =
      static_cast<Capacity>(Capacity{1} << (sizeof(Capacity) * 8 - 3));

  // A pair is known by its place in `pairs`; the nodes are 0 .. nodes-1.
  FlowNetwork(int32_t nodes, std::span<const ArcPair<Capacity>> pairs);

  // The next maxFlow uses these; the value of the last one is lost.
  void setCapacity(int32_t pair, Capacity forward, Capacity backward);

  // The greatest flow from `source` to `sink`, another node; or `enough` as soon as there is as
  // much. Starts from no flow. O(arcs * paths) in practice, and touches only the nodes that are
  // nearer to the sink than the source is.
  Capacity maxFlow(int32_t source, int32_t sink, Capacity enough = kUnlimited);

  // After a maxFlow below `enough`: the nodes for which this is false are the source's side of a
  // cut of the value of the flow, the largest such side.
  bool reachesSink(int32_t node) const { return distance_[at(node)] >= 0; }

  // What the last maxFlow sends forward over a pair; below 0: backward.
  Capacity flow(int32_t pair) const {
    return capacity_[at(place_[at(pair)])] - arcs_[at(place_[at(pair)])].residual;
  }

 private:
  struct Arc {
    int32_t to;
    int32_t mate;  // the opposite arc of the pair
    Capacity residual;
  };

  static size_t at(int32_t index) { return static_cast<size_t>(index); }

  void reset();
  bool label(int32_t source, int32_t sink);
  Capacity push(int32_t source, int32_t sink, Capacity most);
  Capacity augment(Capacity most);
  int32_t admissible(int32_t node);

  std::vector<int32_t> first_;  // arcs of node n: first_[n] .. first_[n + 1] - 1
  std::vector<Arc> arcs_;
  std::vector<Capacity> capacity_;  // of each arc
  std::vector<int32_t> place_;      // of a pair's forward arc
  std::vector<char> isTouched_;  // has a flow changed this arc or its mate? (the lower of the two)
  std::vector<int32_t> touched_;
  std::vector<int32_t> distance_;  // to the sink; -1 not reached, -2 a dead end
  std::vector<int32_t> reached_;   // the nodes with a distance, nearest first
  std::vector<int32_t> current_;   // the arc of a node to try next
  std::vector<int32_t> path_;      // arcs
};

extern template class FlowNetwork<int64_t>;
extern template class FlowNetwork<Int128>;

}  // namespace tutti::plan
