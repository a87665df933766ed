// The steps of an operation: moving, reducing, signalling. Exposing is in exposure.cc.
#include <algorithm>
#include <atomic>
#include <span>

#include "src/base/errors.h"
#include "src/executor/engine.h"

namespace tutti::executor {

using base::Code;
using base::Status;
using ir::Space;
using transports::makeTag;

namespace {

// Long steps in memory yield to others after this many bytes per operand.
constexpr uint64_t kQuantumBytes = 256 << 10;
// Kernel-assisted copies go through a buffer that stays in the core's cache.
constexpr uint64_t kBounceBytes = 64 << 10;

// A hint; where the processor has no such instruction it does nothing.
void prefetchForWriting(const void* line) {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(line)));
#else
  __builtin_prefetch(line, 1);
#endif
}

struct Range {
  uint64_t offset;
  uint64_t bytes;
};

// Iteration `iteration` of a piece.
Range chunkOf(const Piece& piece, const FlatStep& step, uint32_t iteration) {
  if (step.chunkBytes == 0) return {piece.offset, piece.bytes};
  const uint64_t begin = std::min(piece.bytes, step.chunkBytes * iteration);
  return {piece.offset + begin, std::min(piece.bytes - begin, step.chunkBytes)};
}

}  // namespace

Engine::Outcome Engine::runStep(Operation& operation, LaneState& state, const FlatStep& step) {
  if (step.afterLane >= 0) {
    const auto& other = operation.lanes[static_cast<size_t>(step.afterLane)];
    const bool isPast =
        other.iteration > state.iteration ||
        (other.iteration == state.iteration && other.step > static_cast<uint32_t>(step.afterStep));
    if (!isPast) return Outcome::kBlocked;
  }
  switch (step.kind) {
    case ir::StepKind::kMove:
    case ir::StepKind::kReduce: return transfer(operation, state, step);
    case ir::StepKind::kExpose: return expose(operation, step);
    case ir::StepKind::kAttach: return attach(operation, step);
    case ir::StepKind::kSignal: return signal(operation, step);
    case ir::StepKind::kWait: return waitPosts(operation, step);
    case ir::StepKind::kPass: return Outcome::kDone;
  }
  return Outcome::kBlocked;
}

void Engine::post(Operation& operation, uint32_t number, uint64_t bytes) {
  auto& post = options_.segment.post(operation.number, static_cast<int>(number));
  post.bytes = static_cast<uint32_t>(bytes);
  post.tag.store(makeTag(operation.number, operation.signature), std::memory_order_release);
  ringEveryone();
}

bool Engine::isTagReady(Operation& operation, ir::Rank rank, uint64_t tag, uint64_t expected) {
  if (tag == expected) [[likely]]
    return true;
  if (transports::tagNumber(tag) == transports::tagNumber(expected) && isClear(operation, rank)) {
    fail(mismatch(operation, rank));
  }
  return false;
}

Engine::Outcome Engine::signal(Operation& operation, const FlatStep& step) {
  post(operation, step.post, 0);
  return Outcome::kDone;
}

Engine::Outcome Engine::waitPosts(Operation& operation, const FlatStep& step) {
  const uint64_t expected = makeTag(operation.number, operation.signature);
  for (uint32_t i = 0; i < step.peerCount; ++i) {
    const ir::Rank rank = operation.program->peers[step.peerBegin + i];
    const auto& segment = peers_[static_cast<size_t>(rank)].segment;
    const uint64_t tag = segment.post(operation.number, static_cast<int>(step.post))
                             .tag.load(std::memory_order_acquire);
    if (!isTagReady(operation, rank, tag, expected)) return Outcome::kBlocked;
  }
  return Outcome::kDone;
}

Engine::Outcome Engine::transfer(Operation& operation, LaneState& state, const FlatStep& step) {
  const Program& program = *operation.program;
  const FlatOperand* operands = &program.operands[step.operandBegin];
  const size_t operandCount = size_t{step.sourceCount} + step.destinationCount;
  if (step.isSimple) return transferSimple(operation, step, operands, operandCount);
  const FlatOperand* lengthOperand =
      step.lengthOperand < 0 ? nullptr : &program.operands[static_cast<size_t>(step.lengthOperand)];
  uint64_t total = 0;
  for (uint32_t i = 0; lengthOperand != nullptr && i < lengthOperand->pieceCount; ++i) {
    total += chunkOf(program.pieces[lengthOperand->pieceBegin + i], step, state.iteration).bytes;
  }
  cursors_.resize(operandCount);
  for (size_t i = 0; i < operandCount; ++i) {
    cursors_[i] = {};
    if (!resolve(operation, operands[i], i < step.sourceCount, total, cursors_[i])) {
      return Outcome::kBlocked;
    }
  }
  const bool isLong =
      !step.hasMessage && lengthOperand != nullptr && lengthOperand->pieceCount == 1;
  uint64_t messageOffset = 0;
  for (uint32_t p = 0; lengthOperand != nullptr && p < lengthOperand->pieceCount; ++p) {
    uint64_t bytes =
        chunkOf(program.pieces[lengthOperand->pieceBegin + p], step, state.iteration).bytes;
    if (isLong) bytes = std::min(bytes - state.done, kQuantumBytes);
    if (bytes == 0) continue;
    runCursors_.assign(cursors_.begin(), cursors_.end());
    for (size_t i = 0; i < operandCount; ++i) {
      place(runCursors_[i], operands[i], program, step, state, p, messageOffset);
    }
    if (step.hasPeer && hasWithdrawn(program, step)) return Outcome::kBlocked;
    combine(program, step, runCursors_, bytes);
    // Nothing may say that it is there.
    if (step.hasPeer && hasWithdrawn(program, step)) return Outcome::kBlocked;
    messageOffset += bytes;
    if (!isLong) continue;
    state.done += bytes;
    if (state.done < total) return Outcome::kPartial;
  }
  if (step.hasMessage) publish(operation, step, total);
  return Outcome::kDone;
}

Engine::Outcome Engine::transferSimple(Operation& operation, const FlatStep& step,
                                       const FlatOperand* operands, size_t operandCount) {
  cursors_.resize(operandCount);
  for (size_t i = 0; i < operandCount; ++i) {
    Cursor& cursor = cursors_[i];
    cursor = {};
    if (!resolve(operation, operands[i], i < step.sourceCount, step.bytes, cursor)) {
      return Outcome::kBlocked;
    }
    if (cursor.pointer != nullptr) {
      cursor.pointer += operands[i].offset;
    } else {
      cursor.remote += operands[i].offset;
    }
  }
  if (step.hasPeer && hasWithdrawn(*operation.program, step)) return Outcome::kBlocked;
  combine(*operation.program, step, cursors_, step.bytes);
  if (step.hasPeer && hasWithdrawn(*operation.program, step)) return Outcome::kBlocked;
  if (step.hasMessage) publish(operation, step, step.bytes);
  return Outcome::kDone;
}

// Has this rank or a peer whose buffer the step uses given up? The peer does not wait long for
// ranks that stand still (awaitQuiet), and uses its memory for something else then: what is read
// after that is worth nothing, and nothing may be written. Looked at before and after each quantum.
bool Engine::hasWithdrawn(const Program& program, const FlatStep& step) {
  if (hasFailed()) return true;
  const auto count = size_t{step.sourceCount} + step.destinationCount;
  for (const FlatOperand& operand : std::span(&program.operands[step.operandBegin], count)) {
    if (!operand.isPeer) continue;
    std::atomic_thread_fence(std::memory_order_acquire);
    const auto& header = peers_[static_cast<size_t>(operand.rank)].segment.header();
    const auto state = header.state.load(std::memory_order_acquire);
    if (state != static_cast<uint32_t>(transports::RankState::kFailed)) continue;
    fail({Code::kRemoteError, base::kErrPeerAborted,
          describe(operand.rank) + " gave up: " + header.failure});
    return true;
  }
  return false;
}

// Moves a cursor from the start of its buffer to piece `p` of its operand.
void Engine::place(Cursor& cursor, const FlatOperand& operand, const Program& program,
                   const FlatStep& step, const LaneState& state, uint32_t p,
                   uint64_t messageOffset) {
  uint64_t offset = messageOffset;
  if (operand.pieceCount > 0) {
    const Piece& piece = program.pieces[operand.pieceBegin + p];
    offset = operand.space == Space::kScratch ? piece.offset
                                              : chunkOf(piece, step, state.iteration).offset;
    offset += state.done;
  }
  if (cursor.pointer != nullptr) {
    cursor.pointer += offset;
  } else {
    cursor.remote += offset;
  }
}

bool Engine::resolve(Operation& operation, const FlatOperand& operand, bool isSource,
                     uint64_t bytes, Cursor& cursor) {
  switch (operand.space) {
    case Space::kInput:
    case Space::kOutput: resolveUser(operation, operand, cursor); return true;
    case Space::kScratch:
      if (scratch_.size() < operation.program->scratchBytes) {
        scratch_.resize(operation.program->scratchBytes);
      }
      cursor.pointer = scratch_.data();
      return true;
    case Space::kFifo:
    case Space::kBoard: break;
  }
  return isSource ? resolveMessageSource(operation, operand, bytes, cursor)
                  : resolveMessageDestination(operation, operand, bytes, cursor);
}

void Engine::resolveUser(Operation& operation, const FlatOperand& operand, Cursor& cursor) {
  const bool isInput = operand.space == Space::kInput;
  auto& request = operation.request;
  cursor.isUser = true;
  if (!operand.isPeer) {
    cursor.pointer = isInput ? static_cast<std::byte*>(const_cast<void*>(request.input))
                             : static_cast<std::byte*>(request.output);
    if (operand.isScaled && request.factor.isSet) cursor.factor = &request.factor;
    return;
  }
  const auto& attachment = operation.attachments[static_cast<size_t>(operand.rank)];
  cursor.pointer = isInput ? attachment.input : attachment.output;
  cursor.remote = isInput ? attachment.inputAddress : attachment.outputAddress;
  cursor.connection = peers_[static_cast<size_t>(operand.rank)].connection;
  if (operand.isScaled && attachment.factor.isSet) cursor.factor = &attachment.factor;
}

bool Engine::resolveMessageSource(Operation& operation, const FlatOperand& operand, uint64_t bytes,
                                  Cursor& cursor) {
  auto& peer = peers_[static_cast<size_t>(operand.rank)];
  const uint64_t signature = operation.signature;
  if (operand.space == Space::kBoard) {
    auto& post = peer.segment.post(operation.number, static_cast<int>(operand.post));
    const uint64_t tag = post.tag.load(std::memory_order_acquire);
    if (!isTagReady(operation, operand.rank, tag, makeTag(operation.number, signature))) {
      prefetchNextPost(bytes);
      return false;
    }
    // Who posts for this operation has completed the one before.
    peer.completedOps = std::max(peer.completedOps, operation.number - 1);
    cursor.pointer = post.data(post.bytes);
    if (operand.part > 0) cursor.pointer += static_cast<uint64_t>(operand.part) * bytes;
    return true;
  }
  if (peer.remote != nullptr) return resolveArrival(operation, operand, cursor);
  const uint64_t message = peer.fifos[operand.channel].received;
  const auto slot = peer.segment.slot(options_.rank, operand.channel, message, operand.slotOffset);
  const uint64_t tag = slot.head->tag.load(std::memory_order_acquire);
  if (!isTagReady(operation, operand.rank, tag, makeTag(message + 1, signature))) return false;
  cursor.pointer = slot.data(bytes);
  return true;
}

// While the peer's post is on its way, takes ownership of the lines that this rank will most likely
// post to next: the peers still have them from the last time round the board.
void Engine::prefetchNextPost(uint64_t bytes) {
  if (prefetchedFor_ == nextNumber_) return;
  prefetchedFor_ = nextNumber_;
  constexpr uint64_t kMost = 4096;
  auto& post = options_.segment.post(nextNumber_, 0);
  prefetchForWriting(&post);
  if (bytes <= transports::Post::kInlineBytes) return;
  for (uint64_t at = 0; at < std::min(bytes, kMost); at += transports::kLine) {
    prefetchForWriting(post.payload + at);
  }
}

bool Engine::resolveMessageDestination(Operation& operation, const FlatOperand& operand,
                                       uint64_t bytes, Cursor& cursor) {
  if (operand.space == Space::kBoard) {
    cursor.pointer =
        options_.segment.post(operation.number, static_cast<int>(operand.post)).data(bytes);
    return true;
  }
  auto& peer = peers_[static_cast<size_t>(operand.rank)];
  if (peer.remote != nullptr) {
    cursor.pointer = peer.remote->reserve(operand.channel, bytes);
    return cursor.pointer != nullptr;
  }
  const uint64_t cut = operation.program->slotCut;
  if (operand.isCut && peer.slotCut != cut) [[unlikely]] {
    if (!areSlotsEmpty(peer)) return false;
    peer.slotCut = cut;
  }
  auto& fifo = peer.fifos[operand.channel];
  if (fifo.sent - fifo.acknowledged >= ir::Limits::kFifoSlots) {
    fifo.acknowledged =
        peer.segment.ack(options_.rank, operand.channel).consumed.load(std::memory_order_acquire);
    if (fifo.sent - fifo.acknowledged >= ir::Limits::kFifoSlots) return false;
  }
  cursor.pointer =
      options_.segment.slot(operand.rank, operand.channel, fifo.sent, operand.slotOffset)
          .data(bytes);
  return true;
}

// Slots that are cut in another way than before hold other messages at the same place: the peer
// must have read all that were sent. It needs nothing from this operation for that.
bool Engine::areSlotsEmpty(Peer& peer) const {
  for (int channel = 0; channel < static_cast<int>(peer.fifos.size()); ++channel) {
    if (channel > 0 && channel < ir::Limits::kChannels) continue;
    auto& fifo = peer.fifos[static_cast<size_t>(channel)];
    if (fifo.acknowledged == fifo.sent) continue;
    fifo.acknowledged =
        peer.segment.ack(options_.rank, channel).consumed.load(std::memory_order_acquire);
    if (fifo.acknowledged != fifo.sent) return false;
  }
  return true;
}

// After the bytes are in place: tags for what was written, acknowledgements for what was read.
void Engine::publish(Operation& operation, const FlatStep& step, uint64_t bytes) {
  const Program& program = *operation.program;
  const FlatOperand* operands = &program.operands[step.operandBegin];
  for (size_t i = 0; i < size_t{step.sourceCount} + step.destinationCount; ++i) {
    const FlatOperand& operand = operands[i];
    const bool isSource = i < step.sourceCount;
    if (operand.space == Space::kBoard && !isSource) post(operation, operand.post, bytes);
    if (operand.space != Space::kFifo) continue;
    auto& peer = peers_[static_cast<size_t>(operand.rank)];
    if (peer.remote != nullptr) {
      publishRemote(operation, operand, isSource, bytes);
      continue;
    }
    if (isSource) {
      const uint64_t consumed = ++peer.fifos[operand.channel].received;
      options_.segment.ack(operand.rank, operand.channel)
          .consumed.store(consumed, std::memory_order_release);
    } else {
      const uint64_t message = peer.fifos[operand.channel].sent++;
      const auto slot = options_.segment.slot(operand.rank, operand.channel, message);
      slot.head->bytes = static_cast<uint32_t>(bytes);
      slot.head->offset = operand.slotOffset;
      slot.head->tag.store(makeTag(message + 1, operation.signature), std::memory_order_release);
    }
    transports::ringIfSleeping(peer.segment.header().bell);
  }
}

void Engine::combine(const Program& program, const FlatStep& step, std::span<Cursor> cursors,
                     uint64_t bytes) {
  if (step.hasPeer) {
    const bool needsCopy = std::any_of(cursors.begin(), cursors.end(), [](const Cursor& cursor) {
      return cursor.pointer == nullptr;
    });
    if (needsCopy) return combineByCopy(program, step, cursors, bytes);
  }
  combineLocal(program, step, cursors, bytes);
}

bool Engine::isPlainCopy(const Program& program, const FlatStep& step,
                         std::span<const Cursor> cursors) {
  return step.sourceCount == 1 && cursors[0].factor == nullptr &&
         !(step.isFinal && program.divisor > 1);
}

void Engine::combineLocal(const Program& program, const FlatStep& step, std::span<Cursor> cursors,
                          uint64_t bytes) {
  const auto sources = cursors.first(step.sourceCount);
  const auto destinations = cursors.subspan(step.sourceCount);
  if (isPlainCopy(program, step, cursors)) {
    for (const auto& destination : destinations) {
      if (destination.pointer == sources[0].pointer) continue;
      queue_.copy(destination.pointer, sources[0].pointer, bytes,
                  program.isStreaming && destination.isUser);
    }
    return;
  }
  if (sources.size() > device::kMaxReduceOperands ||
      destinations.size() > device::kMaxReduceOperands) {
    return combineMany(program, step, cursors, bytes);
  }
  // Where a result goes both to the user's large buffer and to a slot that a peer reads next, the
  // slot is written first, through the cache, and the buffer around it.
  size_t slots = 0;
  if (program.isStreaming && step.hasMessage) {
    const auto middle = std::partition(destinations.begin(), destinations.end(),
                                       [](const Cursor& cursor) { return !cursor.isUser; });
    slots = static_cast<size_t>(middle - destinations.begin());
  }
  if (slots == 0 || slots == destinations.size()) {
    return reduceInto(program, step, sources, destinations, bytes);
  }
  reduceInto(program, step, sources, destinations.first(slots), bytes);
  for (const auto& destination : destinations.subspan(slots)) {
    queue_.copy(destination.pointer, destinations[0].pointer, bytes, true);
  }
}

void Engine::reduceInto(const Program& program, const FlatStep& step,
                        std::span<const Cursor> sources, std::span<const Cursor> destinations,
                        uint64_t bytes) {
  const void* from[device::kMaxReduceOperands];
  void* to[device::kMaxReduceOperands];
  device::Factor factors[device::kMaxReduceOperands];
  bool hasFactor = false;
  for (size_t i = 0; i < sources.size(); ++i) {
    from[i] = sources[i].pointer;
    if (sources[i].factor == nullptr) continue;
    factors[i] = *sources[i].factor;
    hasFactor = true;
  }
  for (size_t i = 0; i < destinations.size(); ++i) to[i] = destinations[i].pointer;
  device::ReduceArgs args;
  args.type = program.call.type;
  args.op = program.kernelOp;
  args.sources = from;
  args.factors = hasFactor ? factors : nullptr;
  args.sourceCount = static_cast<int>(sources.size());
  args.destinations = to;
  args.destinationCount = static_cast<int>(destinations.size());
  args.count = bytes / ir::sizeOf(args.type);
  args.divisor = step.isFinal ? program.divisor : 0;
  args.streaming = program.isStreaming && destinations[0].isUser;
  queue_.reduce(args);
}

// More operands than one kernel call takes: combines left to right through a buffer, so that in
// place nothing is overwritten before it was read.
void Engine::combineMany(const Program& program, const FlatStep& step, std::span<Cursor> cursors,
                         uint64_t bytes) {
  bounce_.resize(std::max<size_t>(bounce_.size(), kQuantumBytes));
  constexpr size_t kMax = device::kMaxReduceOperands;
  const auto destinations = cursors.subspan(step.sourceCount);
  std::vector<Cursor> part(cursors.begin(),
                           cursors.begin() + std::min<size_t>(kMax, step.sourceCount));
  size_t next = part.size();
  Cursor accumulator;
  accumulator.pointer = bounce_.data();
  FlatStep partStep = step;
  partStep.destinationCount = 1;
  for (;;) {
    const bool isLast = next == step.sourceCount;
    partStep.sourceCount = static_cast<uint16_t>(part.size());
    partStep.isFinal = step.isFinal && isLast;
    part.push_back(accumulator);
    combineLocal(program, partStep, part, bytes);
    if (isLast) break;
    part.assign(1, accumulator);
    while (part.size() < kMax && next < step.sourceCount) part.push_back(cursors[next++]);
  }
  for (const auto& destination : destinations) {
    queue_.copy(destination.pointer, accumulator.pointer, bytes, false);
  }
}

// Some operand can only be reached by kernel-assisted copies: in pieces that stay in the cache.
void Engine::combineByCopy(const Program& program, const FlatStep& step, std::span<Cursor> cursors,
                           uint64_t bytes) {
  const bool isPair =
      cursors.size() == 2 && (cursors[0].pointer != nullptr || cursors[1].pointer != nullptr);
  if (isPair && isPlainCopy(program, step, cursors)) {
    return copyDirectly(cursors[0], cursors[1], bytes);
  }
  copyBuffer_.resize(cursors.size() * kBounceBytes);
  std::vector<Cursor> local(cursors.begin(), cursors.end());
  for (uint64_t done = 0; done < bytes; done += kBounceBytes) {
    const uint64_t length = std::min(kBounceBytes, bytes - done);
    for (size_t i = 0; i < cursors.size(); ++i) {
      local[i] = cursors[i];
      if (cursors[i].pointer != nullptr) {
        local[i].pointer += done;
        continue;
      }
      local[i].pointer = copyBuffer_.data() + i * kBounceBytes;
      if (i >= step.sourceCount) continue;
      auto status =
          cursors[i].connection->readPeer(local[i].pointer, cursors[i].remote + done, length);
      if (!status.isOk()) return fail(std::move(status));
    }
    combineLocal(program, step, local, length);
    for (size_t i = step.sourceCount; i < cursors.size(); ++i) {
      if (cursors[i].pointer != nullptr) continue;
      auto status =
          cursors[i].connection->writePeer(cursors[i].remote + done, local[i].pointer, length);
      if (!status.isOk()) return fail(std::move(status));
    }
  }
}

// One end is a peer's: the kernel moves the bytes from one user's buffer to the other's.
void Engine::copyDirectly(const Cursor& source, const Cursor& destination, uint64_t bytes) {
  const bool isRead = source.pointer == nullptr;
  auto status = isRead
                    ? source.connection->readPeer(destination.pointer, source.remote, bytes)
                    : destination.connection->writePeer(destination.remote, source.pointer, bytes);
  if (!status.isOk()) fail(std::move(status));
}

}  // namespace tutti::executor
