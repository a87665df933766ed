// Where blocks lie: the rules of src/ir/schedule.h as numbers. Private to this room.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "src/ir/call.h"
#include "src/ir/schedule.h"

namespace tutti::schedule {

// Elements [begin, begin + length) of a rank's memory.
struct Extent {
  int64_t begin = 0;
  int64_t length = 0;
  bool operator==(const Extent&) const = default;
};

// The memory of one rank in one collective: input, output and scratch, one after the other, or the
// output on the input where the rank is in place.
class Layout {
 public:
  // `counts` are the elements of each rank's block (equal, but for the V forms); empty where the
  // collective is about one vector of call.count elements. The schedule outlives the layout.
  Layout(const ir::Call& call, const ir::Schedule& schedule, std::vector<uint64_t> counts,
         bool isInPlace);

  int64_t elements() const { return scratch_.begin + scratch_.length; }
  const Extent& input() const { return input_; }
  const Extent& output() const { return output_; }

  // Blocks that the rank has of `space` as `lane` sees it.
  int blockCount(ir::Space space, const ir::Lane& lane) const;
  // Blocks that any rank has: what Operand::like counts.
  int likeCount(const ir::Lane& lane) const;
  // The blocks of an operand (kInput, kOutput, kScratch; in range) of a step in one iteration.
  std::vector<Extent> locate(const ir::Operand& operand, const ir::Lane& lane, const ir::Step& step,
                             uint64_t iteration) const;

  // How often a lane runs, and the longest piece of a block that one of its iterations works on, in
  // bytes.
  uint64_t iterations(const ir::Lane& lane) const;
  uint64_t longestChunkBytes(const ir::Lane& lane) const;

 private:
  // How a buffer is divided before lanes look at it.
  struct Buffer {
    bool isVector = false;       // cut into Lane::blocks
    std::vector<Extent> blocks;  // else these
  };
  Extent blockOf(const Buffer& buffer, int index, const ir::Lane& lane, const ir::Part& part) const;
  int64_t likeLength(int index, const ir::Lane& lane, const ir::Part& part) const;
  Extent chunkOf(Extent block, const ir::Part& part, uint64_t iteration) const;
  uint64_t longestBlockBytes(const ir::Lane& lane, const ir::Part& part) const;
  const Buffer& bufferOf(ir::Space space) const {
    return space == ir::Space::kInput ? inputBuffer_ : outputBuffer_;
  }
  void placeBuffers(const ir::Call& call, const ir::Schedule& schedule, bool isInPlace);

  const ir::Schedule& schedule_;
  uint64_t elementBytes_;
  uint64_t vectorCount_;
  std::vector<uint64_t> counts_;
  std::vector<uint64_t> distinctCounts_;
  int scratchBlocks_;
  Buffer inputBuffer_;
  Buffer outputBuffer_;
  Extent input_;
  Extent output_;
  Extent scratch_;
  int64_t scratchStride_ = 0;
};

// Elements of each rank's block: `counts` for the V forms, call.count each for the others, empty
// for the collectives of one vector.
std::vector<uint64_t> blockCounts(const ir::Call& call, int size,
                                  const std::vector<uint64_t>& counts);

}  // namespace tutti::schedule
