#include "src/executor/program.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/base/errors.h"
#include "src/base/hash.h"

namespace tutti::executor {
namespace {

using base::Code;
using base::Status;
using ir::Collective;
using ir::Space;

// Which blocks a buffer has, before slices and lanes.
enum class Shape { kVector, kOwnBlock, kRow };

Shape shapeOf(Collective collective, Space space) {
  const bool isInput = space == Space::kInput;
  switch (collective) {
    case Collective::kAllReduce:
    case Collective::kReduce:
    case Collective::kBroadcast: return Shape::kVector;
    case Collective::kAllGather:
    case Collective::kAllGatherV:
    case Collective::kGather:
    case Collective::kGatherV: return isInput ? Shape::kOwnBlock : Shape::kRow;
    case Collective::kReduceScatter:
    case Collective::kReduceScatterV:
    case Collective::kScatter:
    case Collective::kScatterV: return isInput ? Shape::kRow : Shape::kOwnBlock;
    case Collective::kAllToAll:
    case Collective::kAllToAllV: return Shape::kRow;
    case Collective::kSend:
    case Collective::kRecv: return Shape::kOwnBlock;
  }
  return Shape::kVector;
}

// Which buffers of a rank the others read or write in place. Every rank must say the same, whatever
// it touches itself, because all decide from it whether peer memory can be used.
PeerAccess peerAccess(Collective collective, bool isRoot) {
  switch (collective) {
    case Collective::kAllReduce: return {true, true};
    case Collective::kReduce: return {true, isRoot};
    case Collective::kBroadcast:
    case Collective::kScatter: return {isRoot, false};
    case Collective::kGather: return {false, isRoot};
    default: return {true, false};
  }
}

// Turns blocks of one lane into byte ranges.
class Layout {
 public:
  Layout(const ir::Schedule& schedule, const ir::Call& call, const BlockTable& table)
      : schedule_(schedule), call_(call), table_(table), elementBytes_(ir::sizeOf(call.type)) {}

  Piece piece(const ir::Lane& lane, const ir::Part& part, Space space, ir::Rank owner,
              int block) const {
    const Shape shape = shapeOf(schedule_.collective, space);
    uint64_t begin = 0;
    uint64_t count = call_.count;
    if (shape == Shape::kRow) {
      begin = rowBegin(block);
      count = rowCount(block);
    } else if (shape == Shape::kOwnBlock) {
      count = rowCount(owner);
    }
    const auto slice =
        ir::weightedSlice(count, elementBytes_, schedule_.sliceWeights, part.slice, part.slices);
    begin += slice.begin;
    count = slice.length;
    if (shape == Shape::kVector && lane.blocks > 1) {
      const auto equal = ir::equalBlock(count, elementBytes_, lane.blocks, block);
      begin += equal.begin;
      count = equal.length;
    }
    return {begin * elementBytes_, count * elementBytes_};
  }

  // Block `block` of the collective, whoever has it.
  uint64_t blockBytes(const ir::Lane& lane, const ir::Part& part, int block) const {
    if (isVector()) return piece(lane, part, Space::kInput, 0, block).bytes;
    return ir::weightedSlice(rowCount(block), elementBytes_, schedule_.sliceWeights, part.slice,
                             part.slices)
               .length *
           elementBytes_;
  }
  int blocksOf(const ir::Lane& lane) const { return isVector() ? lane.blocks : schedule_.size; }

  // The longest block: rules the chunk loop and the size of scratch blocks.
  uint64_t longestBlock(const ir::Lane& lane, const ir::Part& part) const {
    uint64_t longest = 0;
    for (int block = 0; block < blocksOf(lane); ++block) {
      longest = std::max(longest, blockBytes(lane, part, block));
    }
    return longest;
  }

  uint64_t bufferBytes(Space space, ir::Rank rank) const {
    switch (shapeOf(schedule_.collective, space)) {
      case Shape::kVector: return call_.count * elementBytes_;
      case Shape::kOwnBlock: return rowCount(rank) * elementBytes_;
      case Shape::kRow: break;
    }
    uint64_t end = 0;
    for (int block = 0; block < schedule_.size; ++block) {
      end = std::max(end, rowBegin(block) + rowCount(block));
    }
    return end * elementBytes_;
  }

 private:
  bool isVector() const { return shapeOf(schedule_.collective, Space::kInput) == Shape::kVector; }
  uint64_t rowCount(int block) const {
    return table_.counts.empty() ? call_.count : table_.counts[static_cast<size_t>(block)];
  }
  uint64_t rowBegin(int block) const {
    return table_.counts.empty() ? call_.count * static_cast<uint64_t>(block)
                                 : table_.displs[static_cast<size_t>(block)];
  }

  const ir::Schedule& schedule_;
  const ir::Call& call_;
  const BlockTable& table_;
  uint64_t elementBytes_;
};

class Compiler {
 public:
  Compiler(const ir::Schedule& schedule, const ir::Call& call, const BlockTable& table)
      : schedule_(schedule), layout_(schedule, call, table) {
    program_.call = call;
    program_.algorithm = schedule.algorithm;
    program_.needsPeerMemory = schedule.needsPeerMemory;
    program_.acceptsKernelCopy = schedule.acceptsKernelCopy;
    program_.isCollective =
        call.collective != Collective::kSend && call.collective != Collective::kRecv;
    program_.signature = ir::signature(call);
    const bool isIntegerAverage =
        call.op == ir::RedOp::kAvg && ir::isReducing(call.collective) && !ir::isFloat(call.type);
    program_.divisor = isIntegerAverage ? static_cast<uint64_t>(schedule.size) : 0;
    const bool isSum = call.op == ir::RedOp::kAvg || call.op == ir::RedOp::kPreMulSum;
    program_.kernelOp = isSum ? ir::RedOp::kSum : call.op;
    program_.inputBytes = layout_.bufferBytes(Space::kInput, schedule.rank);
    program_.outputBytes = layout_.bufferBytes(Space::kOutput, schedule.rank);
  }

  base::Result<Program> run(uint64_t streamingBytes) {
    TUTTI_RETURN_IF_ERROR(cutSlots());
    for (const auto& lane : schedule_.lanes) TUTTI_RETURN_IF_ERROR(addLane(lane));
    program_.scratchBytes = scratchStride_ * static_cast<uint64_t>(schedule_.scratchBlocks);
    if (schedule_.needsPeerMemory) TUTTI_RETURN_IF_ERROR(addAccess());
    program_.isStreaming = program_.outputBytes >= streamingBytes;
    return std::move(program_);
  }

 private:
  Status cutSlots() {
    const auto& narrow = schedule_.narrowBytes;
    const uint64_t all = ir::narrowOffset(narrow, narrow.size());
    if (narrow.size() > size_t{ir::Limits::kNarrowChannels} || all > ir::Limits::kFifoSlotBytes) {
      return broken(fmt::format("{} narrow channels of {} B", narrow.size(), all));
    }
    for (const uint64_t bytes : narrow) program_.slotCut = base::hash64(bytes, program_.slotCut);
    return {};
  }

  Status addLane(const ir::Lane& lane) {
    if (lane.channel < 0 || lane.channel >= channels()) {
      return broken(fmt::format("channel {}", lane.channel));
    }
    FlatLane flat;
    flat.stepBegin = static_cast<uint32_t>(program_.steps.size());
    flat.stepCount = static_cast<uint32_t>(lane.steps.size());
    for (const ir::Part& part : ir::rulingParts(schedule_, lane)) {
      const uint64_t count = ir::iterationCount(longestBlock(lane, part), part.chunkBytes);
      flat.iterations = std::max(flat.iterations, static_cast<uint32_t>(count));
    }
    for (const auto& step : lane.steps) TUTTI_RETURN_IF_ERROR(addStep(lane, step));
    program_.lanes.push_back(flat);
    return {};
  }

  // Looks at every block, so neighbouring steps share the answer.
  uint64_t longestBlock(const ir::Lane& lane, const ir::Part& part) {
    if (longestLane_ != &lane || !(longestPart_ == part)) {
      longest_ = layout_.longestBlock(lane, part);
      longestLane_ = &lane;
      longestPart_ = part;
    }
    return longest_;
  }

  Status addStep(const ir::Lane& lane, const ir::Step& step) {
    const ir::Part part = ir::partOf(schedule_, lane, step);
    const uint64_t longest = usesScratch(step) ? longestBlock(lane, part) : 0;
    const uint64_t piece = part.chunkBytes > 0 ? std::min(longest, part.chunkBytes) : longest;
    scratchStride_ = std::max(scratchStride_, (piece + 127) / 128 * 128);
    FlatStep flat;
    flat.chunkBytes = part.chunkBytes;
    flat.kind = step.kind;
    flat.isFinal = step.isFinal;
    flat.post = static_cast<uint32_t>(step.post);
    flat.afterLane = step.afterLane;
    flat.afterStep = step.afterStep;
    flat.operandBegin = static_cast<uint32_t>(program_.operands.size());
    flat.sourceCount = static_cast<uint16_t>(step.sources.size());
    flat.destinationCount = static_cast<uint16_t>(step.destinations.size());
    for (const auto& operand : step.sources) addOperand(lane, part, operand, true, flat);
    for (const auto& operand : step.destinations) addOperand(lane, part, operand, false, flat);
    chooseLength(step, flat);
    addPeers(step, flat);
    program_.steps.push_back(flat);
    if (step.post < 0 || step.post >= ir::Limits::kPosts) {
      return broken(fmt::format("post {}", step.post));
    }
    return {};
  }

  static bool usesScratch(const ir::Step& step) {
    const auto isScratch = [](const ir::Operand& each) { return each.space == Space::kScratch; };
    return std::any_of(step.sources.begin(), step.sources.end(), isScratch) ||
           std::any_of(step.destinations.begin(), step.destinations.end(), isScratch);
  }

  int channels() const {
    return ir::Limits::kChannels + static_cast<int>(schedule_.narrowBytes.size());
  }

  void addOperand(const ir::Lane& lane, const ir::Part& part, const ir::Operand& operand,
                  bool isSource, FlatStep& step) {
    FlatOperand flat;
    flat.space = operand.space;
    flat.rank = operand.rank;
    flat.post = static_cast<uint32_t>(operand.block);
    flat.part = operand.part;
    flat.pieceBegin = static_cast<uint32_t>(program_.pieces.size());
    const bool isUser = operand.space == Space::kInput || operand.space == Space::kOutput;
    flat.isPeer = isUser && operand.rank != schedule_.rank;
    flat.isScaled =
        isSource && operand.space == Space::kInput && ir::isReducing(schedule_.collective);
    if (operand.space == Space::kFifo) addChannel(lane, operand, flat);
    for (int at = 0; at < operand.blocks; ++at) {
      const int block = operand.block + at;
      if (isUser) {
        program_.pieces.push_back(layout_.piece(lane, part, operand.space, operand.rank, block));
      } else if (operand.space == Space::kScratch) {
        // The offset is the number of the block until the stride is known.
        const uint64_t bytes = operand.like < 0 ? longestBlock(lane, part)
                                                : layout_.blockBytes(lane, part, operand.like + at);
        program_.pieces.push_back({static_cast<uint64_t>(block), bytes});
      }
    }
    flat.pieceCount = static_cast<uint32_t>(program_.pieces.size()) - flat.pieceBegin;
    step.hasMessage |= !isUser && operand.space != Space::kScratch;
    step.hasPeer |= flat.isPeer;
    program_.operands.push_back(flat);
  }

  void addChannel(const ir::Lane& lane, const ir::Operand& operand, FlatOperand& flat) const {
    const int channel = operand.channel >= 0 ? operand.channel : lane.channel;
    flat.channel = static_cast<uint8_t>(channel);
    flat.isCut = channel == 0 || channel >= ir::Limits::kChannels;
    if (channel < ir::Limits::kChannels) return;
    const auto column = static_cast<size_t>(channel - ir::Limits::kChannels);
    flat.slotOffset = static_cast<uint32_t>(ir::narrowOffset(schedule_.narrowBytes, column));
  }

  Status addAccess() {
    for (ir::Rank rank = 0; rank < schedule_.size; ++rank) {
      PeerAccess access = peerAccess(schedule_.collective, rank == schedule_.root);
      access.inputBytes = access.input ? layout_.bufferBytes(Space::kInput, rank) : 0;
      access.outputBytes = access.output ? layout_.bufferBytes(Space::kOutput, rank) : 0;
      program_.access.push_back(access);
    }
    const auto& own = program_.accessTo(schedule_.rank);
    program_.exposesInput = own.input;
    program_.exposesOutput = own.output;
    for (const auto& step : program_.steps) {
      program_.isExposing |= step.kind == ir::StepKind::kExpose;
      program_.isAttaching |= step.kind == ir::StepKind::kAttach;
    }
    for (const auto& operand : program_.operands) {
      if (!operand.isPeer) continue;
      const auto& access = program_.accessTo(operand.rank);
      if (operand.space == Space::kInput ? access.input : access.output) continue;
      return broken(fmt::format("an access to rank {}'s buffer", operand.rank));
    }
    return {};
  }

  // User buffers know their exact lengths; scratch that is not like a block only an upper bound.
  void chooseLength(const ir::Step& step, FlatStep& flat) const {
    for (uint32_t i = 0; i < uint32_t{flat.sourceCount} + flat.destinationCount; ++i) {
      const auto& operand =
          i < flat.sourceCount ? step.sources[i] : step.destinations[i - flat.sourceCount];
      if (program_.operands[flat.operandBegin + i].pieceCount == 0) continue;
      const bool isExact = operand.space != Space::kScratch || operand.like >= 0;
      if (flat.lengthOperand < 0 || isExact) {
        flat.lengthOperand = static_cast<int32_t>(flat.operandBegin + i);
      }
      if (isExact) return;
    }
  }

  void addPeers(const ir::Step& step, FlatStep& flat) {
    flat.peerBegin = static_cast<uint32_t>(program_.peers.size());
    for (const ir::Rank peer : step.peers) {
      if (peer != ir::kEveryone) {
        program_.peers.push_back(peer);
        continue;
      }
      for (ir::Rank rank = 0; rank < schedule_.size; ++rank) {
        if (rank != schedule_.rank) program_.peers.push_back(rank);
      }
    }
    flat.peerCount = static_cast<uint32_t>(program_.peers.size()) - flat.peerBegin;
  }

  Status broken(std::string_view what) const {
    return {Code::kInternalError, base::kErrInternal,
            fmt::format("the {} schedule of rank {} has {}, which is out of bounds",
                        schedule_.algorithm, schedule_.rank, what)};
  }

  const ir::Schedule& schedule_;
  Layout layout_;
  Program program_;
  uint64_t scratchStride_ = 0;
  const ir::Lane* longestLane_ = nullptr;
  ir::Part longestPart_;
  uint64_t longest_ = 0;

 public:
  uint64_t scratchStride() const { return scratchStride_; }
};

// Small messages should not pay for chunks and pieces they do not have.
void simplify(Program& program, FlatStep& step) {
  constexpr uint64_t kShort = ir::Limits::kFifoSlotBytes;
  const bool isTransfer = step.kind == ir::StepKind::kMove || step.kind == ir::StepKind::kReduce;
  if (!isTransfer || step.lengthOperand < 0) return;
  const auto& length = program.operands[static_cast<size_t>(step.lengthOperand)];
  if (length.pieceCount != 1) return;
  step.bytes = program.pieces[length.pieceBegin].bytes;
  const uint32_t end = step.operandBegin + step.sourceCount + step.destinationCount;
  for (uint32_t i = step.operandBegin; i < end; ++i) {
    auto& operand = program.operands[i];
    if (operand.pieceCount > 1) return;
    if (operand.pieceCount == 1) operand.offset = program.pieces[operand.pieceBegin].offset;
  }
  step.isSimple = step.bytes > 0 && step.bytes <= kShort;
}

}  // namespace

Program placeholder(const ir::Call& call) {
  Program program;
  program.call = call;
  program.algorithm = ir::isOfMessages(call.collective) ? "send_recv" : "none";
  program.signature = ir::signature(call);
  return program;
}

base::Result<Program> compile(const ir::Schedule& schedule, const ir::Call& call,
                              const BlockTable& table, uint64_t streamingBytes) {
  const bool hasTable = !table.counts.empty();
  if (hasTable && (table.counts.size() != static_cast<size_t>(schedule.size) ||
                   table.displs.size() != table.counts.size())) {
    return Status(Code::kInternalError, base::kErrInternal,
                  fmt::format("{} counts for {} ranks", table.counts.size(), schedule.size));
  }
  Compiler compiler(schedule, call, table);
  auto program = compiler.run(streamingBytes);
  if (!program.isOk()) return program.status();
  // The Call has their sum only. Displacements are each rank's own affair.
  for (const uint64_t count : table.counts) {
    program->signature = base::hash64(count, program->signature);
  }
  for (const auto& operand : program->operands) {
    if (operand.space != Space::kScratch) continue;
    for (uint32_t i = 0; i < operand.pieceCount; ++i) {
      program->pieces[operand.pieceBegin + i].offset *= compiler.scratchStride();
    }
  }
  for (const auto& lane : program->lanes) {
    if (lane.iterations > 1) continue;
    for (uint32_t i = 0; i < lane.stepCount; ++i)
      simplify(*program, program->steps[lane.stepBegin + i]);
  }
  if (program->scratchBytes > ir::Limits::kScratchBytes) {
    return Status(
        Code::kInternalError, base::kErrInternal,
        fmt::format("{} needs {} bytes of scratch", schedule.algorithm, program->scratchBytes));
  }
  return program;
}

}  // namespace tutti::executor
