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
    : schedule_(schedule),
      elementBytes_(ir::sizeOf(call.type)),
      vectorCount_(call.count),
      counts_(std::move(counts)),
      scratchBlocks_(schedule.scratchBlocks) {
  distinctCounts_ = counts_;
  std::sort(distinctCounts_.begin(), distinctCounts_.end());
  distinctCounts_.erase(std::unique(distinctCounts_.begin(), distinctCounts_.end()),
                        distinctCounts_.end());
  placeBuffers(call, schedule, isInPlace);
  for (const ir::Lane& lane : schedule.lanes) {
    const auto longest = static_cast<int64_t>(longestChunkBytes(lane) / elementBytes_);
    scratchStride_ = std::max(scratchStride_, longest);
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

int Layout::likeCount(const ir::Lane& lane) const {
  return counts_.empty() ? lane.blocks : static_cast<int>(counts_.size());
}

Extent Layout::blockOf(const Buffer& buffer, int index, const ir::Lane& lane,
                       const ir::Part& part) const {
  const Extent whole = buffer.isVector ? Extent{0, static_cast<int64_t>(vectorCount_)}
                                       : buffer.blocks[static_cast<size_t>(index)];
  const ir::BlockRange slice = ir::weightedSlice(static_cast<uint64_t>(whole.length), elementBytes_,
                                                 schedule_.sliceWeights, part.slice, part.slices);
  const ir::BlockRange block = buffer.isVector
                                   ? ir::equalBlock(slice.length, elementBytes_, lane.blocks, index)
                                   : ir::BlockRange{0, slice.length};
  return {whole.begin + static_cast<int64_t>(slice.begin + block.begin),
          static_cast<int64_t>(block.length)};
}

int64_t Layout::likeLength(int index, const ir::Lane& lane, const ir::Part& part) const {
  if (index < 0) return static_cast<int64_t>(longestBlockBytes(lane, part) / elementBytes_);
  Buffer buffer{.isVector = counts_.empty(), .blocks = {}};
  if (!buffer.isVector) {
    buffer.blocks = {{0, static_cast<int64_t>(counts_[static_cast<size_t>(index)])}};
    index = 0;
  }
  return blockOf(buffer, index, lane, part).length;
}

Extent Layout::chunkOf(Extent block, const ir::Part& part, uint64_t iteration) const {
  if (part.chunkBytes == 0) return block;
  const auto chunk = static_cast<int64_t>(part.chunkBytes / elementBytes_);
  const int64_t skipped = std::min(block.length, static_cast<int64_t>(iteration) * chunk);
  return {block.begin + skipped, std::min(chunk, block.length - skipped)};
}

std::vector<Extent> Layout::locate(const ir::Operand& operand, const ir::Lane& lane,
                                   const ir::Step& step, uint64_t iteration) const {
  std::vector<Extent> extents;
  const ir::Part part = ir::partOf(schedule_, lane, step);
  for (int at = 0; at < operand.blocks; ++at) {
    const int index = operand.block + at;
    if (operand.space == ir::Space::kScratch) {
      const int64_t whole = likeLength(operand.like < 0 ? -1 : operand.like + at, lane, part);
      extents.push_back(
          {scratch_.begin + scratchStride_ * index, chunkOf({0, whole}, part, iteration).length});
      continue;
    }
    Extent chunk = chunkOf(blockOf(bufferOf(operand.space), index, lane, part), part, iteration);
    chunk.begin += operand.space == ir::Space::kInput ? input_.begin : output_.begin;
    extents.push_back(chunk);
  }
  return extents;
}

uint64_t Layout::iterations(const ir::Lane& lane) const {
  uint64_t most = 1;
  for (const ir::Part& part : ir::rulingParts(schedule_, lane)) {
    most = std::max(most, ir::iterationCount(longestBlockBytes(lane, part), part.chunkBytes));
  }
  return most;
}

uint64_t Layout::longestChunkBytes(const ir::Lane& lane) const {
  uint64_t longest = 0;
  const auto add = [&](const ir::Part& part) {
    const uint64_t block = longestBlockBytes(lane, part);
    longest = std::max(longest, part.chunkBytes == 0 ? block : std::min(block, part.chunkBytes));
  };
  if (lane.slice >= 0) {
    add({lane.slice, 1, lane.chunkBytes});
  } else {
    for (const ir::Step& step : lane.steps) add(ir::partOf(schedule_, lane, step));
  }
  return longest;
}

uint64_t Layout::longestBlockBytes(const ir::Lane& lane, const ir::Part& part) const {
  uint64_t longest = 0;
  const auto slice = [&](uint64_t count) {
    return ir::weightedSlice(count, elementBytes_, schedule_.sliceWeights, part.slice, part.slices)
        .length;
  };
  if (counts_.empty()) {
    const uint64_t whole = slice(vectorCount_);
    for (int index = 0; index < lane.blocks; ++index) {
      longest = std::max(longest, ir::equalBlock(whole, elementBytes_, lane.blocks, index).length);
    }
  } else {
    for (const uint64_t count : distinctCounts_) longest = std::max(longest, slice(count));
  }
  return longest * elementBytes_;
}

}  // namespace tutti::schedule
