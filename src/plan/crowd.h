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

// The most pairs of ranks that send over one network link at a time, of the links that are as good
// as the fullest; 0: none of those is a network link. Pairs without a way are left out.
int32_t crowdOf(const topology::Topology& topology, topology::RouteTable& routes,
                const Traffic& traffic);
int32_t crowdOf(const topology::Topology& topology, const Packing& packing);

// What is left of a rate: each stream beyond four takes two hundredths, up to sixteen. Measured
// with TCP over shaped lines (docs/performance.md): 7 streams of an all-reduce lose 4 to 12 % at 16
// MiB, 5 lose 3 %, 3 nothing; what more streams lose was not measured.
Rational crowded(const Rational& rate, int32_t crowd);

}  // namespace tutti::plan
