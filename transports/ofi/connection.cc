#include "transports/ofi/connection.h"

#include <fmt/format.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_tagged.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "src/base/errors.h"
#include "transports/ofi/provider.h"

namespace tutti::transports::ofi {

using base::Code;
using base::Status;

namespace {

constexpr size_t kMostPayload = ir::Limits::kFifoSlotBytes;
// Payloads up to here are copied out of what is posted, which is too long for them: a window of
// short messages must not hold sixteen times its size.
constexpr size_t kMostShort = 4096;
// Payloads begin at cache lines, their frames right before.
constexpr size_t kAlignment = 64;
constexpr size_t kFrameOffset = 2 * kAlignment - sizeof(Frame);
constexpr size_t kStride = 2 * kAlignment + kMostPayload;
constexpr size_t kShortStride = 2 * kAlignment + kMostShort;
constexpr size_t kPerBlock = 16;
// Posted at any time: what some peers send in a row.
constexpr size_t kPostedPerPeer = 8;
constexpr size_t kLeastPosted = 32;
constexpr size_t kMostPosted = 256;
constexpr int kMostReads =
    8;  // of the completion queue in a row, so that what arrived is worked on

static_assert(sizeof(Frame) <= SendBuffer::kHeadroom && sizeof(Frame) <= 2 * kAlignment);

}  // namespace

base::Result<std::unique_ptr<Port>> Port::open(const Fi& fi, const fi_info& network,
                                               const ContextOptions& options) {
  TUTTI_ASSIGN_OR_RETURN(auto endpoint, Endpoint::open(fi, network));
  std::unique_ptr<Port> port(new Port(std::move(endpoint), options));
  TUTTI_RETURN_IF_ERROR(port->postReceives());
  return port;
}

Port::Port(std::unique_ptr<Endpoint> endpoint, const ContextOptions& options)
    : options_(options), endpoint_(std::move(endpoint)) {
  tag_ = tagOf(options.cookie, endpoint_->tagFormat());
  peers_.resize(static_cast<size_t>(options.segment.size));
  postedGoal_ = std::clamp(kPostedPerPeer * peers_.size(), kLeastPosted, kMostPosted);
  postedGoal_ = std::min(postedGoal_, endpoint_->receiveDepth());
}

// Everything posted ends with the endpoint, but where memory is bound to it: that goes first, and
// nothing may be using it.
Port::~Port() {
  if (endpoint_->isBoundToRegions()) {
    cancelReceives();
  } else {
    endpoint_->closeQueues();
  }
  for (const auto& each : outgoing_) {
    each->region.reset();
    each->keptRegion.reset();
  }
  for (Block& block : blocks_) block.region.reset();
  endpoint_->closeQueues();
}

base::Result<std::unique_ptr<Connection>> Port::connect(ir::Rank peer, std::string_view text) {
  std::string address;
  if (!fromHex(text, address)) {
    return Status(Code::kInternalError, base::kErrInternal,
                  fmt::format("rank {} sent a malformed ofi address", peer));
  }
  TUTTI_ASSIGN_OR_RETURN(const fi_addr_t inserted, endpoint_->insert(address));
  MessageOptions options;
  options.self = options_.rank;
  options.segment = options_.segment;
  options.cookie = options_.cookie;
  options.windowBytes = options_.windowBytes;
  auto connection = std::make_unique<MessageConnection>(options);
  auto wire = std::make_unique<OfiWire>(*this, *connection, peer, inserted);
  peers_[static_cast<size_t>(peer)] = {connection.get(), wire.get()};
  connection->attach(std::move(wire));
  return std::unique_ptr<Connection>(std::move(connection));
}

bool Port::progress() {
  hasArrived_ = false;
  retry();
  poll();
  if (hasArrived_) endpoint_->beBusy();
  return hasArrived_;
}

// A frame counts as sent once the provider needs it no more: what it has then, it or the kernel
// delivers without this process's help.
bool Port::settle() {
  const auto isSending = [](const Peer& peer) {
    return peer.connection != nullptr && peer.connection->isSending();
  };
  if (std::none_of(peers_.begin(), peers_.end(), isSending)) return true;
  retry();
  poll();
  return std::none_of(peers_.begin(), peers_.end(), isSending);
}

bool Port::arm() { return endpoint_->arm(hasToRetry_); }

// ---- Sending ----

Port::Outgoing* Port::takeOutgoing() {
  if (!freeOutgoing_.empty()) {
    Outgoing* outgoing = freeOutgoing_.back();
    freeOutgoing_.pop_back();
    return outgoing;
  }
  return outgoing_.emplace_back(std::make_unique<Outgoing>()).get();
}

// Every Schedule keeps to messages of one slot, for which receives are posted.
void Port::send(OfiWire& wire, const Frame& frame, SendBuffer* buffer) {
  if (frame.bytes > kMostPayload) {
    wire.connection_.failed({Code::kInternalError, base::kErrInternal,
                             fmt::format("a message of {} bytes is longer than a slot of {}",
                                         frame.bytes, kMostPayload)});
    return wire.connection_.sent(buffer);
  }
  Outgoing& outgoing = *takeOutgoing();
  outgoing.wire = &wire;
  outgoing.buffer = buffer;
  outgoing.frame = frame;
  if (buffer != nullptr) {
    std::memcpy(buffer->data - sizeof(frame), static_cast<const void*>(&frame), sizeof(frame));
  }
  if (!wire.waiting_.empty() || !post(outgoing)) {
    wire.waiting_.push_back(&outgoing);
    hasToRetry_ = true;
  }
}

// One piece of memory for frame and payload, which any provider can send (FI_INJECT: it copies what
// it has not sent when the call returns; a completion tells when it has).
bool Port::post(Outgoing& outgoing) {
  OfiWire& wire = *outgoing.wire;
  if (wire.hasFailed_) {
    finish(outgoing);
    return true;
  }
  SendBuffer* buffer = outgoing.buffer;
  iovec piece{&outgoing.frame, sizeof(Frame) + outgoing.frame.bytes};
  if (buffer != nullptr) piece.iov_base = buffer->data - sizeof(Frame);
  const bool isInjected = piece.iov_len <= endpoint_->injectBytes();
  void* descriptor = nullptr;
  if (!isInjected && endpoint_->needsRegions()) {
    auto region = regionOf(outgoing);
    if (!region.isOk()) {
      wire.connection_.failed(region.status());
      finish(outgoing);
      return true;
    }
    descriptor = fi_mr_desc(*region);
  }
  fi_msg_tagged message{};
  message.msg_iov = &piece;
  message.desc = &descriptor;
  message.iov_count = 1;
  message.addr = wire.address_;
  message.tag = tag_;
  message.context = &outgoing.context;
  const uint64_t flags = FI_COMPLETION | (isInjected ? FI_INJECT : 0);
  const ssize_t status = fi_tsendmsg(endpoint_->queues(), &message, flags);
  if (status == -FI_EAGAIN) return false;
  if (status != 0) {
    fail(wire, status);
    finish(outgoing);
  }
  return true;
}

// Registered when first sent, and for as long as the wire lives.
base::Result<fid_mr*> Port::regionOf(Outgoing& outgoing) {
  SendBuffer* buffer = outgoing.buffer;
  Region& region = buffer == nullptr ? outgoing.region : outgoing.wire->regions_[buffer];
  if (region != nullptr) return region.get();
  void* memory = &outgoing.frame;
  size_t bytes = sizeof(Frame);
  if (buffer != nullptr) {
    memory = buffer->memory.get();
    bytes = SendBuffer::kHeadroom + size_t{buffer->capacity};
  }
  TUTTI_ASSIGN_OR_RETURN(region, endpoint_->registerMemory(memory, bytes));
  return region.get();
}

void Port::finish(Outgoing& outgoing) {
  if (outgoing.wire != nullptr) outgoing.wire->connection_.sent(outgoing.buffer);
  outgoing.keptRegion.reset();
  outgoing.keptMemory.reset();
  outgoing.wire = nullptr;
  outgoing.buffer = nullptr;
  freeOutgoing_.push_back(&outgoing);
}

// Each peer's in their order; one that cannot be reached yet does not hold up others.
void Port::retry() {
  if (!hasToRetry_) return;
  hasToRetry_ = false;
  keepPosted();
  for (const Peer& peer : peers_) {
    if (peer.wire == nullptr) continue;
    auto& waiting = peer.wire->waiting_;
    while (!waiting.empty() && post(*waiting.front())) waiting.pop_front();
    hasToRetry_ |= !waiting.empty();
  }
}

// What is still under way must not call it any more, and keeps the memory that it sends from.
void Port::detach(OfiWire& wire) {
  for (Peer& peer : peers_) {
    if (peer.wire == &wire) peer = {};
  }
  for (Outgoing* outgoing : wire.waiting_) {
    outgoing->buffer = nullptr;
    outgoing->wire = nullptr;
    finish(*outgoing);
  }
  for (const auto& outgoing : outgoing_) {
    if (outgoing->wire != &wire) continue;
    outgoing->wire = nullptr;
    SendBuffer* buffer = std::exchange(outgoing->buffer, nullptr);
    if (buffer == nullptr) continue;
    outgoing->keptMemory = std::move(buffer->memory);
    if (const auto found = wire.regions_.find(buffer); found != wire.regions_.end()) {
      outgoing->keptRegion = std::move(found->second);
    }
  }
}

// ---- Receiving ----

Status Port::addIncoming() {
  Block block;
  const size_t bytes = kPerBlock * kStride + kAlignment;
  block.memory = std::make_unique_for_overwrite<std::byte[]>(bytes);
  TUTTI_ASSIGN_OR_RETURN(block.region, endpoint_->registerMemory(block.memory.get(), bytes));
  void* descriptor = block.region == nullptr ? nullptr : fi_mr_desc(block.region.get());
  void* aligned = block.memory.get();
  size_t room = bytes;
  std::align(kAlignment, kPerBlock * kStride, aligned, room);
  for (size_t i = 0; i < kPerBlock; ++i) {
    Incoming& made = *incoming_.emplace_back(std::make_unique<Incoming>());
    made.isReceive = true;
    made.frame = static_cast<std::byte*>(aligned) + i * kStride + kFrameOffset;
    made.descriptor = descriptor;
    freeIncoming_.push_back(&made);
  }
  blocks_.push_back(std::move(block));
  return {};
}

// As many as there should be, or as the provider takes for now.
Status Port::postReceives() {
  while (posted_ < postedGoal_) {
    if (freeIncoming_.empty()) TUTTI_RETURN_IF_ERROR(addIncoming());
    Incoming& incoming = *freeIncoming_.back();
    const ssize_t status =
        fi_trecv(endpoint_->queues(), incoming.frame, sizeof(Frame) + kMostPayload,
                 incoming.descriptor, FI_ADDR_UNSPEC, tag_, 0, &incoming.context);
    if (status == -FI_EAGAIN) {
      hasToRetry_ = true;
      return {};
    }
    if (status != 0) return failure(endpoint_->fi(), "receiving", status);
    freeIncoming_.pop_back();
    incoming.isPosted = true;
    ++posted_;
  }
  return {};
}

// Strangers are dropped here: they do not know the cookie.
bool Port::isOurs(const Frame& frame, size_t bytes) const {
  const auto from = static_cast<size_t>(frame.from);
  return frame.from >= 0 && from < peers_.size() && peers_[from].connection != nullptr &&
         isSame(frame.cookie, options_.cookie) && frame.bytes == bytes - sizeof(Frame);
}

void Port::arrived(Incoming& incoming, size_t bytes) {
  Incoming* given = &incoming;
  Frame frame;
  if (bytes >= sizeof(frame)) {
    std::memcpy(static_cast<void*>(&frame), incoming.frame, sizeof(frame));
    if (isOurs(frame, bytes)) {
      hasArrived_ = true;
      if (frame.kind == FrameKind::kMessage && frame.bytes <= kMostShort) {
        given = takeShort();
        std::memcpy(given->frame, incoming.frame, bytes);
        giveBack(incoming);
      }
      std::byte* payload = given->frame + sizeof(frame);
      if (peers_[static_cast<size_t>(frame.from)].connection->arrived(frame, payload, given)) {
        return;
      }
    }
  }
  giveBack(*given);
}

Port::Incoming* Port::takeShort() {
  if (freeShort_.empty()) {
    Block block;
    block.memory = std::make_unique_for_overwrite<std::byte[]>(kPerBlock * kShortStride);
    for (size_t i = 0; i < kPerBlock; ++i) {
      Incoming& made = *incoming_.emplace_back(std::make_unique<Incoming>());
      made.isShort = true;
      made.frame = block.memory.get() + i * kShortStride + kFrameOffset;
      freeShort_.push_back(&made);
    }
    blocks_.push_back(std::move(block));
  }
  Incoming* incoming = freeShort_.back();
  freeShort_.pop_back();
  return incoming;
}

void Port::giveBack(Incoming& incoming) {
  (incoming.isShort ? freeShort_ : freeIncoming_).push_back(&incoming);
}

void Port::cancelReceives() {
  postedGoal_ = 0;
  for (const auto& each : incoming_) {
    if (each->isPosted) fi_cancel(&endpoint_->queues()->fid, &each->context);
  }
  poll();
}

// ---- Completions ----

void Port::poll() {
  constexpr size_t kBatch = 32;
  fi_cq_msg_entry entries[kBatch];
  for (int reads = 0; reads < kMostReads; ++reads) {
    const ssize_t count = endpoint_->readCompletions(entries);
    if (count == -FI_EAVAIL) {
      readError();
    } else if (count > 0) {
      for (const auto& entry : std::span(entries, static_cast<size_t>(count))) complete(entry);
    } else if (count < 0 && count != -FI_EAGAIN) {
      return failAll(failure(endpoint_->fi(), "reading the completion queue", count));
    } else {
      return;
    }
    keepPosted();
    if (count > 0 && static_cast<size_t>(count) < kBatch) return;
  }
}

void Port::complete(const fi_cq_msg_entry& entry) {
  auto* operation = static_cast<Operation*>(entry.op_context);
  if (!operation->isReceive) return finish(*static_cast<Outgoing*>(operation));
  auto& incoming = *static_cast<Incoming*>(operation);
  incoming.isPosted = false;
  --posted_;
  arrived(incoming, entry.len);
}

void Port::keepPosted() {
  if (const Status posting = postReceives(); !posting.isOk()) failAll(posting);
}

// A receive that failed was somebody's who sends what is too long, or was cancelled.
void Port::readError() {
  fi_cq_err_entry entry{};
  if (fi_cq_readerr(endpoint_->completions(), &entry, 0) != 1) return;
  auto* operation = static_cast<Operation*>(entry.op_context);
  if (operation == nullptr) return;
  if (operation->isReceive) {
    auto& incoming = *static_cast<Incoming*>(operation);
    incoming.isPosted = false;
    --posted_;
    return giveBack(incoming);
  }
  auto& outgoing = *static_cast<Outgoing*>(operation);
  if (outgoing.wire != nullptr) fail(*outgoing.wire, -entry.err);
  finish(outgoing);
}

void Port::fail(OfiWire& wire, int64_t error) {
  wire.hasFailed_ = true;
  wire.connection_.failed({Code::kRemoteError, base::kErrTransportFailed,
                           fmt::format("rank {} is unreachable: {}", wire.peer_,
                                       endpoint_->fi().errorText(static_cast<int>(-error)))});
}

void Port::failAll(const Status& why) {
  for (const Peer& peer : peers_) {
    if (peer.connection != nullptr) peer.connection->failed(why);
  }
}

}  // namespace tutti::transports::ofi
