// Closed forms, for the busiest rank; n ranks, M bytes of the whole vector, b bytes of one block,
// s = M / n, D = ceil(log2 n). Rounds and bytes on the wire are those of the literature (Thakur,
// Rabenseifner, Gropp: "Optimization of collective communication operations in MPICH", 2005; for
// the trees see src/ir/trees.h); copies are counted from the templates in src/schedule.
#include "src/plan/loads.h"

#include <algorithm>

namespace tutti::plan {
namespace {

// Everyone posts once and reads the posts of all others.
RankLoad oneRound(const Extent& e) { return {.rounds = 1, .fan = e.n - 1, .ends = e.n}; }

// Expose and attach, then signal and wait.
RankLoad inPlace(const Extent& e) { return {.rounds = 2, .fan = e.n - 1, .ends = 2 * e.n}; }

// One lane whose steps each wait for the one before.
RankLoad inTurn(double rounds) {
  return {.rounds = rounds, .ends = 2 * rounds, .inFlight = 1, .isRepeated = true};
}

double foldRounds(const Extent& e) { return (e.ranks & (e.ranks - 1)) == 0 ? 0 : 2; }

double powerBelow(const Extent& e) {
  int power = 1;
  while (power * 2 <= e.ranks) power *= 2;
  return power;
}

double log2OfPowerBelow(const Extent& e) { return foldRounds(e) > 0 ? e.log - 1 : e.log; }

// What both directions of pat share. Rounds: log2 of the largest group for gathering group 0, then
// of the groups every fourth waits for what was sent a moment ago, and so does the last leaf.
RankLoad patMessages(const Extent& e) {
  int stride = 2;
  while ((e.ranks + stride - 1) / stride > e.run) stride *= 2;
  const int blocks = (e.ranks + stride - 1) / stride;
  const int groups = std::min(stride, e.ranks);
  double gathering = 0;
  for (int reached = 1; reached < blocks; reached *= 2) gathering += 1;
  RankLoad load = inTurn(gathering + (groups + 1) / 4 + 1);
  load.ends = 2 * (gathering + groups - 1) + (blocks > 1 ? e.n : 0);
  load.staged = 2 * (e.n - 1) * e.bytes;
  load.traffic = (e.n + 1) * e.bytes;
  load.wire = (e.n - 1) * e.bytes;
  // Over distances from the stride on messages double from one block; below, they are whole groups.
  load.inFlight = blocks - 1 + (e.log - gathering) * blocks;
  return load;
}

bool packsBlocks(const Extent& e) { return e.run > 1 && e.ranks > 2; }

// Blocks of different lengths share no messages.
Extent uneven(Extent e) {
  e.run = 1;
  return e;
}

}  // namespace

// ---- all_reduce -------------------------------------------------------------------------------

RankLoad allReduceOneShot(const Extent& e) {
  RankLoad load = oneRound(e);
  load.copied = e.bytes;
  load.combined = e.n * e.bytes;
  load.traffic = (e.n + 2) * e.bytes;
  return load;
}

RankLoad allReduceDirect(const Extent& e) {
  RankLoad load = inPlace(e);
  load.combined = e.bytes;
  load.copied = (e.n - 1) / e.n * e.bytes / 2;
  load.traffic = 2 * e.bytes;
  return load;
}

RankLoad allReduceTwoShot(const Extent& e) {
  const double others = (e.n - 1) / e.n * e.bytes;
  RankLoad load{.rounds = 2, .fan = e.n - 1, .ends = 4 * (e.n - 1)};
  load.copied = 2.5 * others;
  load.combined = e.bytes;
  load.staged = 4 * others;
  load.traffic = 2 * e.bytes;
  load.wire = 2 * others;
  load.depth = 3;
  load.inFlight = 2 * (e.n - 1);
  return load;
}

RankLoad allReduceRecursiveDoubling(const Extent& e) {
  const double steps = log2OfPowerBelow(e);
  RankLoad load = inTurn(steps + foldRounds(e));
  load.copied = (steps + foldRounds(e)) * e.bytes;
  load.combined = 2 * (steps + foldRounds(e) / 2) * e.bytes;
  load.staged = 2 * load.copied;
  load.traffic = 3 * load.rounds * e.bytes;
  load.wire = load.rounds * e.bytes;
  return load;
}

RankLoad allReduceHalvingDoubling(const Extent& e) {
  const double moved = (1 - 1 / powerBelow(e)) * e.bytes;
  const double folded = foldRounds(e) / 2 * e.bytes;
  RankLoad load = inTurn(2 * log2OfPowerBelow(e) + foldRounds(e));
  load.copied = 3 * moved + folded;
  load.combined = 2 * moved + 2 * folded;
  load.staged = 4 * moved + 4 * folded;
  load.traffic = 3 * e.bytes + 2 * folded;
  load.wire = 2 * moved + 2 * folded;
  return load;
}

RankLoad allReduceRing(const Extent& e) {
  const double others = (e.n - 1) / e.n * e.bytes;
  RankLoad load = inTurn(2 * (e.n - 1));
  load.copied = 1.5 * others + e.bytes / e.n;
  load.combined = 2 * others;
  load.staged = 4 * others;
  load.traffic = 2 * e.bytes;
  load.wire = 2 * others;
  return load;
}

RankLoad allReduceDoubleTree(const Extent& e) {
  RankLoad load{.rounds = 2 * e.log, .fan = 2, .ends = 10};
  load.copied = 2 * e.bytes;
  load.combined = 1.5 * e.bytes;
  load.staged = 4 * e.bytes;
  load.traffic = 2 * e.bytes;
  load.wire = 2 * e.bytes;
  load.depth = 2 * e.log;
  load.inFlight = 4;
  return load;
}

// ---- reduce -----------------------------------------------------------------------------------

RankLoad reduceOneShot(const Extent& e) {
  RankLoad load = oneRound(e);
  load.combined = e.n * e.bytes;
  load.copied = e.bytes;
  load.traffic = 3 * e.bytes;
  return load;
}

RankLoad reduceDirect(const Extent& e) {
  RankLoad load = inPlace(e);
  load.combined = e.bytes;
  load.traffic = e.bytes + e.bytes / e.n;
  return load;
}

RankLoad reduceTwoShot(const Extent& e) {
  const double others = (e.n - 1) / e.n * e.bytes;
  RankLoad load{.rounds = 2, .fan = e.n - 1, .ends = 3 * (e.n - 1)};
  load.copied = 2 * others;
  load.combined = e.bytes;
  load.staged = 2 * others + 2 * others / e.n;
  load.traffic = e.bytes + e.bytes / e.n;
  load.wire = 2 * others;
  load.depth = 3;
  load.inFlight = e.n - 1;
  return load;
}

RankLoad reduceTree(const Extent& e) {
  RankLoad load{.rounds = e.log, .fan = 1, .ends = e.log + 1};
  load.combined = (e.log + 1) * e.bytes;
  load.staged = 2 * e.bytes;
  load.traffic = e.bytes + e.bytes / e.n;
  load.wire = e.log * e.bytes;
  load.depth = e.log;
  load.inFlight = 1;
  return load;
}

RankLoad reduceDoubleTree(const Extent& e) {
  RankLoad load{.rounds = e.log + 1, .fan = 2, .ends = 5};
  load.combined = 1.5 * e.bytes;
  load.copied = 0.5 * e.bytes;
  load.staged = 2 * e.bytes;
  load.traffic = e.bytes + e.bytes / e.n;
  load.wire = e.bytes;
  load.depth = e.log + 1;
  load.inFlight = 2;
  return load;
}

RankLoad reduceChain(const Extent& e) {
  RankLoad load{.rounds = e.n - 1, .ends = 2};
  load.combined = 2 * e.bytes;
  load.staged = 2 * e.bytes;
  load.traffic = e.bytes + e.bytes / e.n;
  load.wire = e.bytes;
  load.depth = e.n - 1;
  load.inFlight = 1;
  return load;
}

// ---- broadcast --------------------------------------------------------------------------------

RankLoad broadcastOneShot(const Extent& e) {
  RankLoad load{.rounds = 1, .ends = 2};
  load.copied = 2 * e.bytes;
  load.traffic = 2 * e.bytes;
  return load;
}

RankLoad broadcastDirect(const Extent& e) {
  RankLoad load{.rounds = 2, .fan = 1 + (e.n - 1) / 2, .ends = e.n + 1};
  load.copied = e.bytes;
  load.traffic = 2 * e.bytes;
  return load;
}

RankLoad broadcastChain(const Extent& e) {
  RankLoad load{.rounds = e.n - 1, .ends = 2};
  load.copied = 1.5 * e.bytes;
  load.staged = 2 * e.bytes;
  load.traffic = e.bytes + e.bytes / e.n;
  load.wire = e.bytes;
  load.depth = e.n - 1;
  load.inFlight = 1;
  return load;
}

RankLoad broadcastTree(const Extent& e) {
  RankLoad load{.rounds = e.log, .ends = e.log + 1};
  load.copied = (1 + e.log / 2) * e.bytes;
  load.staged = 2 * e.bytes;
  load.traffic = e.bytes + e.bytes / e.n;
  load.wire = e.log * e.bytes;
  load.depth = e.log;
  load.inFlight = e.log;
  return load;
}

RankLoad broadcastDoubleTree(const Extent& e) {
  RankLoad load{.rounds = e.log + 1, .ends = 6};
  load.copied = 1.5 * e.bytes;
  load.staged = 2 * e.bytes;
  load.traffic = e.bytes + e.bytes / e.n;
  load.wire = e.bytes;
  load.depth = e.log + 1;
  load.inFlight = 2;
  return load;
}

RankLoad broadcastScatterAllGather(const Extent& e) {
  RankLoad load{.rounds = 2, .fan = std::max(1.0, e.n - 2), .ends = 2 * (e.n - 1)};
  load.copied = 1.5 * e.bytes;
  load.staged = 2 * e.bytes;
  load.traffic = e.bytes + e.bytes / e.n;
  load.wire = e.bytes;
  load.depth = 2;
  load.inFlight = e.n - 1;
  return load;
}

// ---- all_gather -------------------------------------------------------------------------------

RankLoad allGatherOneShot(const Extent& e) {
  RankLoad load = oneRound(e);
  load.copied = (e.n + 0.5) * e.bytes;
  load.traffic = 2 * e.n * e.bytes;
  return load;
}

RankLoad allGatherDirect(const Extent& e) {
  RankLoad load = inPlace(e);
  load.copied = e.n * e.bytes;
  load.traffic = 2 * e.n * e.bytes;
  return load;
}

RankLoad allGatherExchange(const Extent& e) {
  const double others = (e.n - 1) * e.bytes;
  RankLoad load{.rounds = 1, .fan = e.n - 1, .ends = 2 * (e.n - 1)};
  load.copied = 1.5 * others + e.bytes;
  load.staged = 2 * others;
  load.traffic = (e.n + 1) * e.bytes;
  load.wire = others;
  load.depth = 2;
  load.inFlight = e.n - 1;
  return load;
}

RankLoad allGatherRing(const Extent& e) {
  const double others = (e.n - 1) * e.bytes;
  RankLoad load = inTurn(e.n - 1);
  load.copied = 1.5 * others + e.bytes;
  load.staged = 2 * others;
  load.traffic = (e.n + 1) * e.bytes;
  load.wire = others;
  return load;
}

RankLoad allGatherBruck(const Extent& e) {
  const double others = (e.n - 1) * e.bytes;
  RankLoad load = inTurn(e.log);
  // A run that wraps around is two messages.
  load.ends = 4 * e.log;
  load.copied = 2 * others + e.bytes;
  load.staged = 2 * others;
  load.traffic = (2 * e.n + 1) * e.bytes;
  load.wire = others;
  return load;
}

RankLoad allGatherRecursiveDoubling(const Extent& e) {
  RankLoad load = allGatherBruck(e);
  load.ends = 2 * e.log;
  return load;
}

RankLoad allGatherPat(const Extent& e) {
  RankLoad load = patMessages(e);
  load.copied = (packsBlocks(e) ? 2.5 : 1.5) * (e.n - 1) * e.bytes + e.bytes;
  return load;
}

RankLoad allGatherVPat(const Extent& e) { return allGatherPat(uneven(e)); }

// ---- reduce_scatter ---------------------------------------------------------------------------

RankLoad reduceScatterOneShot(const Extent& e) {
  RankLoad load = oneRound(e);
  load.copied = e.n * e.bytes;
  load.combined = e.n * e.bytes;
  load.traffic = 2 * e.n * e.bytes;
  return load;
}

RankLoad reduceScatterDirect(const Extent& e) {
  RankLoad load = inPlace(e);
  load.combined = e.n * e.bytes;
  load.traffic = (e.n + 1) * e.bytes;
  return load;
}

RankLoad reduceScatterExchange(const Extent& e) {
  const double others = (e.n - 1) * e.bytes;
  RankLoad load{.rounds = 1, .fan = e.n - 1, .ends = 2 * (e.n - 1)};
  load.copied = others;
  load.combined = e.n * e.bytes;
  load.staged = 2 * others;
  load.traffic = (e.n + 1) * e.bytes;
  load.wire = others;
  load.depth = 2;
  load.inFlight = e.n - 1;
  return load;
}

RankLoad reduceScatterRing(const Extent& e) {
  const double others = (e.n - 1) * e.bytes;
  RankLoad load = inTurn(e.n - 1);
  load.copied = e.bytes;
  load.combined = 2 * others;
  load.staged = 2 * others;
  load.traffic = (e.n + 1) * e.bytes;
  load.wire = others;
  return load;
}

RankLoad reduceScatterHalving(const Extent& e) {
  const double whole = e.n * e.bytes;
  const double moved = (1 - 1 / powerBelow(e)) * whole;
  const double folded = foldRounds(e) / 2 * whole;
  RankLoad load = inTurn(log2OfPowerBelow(e) + foldRounds(e));
  load.copied = moved + folded / e.n;
  load.combined = 2 * moved + 2 * folded;
  load.staged = 2 * moved + 2 * folded;
  load.traffic = 3 * whole;
  load.wire = moved + folded;
  return load;
}

// Half of the groups are leaves, which send what they have.
RankLoad reduceScatterPat(const Extent& e) {
  RankLoad load = patMessages(e);
  load.copied = (packsBlocks(e) ? 1.5 : 0.5) * e.n * e.bytes;
  load.combined = (1.5 * e.n - 1) * e.bytes;
  return load;
}

RankLoad reduceScatterVPat(const Extent& e) { return reduceScatterPat(uneven(e)); }

// ---- all_to_all -------------------------------------------------------------------------------

RankLoad allToAllOneShot(const Extent& e) {
  RankLoad load = oneRound(e);
  load.copied = 2 * e.n * e.bytes;
  load.traffic = 2 * e.n * e.bytes;
  return load;
}

RankLoad allToAllDirect(const Extent& e) { return allGatherDirect(e); }

RankLoad allToAllExchange(const Extent& e) {
  const double others = (e.n - 1) * e.bytes;
  RankLoad load{.rounds = 1, .fan = e.n - 1, .ends = 2 * (e.n - 1)};
  load.copied = 2 * others + e.bytes;
  load.staged = 2 * others;
  load.traffic = 2 * e.n * e.bytes;
  load.wire = others;
  load.depth = 2;
  load.inFlight = e.n - 1;
  return load;
}

RankLoad allToAllBruck(const Extent& e) {
  const double moved = e.n / 2 * e.log * e.bytes;
  RankLoad load = inTurn(e.log);
  // Packing and delivering are steps too.
  load.ends = 2 * e.log + e.n / 2 * e.log + e.n;
  load.copied = 3 * moved + e.n * e.bytes;
  load.staged = 2 * moved;
  load.traffic = 2 * e.n * e.bytes + 3 * moved;
  load.wire = moved;
  return load;
}

// ---- gather and scatter -----------------------------------------------------------------------

RankLoad gatherOneShot(const Extent& e) {
  RankLoad load = oneRound(e);
  load.copied = e.n * e.bytes;
  load.traffic = 3 * e.bytes;
  return load;
}

RankLoad gatherDirect(const Extent& e) {
  RankLoad load{.rounds = 2, .fan = 1 + (e.n - 1) / 2, .ends = e.n + 1};
  load.copied = e.bytes;
  load.traffic = 2 * e.bytes;
  return load;
}

RankLoad gatherExchange(const Extent& e) {
  RankLoad load{.rounds = 1, .fan = e.n - 1, .ends = e.n};
  load.copied = e.n * e.bytes;
  load.staged = 2 * e.bytes;
  load.traffic = 2 * e.bytes;
  load.wire = (e.n - 1) * e.bytes;
  load.depth = 2;
  load.inFlight = e.n - 1;
  return load;
}

RankLoad gatherBinomial(const Extent& e) {
  RankLoad load{.rounds = e.log, .ends = e.log + 1};
  load.copied = 2 * e.n * e.bytes;
  load.staged = 2 * e.bytes;
  load.traffic = (2 + e.log) * e.bytes;
  load.wire = (e.n - 1) * e.bytes;
  load.depth = e.log;
  load.inFlight = e.log;
  return load;
}

RankLoad scatterOneShot(const Extent& e) {
  RankLoad load{.rounds = 1, .ends = 2};
  load.copied = (e.n + 1) * e.bytes;
  load.traffic = 3 * e.bytes;
  return load;
}

// ---- pairs ------------------------------------------------------------------------------------

RankLoad pairFifo(const Extent& e) {
  RankLoad load{.rounds = 1, .ends = 2};
  load.copied = e.bytes;
  load.staged = 2 * e.bytes;
  load.traffic = 2 * e.bytes;
  load.wire = e.bytes;
  load.depth = 2;
  load.inFlight = 1;
  return load;
}

}  // namespace tutti::plan
