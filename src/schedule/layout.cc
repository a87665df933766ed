#include "src/schedule/layout.h"

#include <algorithm>
#include <utility>

namespace tutti::schedule {
namespace {

using ir::Collective;

enum class Kind { kNone, kVector, kOwn, kAll };

struct Kinds {
  Kind input = Kind::kNone;
  Kind output = Kind::kNone;
};

Kinds kindsOf(Collective collective, bool isRoot) {
  const auto onRoot = [isRoot](Kind kind) { return isRoot ? kind : Kind::kNone; };
  switch (collective) {
    case Collective::kAllReduce: return {Kind::kVector, Kind::kVector};
    case Collective::kReduce: return {Kind::kVector, onRoot(Kind::kVector)};
    case Collective::kBroadcast: return {onRoot(Kind::kVector), Kind::kVector};
    case Collective::kAllGather:
    case Collective::kAllGatherV: return {Kind::kOwn, Kind::kAll};
    case Collective::kReduceScatter:
    case Collective::kReduceScatterV: return {Kind::kAll, Kind::kOwn};
    case Collective::kAllToAll:
    case Collective::kAllToAllV: return {Kind::kAll, Kind::kAll};
    case Collective::kGather:
    case Collective::kGatherV: return {Kind::kOwn, onRoot(Kind::kAll)};
    case Collective::kScatter:
    case Collective::kScatterV: return {onRoot(Kind::kAll), Kind::kOwn};
    case Collective::kSend: return {Kind::kOwn, Kind::kNone};
    case Collective::kRecv: return {Kind::kNone, Kind::kOwn};
  }
  return {};
}

bool isVector(Collective collective) {
  return collective == Collective::kAllReduce || collective == Collective::kReduce ||
         collective == Collective::kBroadcast;
}

bool isUneven(Collective collective) {
  return collective == Collective::kAllGatherV || collective == Collective::kReduceScatterV;
}

}  // namespace

std::vector<uint64_t> blockCounts(const ir::Call& call, int size,
                                  const std::vector<uint64_t>& counts) {
  if (isVector(call.collective)) return {};
  if (isUneven(call.collective)) return counts;
  return std::vector<uint64_t>(static_cast<size_t>(size), call.count);
}

Layout::Layout(const ir::Call& call, const ir::Schedule& schedule, std::vector<uint64_t> counts,
               bool isInPlace)
    : elementBytes_(ir::sizeOf(call.type)),
      vectorCount_(call.count),
      counts_(std::move(counts)),
      scratchBlocks_(schedule.scratchBlocks) {
  distinctCounts_ = counts_;
  std::sort(distinctCounts_.begin(), distinctCounts_.end());
  distinctCounts_.erase(std::unique(distinctCounts_.begin(), distinctCounts_.end()),
                        distinctCounts_.end());
  placeBuffers(call, schedule, isInPlace);
  for (const ir::Lane& lane : schedule.lanes) {
    const uint64_t longest = longestBlockBytes(lane, schedule.sliceWeights);
    const uint64_t piece = lane.chunkBytes == 0 ? longest : std::min(longest, lane.chunkBytes);
    scratchStride_ = std::max(scratchStride_, static_cast<int64_t>(piece / elementBytes_));
  }
  scratch_ = {std::max(input_.begin + input_.length, output_.begin + output_.length),
              scratchStride_ * scratchBlocks_};
}

void Layout::placeBuffers(const ir::Call& call, const ir::Schedule& schedule, bool isInPlace) {
  const Kinds kinds = kindsOf(schedule.collective, schedule.rank == schedule.root);
  const auto self = static_cast<size_t>(schedule.rank);
  const auto fill = [&](Kind kind, Buffer& buffer) {
    int64_t length = 0;
    buffer.isVector = kind == Kind::kVector;
    if (kind == Kind::kVector) length = static_cast<int64_t>(call.count);
    for (size_t rank = 0; rank < counts_.size(); ++rank) {
      if (kind != Kind::kAll && !(kind == Kind::kOwn && rank == self)) continue;
      buffer.blocks.push_back({length, static_cast<int64_t>(counts_[rank])});
      length += static_cast<int64_t>(counts_[rank]);
    }
    return length;
  };
  input_.length = fill(kinds.input, inputBuffer_);
  output_.length = fill(kinds.output, outputBuffer_);
  const bool hasBoth = kinds.input != Kind::kNone && kinds.output != Kind::kNone;
  if (!isInPlace || !hasBoth) {
    output_.begin = input_.length;
    return;
  }
  // The one block is the rank's place among the others.
  if (kinds.input == Kind::kOwn) input_.begin = outputBuffer_.blocks[self].begin;
  if (kinds.output == Kind::kOwn) output_.begin = inputBuffer_.blocks[self].begin;
}

int Layout::blockCount(ir::Space space, const ir::Lane& lane) const {
  if (space == ir::Space::kScratch) return scratchBlocks_;
  const Buffer& buffer = bufferOf(space);
  return buffer.isVector ? lane.blocks : static_cast<int>(buffer.blocks.size());
}

Extent Layout::blockOf(const Buffer& buffer, int index, const ir::Lane& lane,
                       const std::vector<int32_t>& weights) const {
  const Extent whole = buffer.isVector ? Extent{0, static_cast<int64_t>(vectorCount_)}
                                       : buffer.blocks[static_cast<size_t>(index)];
  const ir::BlockRange slice =
      ir::weightedSlice(static_cast<uint64_t>(whole.length), elementBytes_, weights, lane.slice);
  const ir::BlockRange part = buffer.isVector
                                  ? ir::equalBlock(slice.length, elementBytes_, lane.blocks, index)
                                  : ir::BlockRange{0, slice.length};
  return {whole.begin + static_cast<int64_t>(slice.begin + part.begin),
          static_cast<int64_t>(part.length)};
}

Extent Layout::chunkOf(Extent block, const ir::Lane& lane, uint64_t iteration) const {
  if (lane.chunkBytes == 0) return block;
  const auto chunk = static_cast<int64_t>(lane.chunkBytes / elementBytes_);
  const int64_t skipped = std::min(block.length, static_cast<int64_t>(iteration) * chunk);
  return {block.begin + skipped, std::min(chunk, block.length - skipped)};
}

std::vector<Extent> Layout::locate(const ir::Operand& operand, const ir::Lane& lane,
                                   const std::vector<int32_t>& weights, uint64_t iteration) const {
  std::vector<Extent> extents;
  const bool isScratch = operand.space == ir::Space::kScratch;
  const uint64_t longestBytes = isScratch ? longestBlockBytes(lane, weights) : 0;
  const auto longest = static_cast<int64_t>(longestBytes / elementBytes_);
  for (int index = operand.block; index < operand.block + operand.blocks; ++index) {
    if (isScratch) {
      const int64_t length = chunkOf({0, longest}, lane, iteration).length;
      extents.push_back({scratch_.begin + scratchStride_ * index, length});
      continue;
    }
    const Extent block = blockOf(bufferOf(operand.space), index, lane, weights);
    Extent chunk = chunkOf(block, lane, iteration);
    chunk.begin += operand.space == ir::Space::kInput ? input_.begin : output_.begin;
    extents.push_back(chunk);
  }
  return extents;
}

uint64_t Layout::longestBlockBytes(const ir::Lane& lane,
                                   const std::vector<int32_t>& weights) const {
  uint64_t longest = 0;
  if (counts_.empty()) {
    const uint64_t slice =
        ir::weightedSlice(vectorCount_, elementBytes_, weights, lane.slice).length;
    for (int index = 0; index < lane.blocks; ++index) {
      longest = std::max(longest, ir::equalBlock(slice, elementBytes_, lane.blocks, index).length);
    }
  } else {
    for (const uint64_t count : distinctCounts_) {
      longest =
          std::max(longest, ir::weightedSlice(count, elementBytes_, weights, lane.slice).length);
    }
  }
  return longest * elementBytes_;
}

}  // namespace tutti::schedule
