#include "transports/messages.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "src/base/clock.h"
#include "src/base/errors.h"

namespace tutti::transports {

using base::Code;
using base::Status;

namespace {

// A rank that waits says every few milliseconds what it waits for; this often is enough.
constexpr int64_t kPublishEveryNs = 20'000'000;
// Buffers are of one size, but for messages that are longer than a slot.
constexpr uint32_t kBufferBytes = static_cast<uint32_t>(ir::Limits::kFifoSlotBytes);
// So many messages of a channel, and this part of the window in all, may be read without a word.
constexpr uint32_t kTellAfter = 2 * ir::Limits::kFifoSlots;
constexpr uint64_t kWindowParts = 4;
// What a message takes of the window at least: short ones cost memory on both sides, too.
constexpr uint32_t kLeastBytes = 4096;
// The peer may have read as many as it has not told of yet: beside them the channel has its slots.
constexpr size_t kOwnMessages = ir::Limits::kFifoSlots + kTellAfter - 1;
// More than this many messages of a channel can not be under way, however long the window.
constexpr uint32_t kMostAhead = 1u << 20;

uint32_t costOf(uint64_t bytes) { return std::max(static_cast<uint32_t>(bytes), kLeastBytes); }

struct Record {
  uint64_t number, signature, count;
  uint32_t collective, type, op, root;
  bool operator==(const Record&) const = default;
};

}  // namespace

// The part of a segment's header that peers look at.
struct MessageConnection::Published {
  uint64_t completedOps = 0;
  RankState state = RankState::kRunning;
  char failure[sizeof(SegmentHeader::failure)] = {};
  Record log[kOpLogSize] = {};

  static Published of(const SegmentHeader& header) {
    Published value;
    value.completedOps = header.completedOps.load(std::memory_order_acquire);
    value.state = static_cast<RankState>(header.state.load(std::memory_order_acquire));
    // The text is there once the state says so.
    if (value.state == RankState::kFailed) {
      std::memcpy(value.failure, header.failure, sizeof(value.failure));
    }
    for (int i = 0; i < kOpLogSize; ++i) {
      const OpRecord& from = header.log[i];
      value.log[i] = {from.number.load(),     from.signature.load(), from.count.load(),
                      from.collective.load(), from.type.load(),      from.op.load(),
                      from.root.load()};
    }
    return value;
  }

  void writeTo(SegmentHeader& header) const {
    for (int i = 0; i < kOpLogSize; ++i) {
      OpRecord& to = header.log[i];
      to.number.store(0);
      to.signature.store(log[i].signature);
      to.count.store(log[i].count);
      to.collective.store(log[i].collective);
      to.type.store(log[i].type);
      to.op.store(log[i].op);
      to.root.store(log[i].root);
      to.number.store(log[i].number);
    }
    std::memcpy(header.failure, failure, sizeof(failure));
    header.failure[sizeof(failure) - 1] = '\0';
    header.completedOps.store(completedOps, std::memory_order_release);
    header.state.store(static_cast<uint32_t>(state), std::memory_order_release);
  }

  bool operator==(const Published& other) const {
    return completedOps == other.completedOps && state == other.state &&
           std::equal(std::begin(log), std::end(log), std::begin(other.log));
  }
};

MessageConnection::MessageConnection(const MessageOptions& options)
    : options_(options),
      peerHeader_(std::make_unique<SegmentHeader>()),
      peerSegment_{reinterpret_cast<std::byte*>(peerHeader_.get()), options.segment.size},
      window_(options.leastWindowBytes,
              std::min(options.windowBytes, uint64_t{kMostAhead / 2} * kLeastBytes)),
      peerWindowBytes_(window_.bytes()),
      published_(std::make_unique<Published>()) {}

MessageConnection::~MessageConnection() {
  for (Channel& each : channels_) {
    for (const Incoming& incoming : each.incoming) {
      if (incoming.token != nullptr) wire_->giveBack(incoming.token);
    }
  }
}

void MessageConnection::attach(std::unique_ptr<Wire> wire) { wire_ = std::move(wire); }

Status MessageConnection::readPeer(void*, uint64_t, size_t) {
  return {Code::kInternalError, base::kErrInternal, "the memory of a remote rank can not be read"};
}

Status MessageConnection::writePeer(uint64_t, const void*, size_t) {
  return {Code::kInternalError, base::kErrInternal,
          "the memory of a remote rank can not be written"};
}

SendBuffer* MessageConnection::take(uint64_t bytes) {
  const auto fits = [bytes](const SendBuffer* each) { return each->capacity >= bytes; };
  if (const auto found = std::find_if(free_.rbegin(), free_.rend(), fits); found != free_.rend()) {
    SendBuffer* buffer = *found;
    free_.erase(std::next(found).base());
    return buffer;
  }
  auto& made = buffers_.emplace_back(std::make_unique<SendBuffer>());
  made->capacity = std::max(static_cast<uint32_t>(bytes), kBufferBytes);
  made->memory =
      std::make_unique_for_overwrite<std::byte[]>(SendBuffer::kHeadroom + size_t{made->capacity});
  made->data = made->memory.get() + SendBuffer::kHeadroom;
  return made.get();
}

std::byte* MessageConnection::reserve(int index, uint64_t bytes) {
  Channel& at = channel(index);
  if (at.reserved != nullptr && at.reserved->capacity >= bytes) return at.reserved->data;
  const bool hasCredit =
      at.unread.size() < kOwnMessages || unreadBytes_ + costOf(bytes) <= window_.bytes();
  if (!hasCredit) return nullptr;
  if (at.reserved != nullptr) free_.push_back(at.reserved);
  at.reserved = take(bytes);
  return at.reserved->data;
}

void MessageConnection::send(int index, uint64_t bytes, uint64_t tag) {
  Channel& at = channel(index);
  Frame frame;
  frame.kind = FrameKind::kMessage;
  frame.channel = static_cast<uint8_t>(index);
  frame.bytes = static_cast<uint32_t>(bytes);
  frame.number = at.sent++;
  frame.tag = tag;
  if (bytes >= ArrivalMeter::kLeastBytes) {
    const int64_t now = base::nowNs();
    frame.sentUs = ArrivalMeter::stampOf(now);
    if (!window_.isFollowing()) {
      window_.follow(now);
      followed_ = frame.number;
      followedChannel_ = index;
    }
  }
  at.unread.push_back(costOf(bytes));
  unreadBytes_ += costOf(bytes);
  transmit(frame, std::exchange(at.reserved, nullptr));
}

void MessageConnection::transmit(Frame frame, SendBuffer* buffer) {
  frame.cookie = options_.cookie;
  frame.from = options_.self;
  frame.windowBytes = static_cast<uint32_t>(window_.bytes());
  // What would wait behind others is told by a frame of its own when it is due.
  if (frame.bytes == 0 || !wire_->isBackedUp()) addReads(frame);
  if (!failure_.isOk()) {
    if (buffer != nullptr) free_.push_back(buffer);
    return;
  }
  ++underWay_;
  wire_->send(frame, buffer);
}

void MessageConnection::sent(SendBuffer* buffer) {
  --underWay_;
  if (buffer != nullptr) free_.push_back(buffer);
}

void MessageConnection::addReads(Frame& frame) {
  if (untold_ == 0) return;
  for (int i = 0; i < kAllChannels && frame.reads < Frame::kMostReads; ++i) {
    Channel& each = channel(i);
    if (each.told == each.read) continue;
    each.told = each.read;
    frame.read[frame.reads++] = {each.read, static_cast<uint8_t>(i), {}};
    --untold_;
  }
  if (untold_ == 0) untoldBytes_ = 0;
}

void MessageConnection::flush() {
  while (untold_ > 0) greet();
}

void MessageConnection::greet() {
  Frame frame;
  frame.kind = FrameKind::kAcknowledge;
  transmit(frame, nullptr);
}

const Arrival* MessageConnection::front(int index) {
  const Channel& at = channel(index);
  if (at.incoming.empty() || !at.incoming.front().isThere) return nullptr;
  return &at.incoming.front().arrival;
}

void MessageConnection::pop(int index) {
  Channel& at = channel(index);
  const Incoming& first = at.incoming.front();
  untoldBytes_ += costOf(first.arrival.bytes);
  wire_->giveBack(first.token);
  at.incoming.pop_front();
  if (at.told == at.read) ++untold_;
  ++at.read;
  const bool isDue =
      at.read - at.told >= kTellAfter || untoldBytes_ >= peerWindowBytes_ / kWindowParts;
  if (isDue) flush();
}

// A peer that is of this communicator, and yet sends what can not be, is of another version.
bool MessageConnection::arrived(const Frame& frame, std::byte* data, void* token) {
  isHeardOf_ = true;
  peerWindowBytes_ = frame.windowBytes;
  learnReads(frame);
  if (frame.kind == FrameKind::kState) learnState(frame, data);
  if (frame.kind != FrameKind::kMessage || frame.channel >= kAllChannels) return false;
  if (frame.bytes >= ArrivalMeter::kLeastBytes && presence_ != nullptr) {
    meter_.add(frame.bytes, frame.sentUs, *presence_);
  }
  Channel& at = channel(frame.channel);
  const uint32_t ahead = frame.number - at.read;
  if (ahead >= kMostAhead) return false;  // read before
  if (at.incoming.size() <= ahead) at.incoming.resize(ahead + size_t{1});
  Incoming& place = at.incoming[ahead];
  if (place.isThere) return false;
  place = {{frame.tag, data, frame.bytes}, token, true};
  return true;
}

void MessageConnection::learnReads(const Frame& frame) {
  for (int i = 0; i < std::min<int>(frame.reads, Frame::kMostReads); ++i) {
    if (frame.read[i].channel >= kAllChannels) continue;
    Channel& at = channel(frame.read[i].channel);
    // Frames overtake each other: an old count is far "ahead".
    const uint32_t more = frame.read[i].count - at.acknowledged;
    if (more > at.unread.size()) continue;
    for (uint32_t k = 0; k < more; ++k) {
      unreadBytes_ -= at.unread.front();
      window_.addRead(at.unread.front());
      at.unread.pop_front();
    }
    const bool isFollowed = window_.isFollowing() && frame.read[i].channel == followedChannel_ &&
                            followed_ - at.acknowledged < more;
    at.acknowledged += more;
    if (isFollowed) window_.wasRead(base::nowNs());
  }
}

void MessageConnection::learnState(const Frame& frame, const std::byte* data) {
  Published theirs;
  if (frame.bytes != sizeof(theirs)) return;
  std::memcpy(static_cast<void*>(&theirs), data, sizeof(theirs));
  SegmentHeader& header = peerSegment_.header();
  // What is older than what was learned already says nothing new.
  const auto known = static_cast<RankState>(header.state.load());
  if (theirs.completedOps < header.completedOps.load() || known != RankState::kRunning) return;
  theirs.writeTo(header);
}

void MessageConnection::publish(bool isUrgent) {
  const int64_t now = base::nowNs();
  if (!isUrgent && now - publishedNs_ < kPublishEveryNs) return;
  const Published mine = Published::of(options_.segment.header());
  if (mine == *published_) return;
  *published_ = mine;
  publishedNs_ = now;
  SendBuffer* buffer = take(sizeof(mine));
  std::memcpy(buffer->data, &mine, sizeof(mine));
  Frame frame;
  frame.kind = FrameKind::kState;
  frame.bytes = sizeof(mine);
  transmit(frame, buffer);
}

void MessageConnection::failed(Status why) {
  if (failure_.isOk()) failure_ = std::move(why);
}

}  // namespace tutti::transports
