// Which links a message takes.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "src/base/status.h"
#include "src/ir/types.h"
#include "topology/graph.h"

namespace tutti::topology {

// The way that a plan laid down for what `from` sends to `to` of one slice of the data.
struct Route {
  ir::Rank from = 0;
  ir::Rank to = 0;
  int32_t slice = 0;
  std::vector<LinkIndex> links = {};  // in order of travel
  int32_t block = -1;                 // of this rank's block only; -1: of any
  bool operator==(const Route&) const = default;
};

// Answers for every pair of ranks: with the route that was given, else with the widest of all ways,
// of those the shortest (fewest links, then least latency). Among equal ones (several NICs, spines
// of a fat tree) it goes by rank and channel, rank r over number (r + channel) modulo how many
// there are: neighbours and lanes spread. A way leads through other ranks only where there is no
// way around them.
//
// Used by one thread: it remembers what it has searched, O(nodes) for each rank that sends.
class RouteTable {
 public:
  // The topology has passed check and outlives the table. Fails (invalid argument) where
  // a given route is none: ranks or links that do not exist, links that do not join, a route
  // given twice.
  static base::Result<RouteTable> make(const Topology& topology,
                                       const std::vector<Route>& given = {});

  // The links from one rank to another one, for what is part of a block (-1: of none). Fails
  // (invalid argument) where there is no way.
  base::Result<std::vector<LinkIndex>> find(ir::Rank from, ir::Rank to, int channel, int slice,
                                            int block = -1);

 private:
  struct Distance {
    int32_t links = -1;  // -1: out of reach
    int64_t latencyNs = 0;
    bool operator==(const Distance&) const = default;
  };
  // What is known of the ways from one node.
  struct Search {
    std::vector<int64_t> widths;                         // by node; 0: out of reach
    std::map<int64_t, std::vector<Distance>> distances;  // over links of at least that capacity
  };

  explicit RouteTable(const Topology& topology);
  base::Status add(const Route& route);
  std::vector<LinkIndex> walk(ir::Rank from, NodeIndex target, int channel, int64_t width,
                              bool passesRanks);
  const Search& searchFrom(NodeIndex node, bool passesRanks);
  const std::vector<Distance>& distancesOver(int64_t width, NodeIndex from, bool passesRanks);
  std::vector<int64_t> widthsFrom(NodeIndex from, bool passesRanks) const;
  std::vector<Distance> distancesFrom(NodeIndex from, int64_t width, bool passesRanks) const;
  bool forwards(NodeIndex node, NodeIndex from, bool passesRanks) const;

  const Topology* topology_;
  Adjacency adjacency_;
  std::vector<NodeIndex> nodes_;  // of each rank
  std::vector<int32_t> rankOfNode_;
  // By slice, block, from, to.
  std::map<std::tuple<int32_t, int32_t, ir::Rank, ir::Rank>, std::vector<LinkIndex>> given_;
  std::unordered_map<int64_t, Search> searches_;  // 2 * node + passesRanks
};

}  // namespace tutti::topology
