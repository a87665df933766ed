// Plan: which algorithm a collective uses, and with which parameters. The same on every rank.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/ir/forest.h"
#include "src/ir/types.h"

namespace tutti::ir {

inline constexpr int kMostTrees = 32;

struct Plan {
  Collective collective = Collective::kAllReduce;
  Rank root = 0;
  std::string algorithm = "ring";  // one of plan::algorithmsFor(collective); "local" for one rank
  uint64_t chunkBytes = 0;         // 0: the whole block in one piece
  bool usesBoard = false;          // one_shot: through posts on the board, else through FIFOs
  std::vector<Rank> order;         // ring, pat and tree order; empty: 0, 1, 2 ...
  // "trees": up to kMostTrees, all with root `root` where the collective has one. "forest": one or
  // more for each rank as the root; the weights of each root's add up to the same. Empty: trees
  // that src/schedule makes for ranks that are all alike. chunkBytes is then cut among the trees
  // that share a vector or block, by weight.
  std::vector<Tree> trees;
  // Of forests: messages fit slots of Limits::kFifoSlotBytes. False: FIFOs take any length, as in a
  // plan that is told of a fabric, not yet of the memory between its ranks.
  bool fitsSlots = true;
  // "trees": lighter ones keep step with the heaviest, chunk by chunk. For calls of many chunks; in
  // a short one they would only start late.
  bool isPaced = false;
  // Another algorithm for the case that a peer's buffer can not be reached in place; empty: none
  // needed. Same chunk rules.
  std::string fallbackAlgorithm;
  uint64_t fallbackChunkBytes = 0;
  // `algorithm` needs peer memory, and kernel-assisted copies are still faster than the fallback.
  bool acceptsKernelCopy = false;
  double predictedNs = 0;  // by the cost model; not compared between ranks

  bool operator==(const Plan&) const = default;
};

// 64 bits of all that ranks must agree on (not predictedNs); the same on every machine.
uint64_t digest(const Plan& plan);

// For people: "all_reduce: direct over peer memory, else two_shot in 64 KiB chunks; 12.3 us".
std::string toString(const Plan& plan);

}  // namespace tutti::ir
