// The table of algorithms: what each needs and what it costs. Private to this room; src/schedule
// has a template for each name.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "src/ir/call.h"
#include "src/plan/cost.h"

namespace tutti::plan {

// How data travels.
enum class Way : uint8_t {
  kFifo,         // messages, in chunks
  kBoard,        // posts only: small payloads of ranks that are all mapped
  kBoardOrFifo,  // posts where they can take it, else messages
  kPeerMemory,   // buffers in place, of ranks that are all mapped
};

// The size of a call for the closed forms.
struct Extent {
  int ranks = 1;
  double n = 1;      // ranks
  double bytes = 0;  // the whole vector (all_reduce, reduce, broadcast), else one rank's block
  double log = 0;    // ceil(log2 n)
  int run = 1;       // blocks that one message takes in the chunks at hand
};

struct Algorithm {
  ir::Collective collective;
  std::string_view name;
  Way way;
  RankLoad (*load)(const Extent&);
  // kFifo and kBoardOrFifo; null stands for 1, 1 and 0.
  int (*parts)(int size) = nullptr;             // blocks and slices that the vector is cut into
  int (*blocksPerMessage)(int size) = nullptr;  // the longest run
  int (*scratchBlocks)(int size) = nullptr;
  bool needsPowerOfTwo = false;
  // Only by name (Options::algorithm): by itself it is worth it where links differ, which this
  // table does not see.
  bool isOnRequest = false;
  // The load depends on Extent::run: messages take as many blocks as their chunks leave room for.
  bool isAggregating = false;
};

// In the order that breaks ties.
std::span<const Algorithm> algorithms();

// kBoardOrFifo over FIFOs: what the load becomes there.
RankLoad overFifos(const Algorithm& algorithm, const Extent& extent);

// kPeerMemory by kernel-assisted copies.
RankLoad byKernelCopies(const Algorithm& algorithm, const Extent& extent);

// Bytes of one post.
uint64_t postBytes(const ir::Call& call, int size);

}  // namespace tutti::plan
