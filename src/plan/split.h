// Splitting off forwarders: what they join becomes arcs between ranks, of the same worth for
// packing trees. Private to this room.
#pragma once

#include <cstdint>
#include <vector>

#include "src/plan/rational.h"
#include "src/plan/search_graph.h"
#include "src/plan/spanning_flows.h"

namespace tutti::plan {

// A search graph in whole units of capacity. `graph` must outlive it; resources do not count.
class UnitGraph {
 public:
  using Arc = SearchGraph::Arc;

  // `unit` in kB/s: an arc has as many units as fit its capacity, rounded down. `supply`: how many
  // trees of a unit start at each rank.
  UnitGraph(const SearchGraph& graph, Rational unit, const std::vector<int32_t>& supply);

  // Splits off all forwarders (Bang-Jensen, Frank and Jackson 1995): pairs of arcs in and out
  // of one become an arc past it, while flows() stay whole. Each arc in is spread over as many arcs
  // out as can be, for flat trees. Where more capacity enters a forwarder than leaves it, or less,
  // as much is taken away first. False if the flows do not exist, or where they do not allow that;
  // where all forwarders are balanced they do.
  bool splitOff();

  // After splitOff the arcs are between ranks only.
  SpanningFlows& flows() { return flows_; }

  // Units that take one way.
  struct Way {
    int32_t units = 0;
    std::vector<Arc> arcs;
  };
  // Takes `units` of an arc between ranks, at most its capacity after splitOff less what was taken
  // before; returns the ways that they stand for.
  std::vector<Way> take(int from, int to, int32_t units);

 private:
  struct Piece {
    int32_t units;
    int via;                // a forwarder that was split off, or -1
    std::vector<Arc> arcs;  // where via is -1
  };

  int nodeAt(topology::NodeIndex node) const { return nodes_[static_cast<size_t>(node)]; }
  std::vector<Piece>& pieces(int from, int to) {
    return pieces_[static_cast<size_t>(from) * static_cast<size_t>(nodeCount_) +
                   static_cast<size_t>(to)];
  }
  int32_t unitsOf(Arc arc) const;
  bool balance();
  int64_t surplusOf(int node) const;
  bool splitOff(int via);
  int32_t split(int from, int via, int to, int32_t most);
  Way takeSome(int from, int to, int32_t most);

  const SearchGraph* graph_;
  Rational unit_;
  int32_t most_;            // units of an arc that matter
  std::vector<int> nodes_;  // by node of the graph: its number in flows_, ranks first
  int nodeCount_;
  SpanningFlows flows_;
  std::vector<std::vector<Piece>> pieces_;
};

}  // namespace tutti::plan
