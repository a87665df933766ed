// What a fabric allows: for each collective the greatest rate that any schedule can have, exactly,
// and the links that keep it from being greater.
//
// A rate is the algorithm bandwidth of long messages, M / T: M are the bytes of the whole vector as
// ir::planBytes counts them (all_reduce, broadcast, reduce: the vector; the others: all blocks of
// the larger buffer), T is the time. Ranks copy and reduce, forwarders only forward; data is not
// coded; each direction of a link has its capacity for itself.
//
// w(A) is the weight of a set A of ranks and W that of all, d(A) the least capacity that leaves A
// and any set of forwarders, F the most that can pass from ranks to ranks in all.
//
//   all_gather        W min d(A) / w(A) over A other than all ranks: every cut exports the blocks
//                     of its side. Newton steps on the violated cut, N + a few flows.
//   gather            the same over A without the root: one flow and a few more
//   broadcast         min d(A) over A with the root, other than all ranks: N - 1 flows
//   all_reduce        min sum d(A_i) / (2 (p - 1)) over partitions of the ranks into p >= 2 parts:
//                     p parties that all hold something need 2p - 2 messages to tell each other
//                     everything. Newton steps on Dilworth truncations, N flows each.
//   reduce_scatter, scatter, reduce
//                     the same with every link turned around
//   send              the flow from `root` to `peer`
//   all_to_all        min N d(A) / (|A| (N - |A|)) over A that is one rank, host or site: an upper
//                     bound only, for the best cut is hard to find and need not be reached
//
// Exact or not. Gather, scatter and send are flows, and exact on every fabric. All-gather,
// broadcast and their reverses are exact if at every forwarder as much capacity enters as leaves
// (Edmonds' trees exist after splitting off). All-reduce is exact if links have the same capacity
// both ways. Else the cut formula is still an upper bound (of all-reduce: with d(A) over links
// leaving and, again, over links entering), and so is F / (N - 1) (of all-reduce: half of that),
// for a forwarder makes no copies; the smaller one is given. `reachable` is then the formula's
// value on a part of the fabric where it is exact: capacities cut down until forwarders balance
// (all-reduce: to the smaller of the two directions). Shared resources are further upper bounds, by
// what must cross the surroundings of each rank and host that a resource touches; `reachable`
// shrinks by what the resources lack if all links were full. `isExact` says that both meet.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/base/status.h"
#include "src/ir/types.h"
#include "src/plan/rational.h"
#include "topology/graph.h"

namespace tutti::plan {

// What is to be moved.
struct Demand {
  ir::Collective collective = ir::Collective::kAllReduce;
  int32_t root = 0;  // the root; of send and recv the rank that sends
  int32_t peer = 1;  // of send and recv the rank that receives
  // Of all_gather(v), reduce_scatter(v), gather(v), scatter(v): the share of each rank's block, not
  // negative, 2^60 at most in sum. Empty: equal blocks.
  std::vector<int64_t> weights = {};
};

struct Bound {
  ir::Collective collective = ir::Collective::kAllReduce;
  // No schedule is faster. Unlimited if nothing has to move: one rank, or no weight.
  Rational kilobytesPerSecond = Rational::unlimited();
  // Some schedule is at least as fast (0: not known); equal if isExact.
  Rational reachable = Rational::unlimited();
  bool isExact = true;
  // The ranks of each part, ascending. Two parts: data goes from the first to the second, over
  // `links` (of all_reduce: both ways). More: between all parts.
  std::vector<std::vector<int32_t>> parts = {};
  std::vector<topology::LinkIndex> links = {};  // those that limit, ascending
  std::vector<std::string> resources = {};      // ids of what limits beside links, or instead
  bool operator==(const Bound&) const = default;
};

// Pure, the same on every machine. Single thread, 1,024 ranks in boxes of 8: all_gather 0.03 s,
// all_reduce 0.2 s. Fails where topology::check does, for roots, peers and weights out of range,
// for all_to_all_v (its bound needs a matrix), and if capacities add up to 2^52 kB/s or more.
base::Result<Bound> bound(const topology::Topology& topology, const Demand& demand);

// For people, in one line: "all_reduce: at most 200 GB/s. Between ranks 0-7 and ranks 8-127, these
// links limit you: 16 network links of 25 GB/s (box0.gpu0.nic to rail0, ...)". `topology` is the
// one that the bound is of.
std::string explain(const topology::Topology& topology, const Bound& bound);

}  // namespace tutti::plan
