// The planner for a fabric: what is possible, what each algorithm reaches, and which one to take.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "src/ir/types.h"
#include "src/plan/bound.h"
#include "src/plan/crowd.h"
#include "src/plan/pack_trees.h"
#include "src/plan/rational.h"
#include "src/plan/routed.h"
#include "topology/graph.h"

namespace tutti::plan {

// Cost of a message beside the latency of its links and its bytes: by the farthest kind of link on
// its way, in ns. Not measured here: starting values of the size that the literature reports for
// device links, PCI Express and networks; a probe replaces them.
struct MessageCosts {
  int64_t deviceNs = 2'000;
  int64_t pciNs = 4'000;
  int64_t networkNs = 10'000;
  // Of every further message that a rank sends at the same time.
  int64_t postNs = 500;
  bool operator==(const MessageCosts&) const = default;
};

struct FabricOptions {
  MessageCosts costs = {};
  PackingOptions packing = {};
  // Trees are packed where the best of all others stays this far below the bound, in thousandths.
  int32_t gapPermille = 20;
  // Algorithms in which every rank sends to every other, or has a tree of its own, are left out
  // above this number of ranks: they are bound by messages, and their load takes a route for each
  // pair.
  int32_t mostForPairs = 256;
};

// What a call takes beside its bytes, so that its time can be told for every length.
struct Pace {
  int64_t startNs = 0;    // of the slowest message, before its first byte arrives
  int64_t furtherNs = 0;  // of the further messages that a rank sends at the same time
  int32_t steps = 0;      // messages one after another
  // Of a pipeline: how long the fullest link is busy with a chunk, or, of a forest, with one root's
  // message of a chunk; 0: whole blocks, no pipeline. That is kPostsPerChunk (kPostsPerMessage) x
  // costs.postNs or the latency between two neighbours, whichever is more: posting a message then
  // costs little, and ir::Limits::kFifoSlots messages outlast the way there and back. Where
  // messages leave the machine it is also enough for kLeastNetworkBytes of each: headers then take
  // 2 %.
  int64_t chunkNs = 0;
  bool operator==(const Pace&) const = default;
};
inline constexpr int64_t kPostsPerChunk = 16;
inline constexpr int64_t kPostsPerMessage = 2;
inline constexpr uint64_t kLeastNetworkBytes = 8192;
// A pipeline of s steps has at most s times as many chunks: more would fill it by less than 0.4 %
// of the call sooner.
inline constexpr int64_t kMostChunksPerStep = 256;

// An algorithm on the fabric. kilobytesPerSecond is of long messages, by the load of the fullest
// link or resource; 0 where it can not be used.
struct Candidate {
  // "trees" and "forest" are packed, "double_tree", "level_chain" and "level_tree" of a fixed form
  // (fixed_trees.h); the others are patterns, named as in ir::Plan.
  std::string algorithm;
  Rational kilobytesPerSecond = {};
  int32_t trees = 0;     // of those made of trees
  int32_t maxDepth = 0;  // messages one after another; of trees, edges from root to leaf
  Pace pace = {};
  Crowd crowd = {};
  int64_t ns = 0;                    // predicted for FabricPlan::bytes
  std::vector<ir::Rank> order = {};  // of "ring", "chain" and "pat": the places' ranks
  Packing packing = {};              // of those made of trees, over the links of FabricPlan::fabric
  std::string reason;                // why it is not the choice; of the choice, why it is
  bool operator==(const Candidate&) const = default;
};

struct FabricPlan {
  ir::Collective collective = ir::Collective::kAllReduce;
  ir::Rank root = 0;
  uint64_t bytes = 0;  // of a call, as Bound counts M
  int32_t ranks = 0;
  Bound bound;
  std::vector<Candidate> candidates;  // the choice first, the others by predicted time
  topology::Topology fabric;          // the contracted topology
  bool operator==(const FabricPlan&) const = default;
};

// What takes the planner long to find; the same for calls of every length.
struct Searched {
  std::vector<ir::Rank> order;  // of ring, chain and pat; empty: not looked for
  Packing packing;              // no trees: not packed
  bool operator==(const Searched&) const = default;
};

// Goes up with every change of what planFabric finds for the same fabric: what an earlier one found
// is then looked for again (store.h).
inline constexpr int kPlannerVersion = 6;

// Pure, the same on every machine: integers only, predicted times included. Single thread: 8 ranks
// 20 ms, 64 ranks half a second, 1,024 ten seconds. Fails where bound does.
//
// `known` is what searchedOf gave for the same topology, demand and options: it is checked and then
// taken instead of searching. Fails (internal error) where it is none for this fabric.
base::Result<FabricPlan> planFabric(const topology::Topology& topology, const Demand& demand,
                                    uint64_t bytes, const FabricOptions& options = {},
                                    const Searched* known = nullptr);

Searched searchedOf(const FabricPlan& made);

// The name in ir::Plan of what runs it: "trees" or "forest" for all that is made of trees.
std::string_view templateOf(const Candidate& candidate);

// In whole ns, rounded up; at most kMostNs. All steps of a pattern start one after another, and the
// bytes T = bytes / rate come on top, at what is left of the rate where lines are crowded. The last
// chunk of a pipeline starts when all others have passed, T - t, and takes steps x (startNs + t),
// where t = chunkNsOf.
int64_t predictedNs(const Candidate& candidate, uint64_t bytes);
// Of a pipeline, how long the fullest link is busy with a chunk of such a call: Pace::chunkNs, but
// no more than all of it and no less than kMostChunksPerStep asks; else 0.
int64_t chunkNsOf(const Candidate& candidate, uint64_t bytes);
inline constexpr int64_t kMostNs = int64_t{1} << 60;

// The candidate for calls of `bytes`: the fastest, or of those that are slower by less than one
// part in kCloseCall that with the highest rate left, for capacities are known better than what
// messages cost. The order of the candidates does not matter. Null: none can be used.
const Candidate* choiceOf(std::span<const Candidate> candidates, uint64_t bytes);
inline constexpr int64_t kCloseCall = 32;

// The share of the bound that an algorithm reaches, in thousandths rounded down; 1000 for one rank.
int64_t permilleOf(const Rational& rate, const Bound& bound);

}  // namespace tutti::plan
