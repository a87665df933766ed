// How many streams meet on a line between machines: where many do, some of it is lost to queues
// that overflow and to streams that get less than their part.
#pragma once

#include <cstdint>

#include "src/plan/rational.h"
#include "src/plan/routed.h"
#include "src/plan/traffic.h"
#include "topology/graph.h"
#include "topology/routes.h"

namespace tutti::plan {

// Of pairs of ranks that send over one network link at a time, the most on any link that is as good
// as the fullest; 0: none of those is a network link.
struct Crowd {
  int32_t streams = 0;
  // Of those that no other link on their way holds back as much: unless it is the sender's own,
  // only losses tell them to slow down.
  int32_t unheld = 0;
  bool operator==(const Crowd&) const = default;
};

// Phases count together: ranks do not wait for each other between them. Pairs without a way are
// left out.
Crowd crowdOf(const topology::Topology& topology, topology::RouteTable& routes,
              const Traffic& traffic);
Crowd crowdOf(const topology::Topology& topology, const Packing& packing);

// What is left of a rate: each stream beyond four takes two hundredths, up to sixteen, or each
// unheld one beyond the first a hundredth, whichever is more. Measured with TCP over shaped lines
// (docs/performance.md): 7 streams of an all-reduce lose 4 to 12 % at 16 MiB, 5 lose 3 %, 3 nothing
// or, where they are unheld, 5 to 12 %; what more than 7 lose was not measured.
Rational crowded(const Rational& rate, const Crowd& crowd);

}  // namespace tutti::plan
