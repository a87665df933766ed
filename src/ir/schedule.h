// Schedule: one rank's part of a collective, as lanes of steps over a chunk loop.
//
// Blocks. A lane sees each buffer as a row of blocks:
//   all_reduce, reduce, broadcast   input, output: `Lane::blocks` equal parts of the lane's slice
//   all_gather (v)                  input: 1 block (the rank's own); output: `size` blocks
//   reduce_scatter (v)              input: `size` blocks; output: 1 block
//   all_to_all                      input: `size` blocks by destination; output: by origin
//   gather (v)                      input: 1 block; output on root: `size` blocks
//   scatter (v)                     input on root: `size` blocks; output: 1 block
//   send, recv                      input or output: 1 block
// A buffer that a rank does not have (output off the root of a reduce, input off the root of a
// broadcast ...) has no blocks. Nothing ever writes to an input, except where it is the output too.
// An equal part starts at a multiple of 128 bytes of the slice (the last takes the rest). Where a
// collective has several lanes with weights, each block (or the one vector) is cut by the weights
// in the same way, and a lane sees only its slice of each.
//
// Slices. The weights of a Schedule cut each block (or the one vector) into slices. A lane works on
// one of them; or its steps name theirs, a run of neighbouring ones each, so that one lane carries
// several in turn.
//
// Scratch is `Schedule::scratchBlocks` blocks, each as long as one chunk of the lane's longest
// block: what it holds is lost when the iteration ends. One scratch block belongs to one lane. It
// is used only where all blocks are equally long (all_gather, reduce_scatter, all_to_all, gather,
// scatter), or by operands that say which block theirs is as long as (`Operand::like`).
//
// Chunk loop. A lane runs its steps in order for chunk 0, then in order for chunk 1, ... In
// iteration c a block stands for its bytes [c * chunkBytes, (c+1) * chunkBytes), cut at its end,
// and a run of blocks for these pieces one after the other; the loop ends when the longest block of
// the collective (also where this rank does not touch it) is covered, see iterationCount; a step
// whose operands are all empty still exchanges an (empty) message, so that both ends count alike.
// `chunkBytes` 0 means one iteration. Where steps name their slices, slice i is cut into chunks of
// `sliceChunks[i]` bytes and a run into their sum, and the lane has as many iterations as the slice
// of the Schedule that needs most, so that lanes of all ranks count alike.
// A step starts when everything it needs is there: a message in each FIFO it reads, a free slot in
// each FIFO it writes, the posts it reads. Lanes progress side by side; `Step::afterLane` orders
// steps of different lanes within an iteration (a lane that has ended satisfies it).
// Either end of a FIFO (peer, channel, direction) belongs to one lane of the rank.
//
// Channels. A pair has Limits::kChannels wide FIFOs in each direction; a slot takes
// Limits::kFifoSlotBytes. Where that is too few, a Schedule cuts the slots of channel 0 into
// columns: `narrowBytes[i]` is the width of narrow channel i, which is channel kChannels + i. Each
// is a FIFO of its own, with as many slots as a wide one. Channel 0 itself is not used beside them.
//
// Contributions. Reading an input block of a reducing collective, by kMove as well as by kReduce,
// multiplies it by the factor of the rank that owns the block (avg, premulsum); see
// src/device/reduce.h. Nothing else does: scratch, output, messages and posts hold the product. A
// step marked `isFinal` applies the integer divisor; non-reducing collectives have no such step.
//
// In place. The output may be the input, or its part that tutti.h names; no rank knows of another
// whether it is. Every Schedule that plan::isInPlaceSafe names is correct either way; the executor
// must read all sources of a piece before it writes the piece, and a kMove of a block onto itself
// that has neither factor nor divisor to apply must not touch it (others may be reading it).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "src/ir/types.h"

namespace tutti::ir {

inline constexpr Rank kEveryone = -1;

enum class Space : uint8_t {
  kInput,    // a rank's send buffer; of another rank only between kAttach and the signal to it
  kOutput,   // a rank's receive buffer; likewise
  kScratch,  // this rank's own temporary blocks
  kFifo,     // as a destination: the next message to `rank` on the lane's channel; as a source: the
             // next message from `rank` on it. In order, each message consumed once.
  kBoard,    // as a destination (rank == kEveryone): this rank's post number `block` of this
             // collective, readable by all; as a source: post number `block` of `rank`
};

struct Operand {
  Space space = Space::kInput;
  Rank rank = 0;         // owner (kInput, kOutput, kScratch: this rank or, if exposed, a peer)
  int32_t block = 0;     // first block, or the number of the post
  int32_t blocks = 1;    // a run of neighbouring blocks, moved as one message (kFifo, kBoard: 1)
  int32_t channel = -1;  // kFifo: which FIFO of the pair; -1: the lane's
  int32_t part = -1;     // kBoard as a source: the post is a row of blocks as long as the
                         // destination, and this is the number of the wanted one; -1: all of it
  int32_t like = -1;     // kScratch: as long as this block of the collective, further ones as those
                         // that follow it; -1: as long as the longest
  bool operator==(const Operand&) const = default;
};

enum class StepKind : uint8_t {
  kMove,    // destinations = source (one source)
  kReduce,  // destinations = sources combined in the order given (two or more)
  kExpose,  // post number `post`: where this rank's input and output are
  kAttach,  // wait for the kExpose post `post` of each of `peers` and make their buffers reachable
  kSignal,  // post number `post`, empty
  kWait,    // wait for post number `post` of each of `peers`
  kPass,    // nothing: what comes next in the lane comes after `afterStep`
};

struct Step {
  StepKind kind = StepKind::kMove;
  bool isFinal = false;
  std::vector<Operand> sources;       // kReduce, kMove
  std::vector<Operand> destinations;  // kReduce, kMove
  std::vector<Rank> peers;            // kAttach, kWait: ascending; {kEveryone} = all other ranks
  int32_t post = 0;                   // kExpose, kAttach, kSignal, kWait
  int32_t slice = -1;                 // first slice, where the lane has none; else -1
  int32_t slices = 1;                 // a run of neighbouring slices
  int32_t afterLane = -1;             // -1: none; else this step starts after that lane's step ...
  int32_t afterStep = 0;              // ... has run in the same iteration
  bool operator==(const Step&) const = default;
};

struct Lane {
  int32_t channel = 0;      // which FIFO of each pair; lanes that use one pair alike differ in it
  int32_t slice = 0;        // which slice of the data this lane works on; lanes may share a slice.
                            // -1: each step names its own
  int32_t blocks = 1;       // see above; all_reduce, reduce, broadcast only
  uint64_t chunkBytes = 0;  // a multiple of 128, or 0; where steps name slices, sliceChunks rule
  std::vector<Step> steps;
  bool operator==(const Lane&) const = default;
};

struct Schedule {
  Collective collective = Collective::kAllReduce;
  Rank rank = 0;
  int32_t size = 1;
  Rank root = 0;
  std::string algorithm;              // for people: "ring", "direct" ...
  std::vector<int32_t> sliceWeights;  // one per slice; {1} for a single slice
  std::vector<uint64_t> sliceChunks;  // one per slice, multiples of 128; empty: lanes have theirs
  std::vector<uint64_t> narrowBytes;  // one per narrow channel, multiples of 128; the same on all
                                      // ranks
  int32_t scratchBlocks = 0;
  // Peer memory is used in place (kExpose/kAttach): only where every exposed buffer can be reached;
  // the executor runs the fallback schedule otherwise. Every rank attaches to every rank that
  // exposes, so all see the same exposures and decide alike. Chunks are not used: one iteration.
  bool needsPeerMemory = false;
  // With needsPeerMemory: buffers that are not mapped may be reached by kernel-assisted copies
  // (process_vm_readv), which the cost model found faster than the fallback.
  bool acceptsKernelCopy = false;
  std::vector<Lane> lanes;
  bool operator==(const Schedule&) const = default;
};

// Sizes of what a mapped pair shares, and so the bounds every Schedule keeps.
struct Limits {
  static constexpr int kChannels = 3;  // wide FIFOs per ordered pair; the last: send/recv
  static constexpr int kSendRecvChannel = 2;
  static constexpr int kNarrowChannels = 32;  // beside them, in columns of channel 0's slots
  static constexpr int kFifoSlots = 4;        // messages in flight per FIFO
  static constexpr uint64_t kFifoSlotBytes = 65536;
  static constexpr int kPosts = 4;                    // posts per rank and collective
  static constexpr uint64_t kBoardBytes = 8192;       // payload of one post
  static constexpr uint64_t kScratchBytes = 1 << 20;  // all scratch blocks of one chunk iteration
};

// What a step works on: a run of slices, in chunks of so many bytes (0: in one piece).
struct Part {
  int32_t slice = 0;
  int32_t slices = 1;
  uint64_t chunkBytes = 0;
  bool operator==(const Part&) const = default;
};
Part partOf(const Schedule& schedule, const Lane& lane, const Step& step);
// The parts that rule how often a lane runs: its slice, or all slices where its steps name theirs.
// The part that needs most iterations decides.
std::vector<Part> rulingParts(const Schedule& schedule, const Lane& lane);

// Iterations of a chunk loop; at least one, so that lanes with signals always run.
uint64_t iterationCount(uint64_t longestBlockBytes, uint64_t chunkBytes);

// Where narrow channel `index` begins in a slot. Also for one past the last: what all of them take.
uint64_t narrowOffset(const std::vector<uint64_t>& narrowBytes, size_t index);

// Elements [begin, begin + length) of block `index` of `blocks` equal parts of a vector of `count`
// elements of `elementBytes`; boundaries are multiples of 128 bytes.
struct BlockRange {
  uint64_t begin = 0;
  uint64_t length = 0;
  bool operator==(const BlockRange&) const = default;
};
BlockRange equalBlock(uint64_t count, uint64_t elementBytes, int blocks, int index);

// The slice `index`, or `slices` from there on, of a block of `count` elements under `weights`;
// boundaries are multiples of 128 bytes, the last takes the rest.
BlockRange weightedSlice(uint64_t count, uint64_t elementBytes, const std::vector<int32_t>& weights,
                         int index, int slices = 1);

// A text that people can read and parseSchedule reads back.
std::string toString(const Schedule& schedule);
base::Result<Schedule> parseSchedule(std::string_view text);

}  // namespace tutti::ir
