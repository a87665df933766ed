// The memory that mapped ranks share: one segment per rank and communicator.
//
// A rank writes only its own segment, except for bells (anyone may ring). Everything that peers
// poll is one atomic on a cache line of its own. Layout, in this order:
//
//   SegmentHeader           identity, bell, progress, state, the log of recent operations
//   FifoAck[size][channel]  how many messages this rank consumed from each sender
//   Post[kBoardOps][kPosts] the board: posts that every peer may read
//   FifoSlot[size][channel][kFifoSlots]   messages from this rank to each peer
//   FifoAck[size][narrow channel]
//   SlotHead[size][narrow channel][kFifoSlots]
//
// Narrow channels have heads and acknowledgements of their own; their payloads share the slots of
// channel 0, each in its column (ir/schedule.h). Who sends must have seen the slots empty before it
// cuts them in another way.
//
// Pages are touched only when used, so the cost of a peer that is never talked to is address space.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "src/ir/schedule.h"

namespace tutti::transports {

inline constexpr size_t kLine = 64;
// Posts of this many operations are kept before their slots are used again.
inline constexpr int kBoardOps = 8;
inline constexpr int kOpLogSize = 16;
inline constexpr uint32_t kSegmentMagic = 0x54755369;  // "TuSi"
inline constexpr uint32_t kSegmentVersion = 2;

// A tag is written last (release) and says that the rest is there: operation (board) or message
// (FIFO) number in the upper half, lower half of the call's signature below.
constexpr uint64_t makeTag(uint64_t number, uint64_t signature) {
  return (number << 32) | (signature & 0xffffffffu);
}
constexpr uint32_t tagNumber(uint64_t tag) { return static_cast<uint32_t>(tag >> 32); }

// Short payloads share the tag's cache line, so that they cost one transfer.
struct alignas(kLine) SlotHead {
  static constexpr uint64_t kInlineBytes = 48;
  std::atomic<uint64_t> tag;
  uint32_t bytes;
  uint32_t offset;  // narrow channels: where the payload begins in the slot of channel 0
  std::byte inlinePayload[kInlineBytes];
};

// A message or a post.
template <uint64_t kPayloadBytes>
struct Envelope : SlotHead {
  std::byte payload[kPayloadBytes];

  std::byte* data(uint64_t length) { return length <= kInlineBytes ? inlinePayload : payload; }
};
using Post = Envelope<ir::Limits::kBoardBytes>;
using FifoSlot = Envelope<ir::Limits::kFifoSlotBytes>;

struct alignas(kLine) FifoAck {
  std::atomic<uint64_t> consumed;
};

// Where a waiting rank sleeps.
struct alignas(kLine) Bell {
  std::atomic<uint32_t> count;       // the futex word
  std::atomic<uint32_t> isSleeping;  // somebody waits on it
};

enum class RankState : uint32_t { kRunning = 0, kFailed = 1, kLeft = 2 };

// What a rank was last asked to do: lets peers tell a disagreement from a delay.
struct alignas(kLine) OpRecord {
  std::atomic<uint64_t> number;  // written last; 0: none
  std::atomic<uint64_t> signature;
  std::atomic<uint64_t> count;
  std::atomic<uint32_t> collective, type, op, root;
};

struct alignas(kLine) SegmentHeader {
  uint32_t magic;
  uint32_t version;
  int32_t rank;
  int32_t size;
  std::byte token[32];  // derived from the communicator's secret

  alignas(kLine) Bell bell;
  alignas(kLine) std::atomic<uint64_t> completedOps;
  alignas(kLine) std::atomic<uint32_t> state;  // RankState, written after the text
  char failure[252];                           // why it is kFailed, ended by a zero
  OpRecord log[kOpLogSize];
};

// A slot of a wide or a narrow channel.
struct SlotView {
  SlotHead* head;
  std::byte* payload;

  std::byte* data(uint64_t length) const {
    return length <= SlotHead::kInlineBytes ? head->inlinePayload : payload;
  }
};

// Views into one rank's segment. Narrow channels follow the wide ones.
struct SegmentView {
  std::byte* base = nullptr;
  int size = 0;

  static size_t bytesFor(int size);
  SegmentHeader& header() const { return *reinterpret_cast<SegmentHeader*>(base); }
  FifoAck& ack(int sender, int channel) const;
  Post& post(uint64_t operation, int number) const;
  // `offset`: where a narrow channel begins in the slots of channel 0.
  SlotView slot(int receiver, int channel, uint64_t message, uint64_t offset = 0) const;
};

inline constexpr size_t kAcksOffset = sizeof(SegmentHeader);

inline size_t boardOffset(int size) {
  return kAcksOffset + sizeof(FifoAck) * static_cast<size_t>(size * ir::Limits::kChannels);
}
inline size_t slotsOffset(int size) {
  return boardOffset(size) + sizeof(Post) * static_cast<size_t>(kBoardOps * ir::Limits::kPosts);
}
inline size_t narrowAcksOffset(int size) {
  return slotsOffset(size) + sizeof(FifoSlot) * static_cast<size_t>(size * ir::Limits::kChannels *
                                                                    ir::Limits::kFifoSlots);
}
inline size_t narrowHeadsOffset(int size) {
  return narrowAcksOffset(size) +
         sizeof(FifoAck) * static_cast<size_t>(size * ir::Limits::kNarrowChannels);
}
inline size_t SegmentView::bytesFor(int size) {
  return narrowHeadsOffset(size) +
         sizeof(SlotHead) *
             static_cast<size_t>(size * ir::Limits::kNarrowChannels * ir::Limits::kFifoSlots);
}
inline FifoAck& SegmentView::ack(int sender, int channel) const {
  const int narrow = channel - ir::Limits::kChannels;
  if (narrow >= 0) {
    auto* acks = reinterpret_cast<FifoAck*>(base + narrowAcksOffset(size));
    return acks[sender * ir::Limits::kNarrowChannels + narrow];
  }
  auto* acks = reinterpret_cast<FifoAck*>(base + kAcksOffset);
  return acks[sender * ir::Limits::kChannels + channel];
}
inline Post& SegmentView::post(uint64_t operation, int number) const {
  auto* posts = reinterpret_cast<Post*>(base + boardOffset(size));
  return posts[(operation % kBoardOps) * ir::Limits::kPosts + static_cast<uint64_t>(number)];
}
inline SlotView SegmentView::slot(int receiver, int channel, uint64_t message,
                                  uint64_t offset) const {
  const int narrow = channel - ir::Limits::kChannels;
  const int wide = narrow < 0 ? channel : 0;
  const uint64_t place = message % ir::Limits::kFifoSlots;
  const auto fifo = static_cast<uint64_t>(receiver * ir::Limits::kChannels + wide);
  auto& slot =
      reinterpret_cast<FifoSlot*>(base + slotsOffset(size))[fifo * ir::Limits::kFifoSlots + place];
  if (narrow < 0) return {&slot, slot.payload};
  const auto column = static_cast<uint64_t>(receiver * ir::Limits::kNarrowChannels + narrow);
  auto* heads = reinterpret_cast<SlotHead*>(base + narrowHeadsOffset(size));
  return {&heads[column * ir::Limits::kFifoSlots + place], slot.payload + offset};
}

// Wakes whoever sleeps at `bell`, if anybody does. One relaxed load where nobody does: a sleeper
// first announces itself, then lets every core pass a barrier (membarrier), then looks once more.
void ringSlow(Bell& bell);
inline void ringIfSleeping(Bell& bell) {
  if (bell.isSleeping.load(std::memory_order_relaxed) != 0) [[unlikely]]
    ringSlow(bell);
}

}  // namespace tutti::transports
