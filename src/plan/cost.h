// The time model. Private to this room.
//
// An algorithm describes its RankLoad on the busiest rank in closed form (loads.cc); predictNs
// turns a RankLoad into time on a Machine. The model ranks algorithms; it does not promise the
// figure.
//
//   T = repeats * rounds * handOver(fan)               dependent hand-overs
//     + iterations * ends * stepNs * q                 the executor's own work
//     + iterations * ends * slotNs * q                 messages' tags and acknowledgements; mapped,
//                                                      else a tenth of messageNs
//     + iterations / slots * changes                   ranks that share a core let each other in
//     + work * (1 + (depth - 1) / iterations)          bytes; a pipeline of `depth` fills once
//
//   q         ranks per core
//   changes   (ceil(q) - 1) * switchNs
//   handOver  mapped:  signalNs * (1 + (fan - 1) / 4) + changes: further flags of a round overlap
//             message: messageNs * (1 + (fan - 1) / 5): posting is a fifth of a message's latency
//   repeats   iterations where the rounds of one iteration must end before the next begins, else 1
//   work      core:    q * (copied / copyRate + combined / reduceRate + peerCopied / peerCopyRate
//                           + peerCalls * peerCallNs + staged / slotRate);
//                           peerCopyRate falls out of a core's cache and again out of all cores'
//             memory:  size * traffic / memoryRate, where a rank's working set exceeds its cache
//             wire:    wire / messageRate (message worlds)
//             max(core, memory) with wire overlapped: max + min / iterations
//
// A FIFO's slots are in cache while 4 slots * chunk * messages in flight fit there; beyond that
// what passes through them is memory traffic as well. This is what keeps chunks small.
#pragma once

#include <cstdint>

#include "src/ir/world.h"

namespace tutti::plan {

// What the model knows of a World.
struct Machine {
  explicit Machine(const ir::World& world);

  int size;
  bool isAllMapped;
  bool canCopyPeer;
  double ranksPerCore;
  ir::CostConstants costs;
};

// The part of one collective on its busiest rank, in bytes unless said otherwise.
struct RankLoad {
  double rounds = 0;      // number of dependent hand-overs
  double fan = 1;         // number of messages or posts that a rank waits for in one round
  double ends = 0;        // number of messages sent and received, posts made and read
  double copied = 0;      // by its core; writing a further destination counts half
  double combined = 0;    // source bytes of reductions
  double peerCopied = 0;  // kernel-assisted
  double peerCalls = 0;   // number of kernel-assisted copies
  double staged = 0;      // through FIFO slots, written and read
  double traffic = 0;     // user memory read and written, the mean over the ranks
  double wire = 0;        // sent or received, the larger
  double depth = 1;       // stages of the pipeline
  double inFlight = 0;    // FIFOs that a rank fills at a time
  bool isRepeated = false;
};

// Whole nanoseconds of `load` in `iterations` chunks of `chunkBytes`.
uint64_t predictNs(const Machine& machine, const RankLoad& load, uint64_t iterations,
                   uint64_t chunkBytes);

}  // namespace tutti::plan
