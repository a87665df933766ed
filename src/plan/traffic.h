// What an algorithm sends between which ranks: the input of the load on a fabric. For algorithms
// whose messages follow from the ranks' places alone; trees are in routed.h.
//
// Counted by what src/schedule sends for buffers that peers can not reach in place; a test
// compares both.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "src/ir/types.h"
#include "src/plan/rational.h"
#include "src/plan/routed.h"
#include "topology/graph.h"
#include "topology/routes.h"

namespace tutti::plan {

// All that `from` sends to `to` in one phase of a call: M * share / Traffic::shares bytes, M as
// Bound counts. A rank sends in a phase only what it received in those before.
struct Message {
  ir::Rank from = 0;
  ir::Rank to = 0;
  int64_t share = 0;
  int32_t phase = 0;
  bool operator==(const Message&) const = default;
};

struct Traffic {
  std::vector<Message> messages;  // by phase, each pair once in it
  int64_t shares = 1;
  int32_t steps = 0;  // messages one after another on the longest way of a short call
  int32_t posts = 0;  // messages that the busiest rank sends
  bool operator==(const Traffic&) const = default;
};

// Names of the algorithms of a collective that `trafficOf` knows; the order breaks ties.
std::vector<std::string_view> patternsOf(ir::Collective collective);

// `order` lists all ranks: place p of the algorithm is order[p]. A root's place is first where the
// collective has one. O(messages). Fails (unsupported) where the algorithm needs a power of two,
// and (invalid argument) for a name that patternsOf does not list.
base::Result<Traffic> trafficOf(ir::Collective collective, std::string_view algorithm,
                                const std::vector<ir::Rank>& order);

struct TrafficLoad {
  Load all;            // of all phases
  Rational rate = {};  // phases one after another, each as fast as its fullest link or resource
};

// Every message on its route. Fails where two ranks have no way to each other.
base::Result<TrafficLoad> loadOf(const topology::Topology& topology, topology::RouteTable& routes,
                                 const Traffic& traffic);

}  // namespace tutti::plan
