#include "transports/net_plugin/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <mutex>
#include <utility>

#include "src/base/errors.h"
#include "src/base/log.h"

namespace tutti::transports::net_plugin {

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
constexpr size_t kSlotStride = 2 * kAlignment;
constexpr int kPerBlock = 8;
static_assert(sizeof(Frame) <= SendBuffer::kHeadroom && sizeof(Frame) <= kSlotStride);

std::byte* alignedIn(std::byte* memory) {
  const auto address = reinterpret_cast<uintptr_t>(memory);
  return memory + (kAlignment - address % kAlignment) % kAlignment;
}

// For memory of communications that a plugin failed to close: it may still be using it.
void keepForGood(std::vector<std::unique_ptr<std::byte[]>> memory) {
  static std::mutex mutex;
  static auto& kept = *new std::vector<std::unique_ptr<std::byte[]>>;
  const std::lock_guard lock(mutex);
  for (auto& each : memory) kept.push_back(std::move(each));
}

}  // namespace

// ---- Connecting ----

Status PluginWire::listen() {
  alignas(16) std::array<std::byte, abi::kHandleBytes> handle = {};
  const auto result =
      plugin().listen(port_.session_->context(), port_.device_.index, handle.data(), listening_);
  if (result != abi::kSuccess) return failure(plugin(), "listen", result);
  if (listening_ == nullptr) {
    return {Code::kSystemError, base::kErrTransportFailed,
            fmt::format("net plugin {}: listen succeeded and gave nothing", plugin().name())};
  }
  // Most leave most of it as it was; what is not sent is zero.
  size_t used = handle.size();
  while (used > 1 && handle[used - 1] == std::byte{0}) --used;
  toPost_ = port_.posted_;
  introduction_ =
      fmt::format("{} {}", toPost_, toHex({reinterpret_cast<const char*>(handle.data()), used}));
  return {};
}

// "16 66a4...": how many receives are posted, and the peer's handle.
void PluginWire::admit(const std::string& introduction) {
  const size_t blank = introduction.find(' ');
  const std::string_view text = introduction;
  std::string bytes;
  const bool isRead =
      blank != std::string::npos &&
      std::from_chars(text.data(), text.data() + blank, peerPosts_).ec == std::errc() &&
      peerPosts_ > 0 && peerPosts_ <= abi::kMostRequests &&
      fromHex(text.substr(blank + 1), bytes) && bytes.size() <= peerHandle_.size();
  if (!isRead) {
    hasSendFailed_ = hasReceiveFailed_ = true;
    connection_.failed({Code::kInternalError, base::kErrInternal,
                        fmt::format("rank {} sent a malformed handle of its net plugin", peer_)});
    return;
  }
  std::memcpy(peerHandle_.data(), bytes.data(), bytes.size());
  hasPeerHandle_ = true;
}

// Both directions at once: of some plugins neither is done before the peer has begun the other.
void PluginWire::establish() {
  if (!hasPeerHandle_) return;
  if (sending_ == nullptr && !hasSendFailed_) {
    const auto result = plugin().connect(port_.session_->context(), port_.device_.index,
                                         peerHandle_.data(), sending_);
    if (result != abi::kSuccess) return failSends("connect", result);
    if (sending_ != nullptr) startSending();
  }
  if (receiving_ == nullptr && !hasReceiveFailed_) {
    const auto result = plugin().accept(listening_, receiving_);
    if (result != abi::kSuccess) return failReceives("accept", result);
    if (receiving_ != nullptr) startReceiving();
  }
}

void PluginWire::startSending() {
  const size_t bytes = kSlotStride * static_cast<size_t>(port_.mostSends_) + kAlignment;
  slots_.memory = std::make_unique<std::byte[]>(bytes);
  const auto result = plugin().registerMemory(sending_, slots_.memory.get(), bytes, slots_.region);
  if (result != abi::kSuccess) return failSends("regMr", result);
  for (int slot = port_.mostSends_ - 1; slot >= 0; --slot) freeSlots_.push_back(slot);
}

// Nobody else may come by the handle.
void PluginWire::startReceiving() {
  plugin().close(Side::kListen, std::exchange(listening_, nullptr));
  postReceives();
}

// ---- Sending ----

// Every Schedule keeps to messages of one slot, for which receives are posted.
void PluginWire::send(const Frame& frame, SendBuffer* buffer) {
  if (hasSendFailed_) return connection_.sent(buffer);
  if (frame.bytes > kMostPayload) {
    connection_.failed({Code::kInternalError, base::kErrInternal,
                        fmt::format("a message of {} bytes is longer than a slot of {}",
                                    frame.bytes, kMostPayload)});
    return connection_.sent(buffer);
  }
  waiting_.push_back({frame, buffer});
  const auto state = port_.options_.segment.header().state.load(std::memory_order_relaxed);
  if (frame.kind == FrameKind::kState && state == static_cast<uint32_t>(RankState::kLeft)) {
    sendFillers();
  }
  if (sending_ != nullptr) pushSends();
}

// The frame that says so takes one of them.
void PluginWire::sendFillers() {
  Frame frame;
  frame.cookie = port_.options_.cookie;
  frame.kind = FrameKind::kAcknowledge;
  frame.from = port_.options_.rank;
  for (int i = 1; i < peerPosts_; ++i) {
    waiting_.push_back({.frame = frame, .isFiller = true});
  }
}

bool PluginWire::isSettled() const {
  const bool isWaiting = hasPeerLeft() && !hasReceiveFailed_ && toPost_ > 0;
  return !connection_.isSending() && waiting_.empty() && underWay_.empty() && !isWaiting;
}

void PluginWire::pushSends() {
  establish();
  retireSends();
  bool hasPosted = false;
  while (!hasSendFailed_ && sending_ != nullptr && !waiting_.empty() && post(waiting_.front())) {
    underWay_.push_back(waiting_.front());
    waiting_.pop_front();
    hasPosted = true;
  }
  // Plugins over sockets send when they are asked how far they are, and not before.
  if (hasPosted) retireSends();
  if (hasSendFailed_) giveUpSends();
}

bool PluginWire::post(Outgoing& outgoing) {
  if (underWay_.size() >= static_cast<size_t>(port_.mostSends_)) return false;
  std::byte* data = nullptr;
  void* region = slots_.region;
  const Frame& frame = outgoing.frame;
  if (outgoing.buffer != nullptr) {
    data = outgoing.buffer->data - sizeof(frame);
    region = regionOf(*outgoing.buffer);
    if (hasSendFailed_) return false;
  } else {
    if (outgoing.slot < 0) {
      outgoing.slot = freeSlots_.back();
      freeSlots_.pop_back();
    }
    data = alignedIn(slots_.memory.get()) + kSlotStride * static_cast<size_t>(outgoing.slot);
  }
  std::memcpy(data, static_cast<const void*>(&frame), sizeof(frame));
  const auto result =
      plugin().send(sending_, data, sizeof(frame) + frame.bytes, region, outgoing.request);
  if (result != abi::kSuccess) failSends("isend", result);
  return result == abi::kSuccess && outgoing.request != nullptr;
}

// Registered when first sent, and for as long as the wire lives.
void* PluginWire::regionOf(SendBuffer& buffer) {
  const auto [at, isNew] = regions_.try_emplace(&buffer, nullptr);
  if (!isNew) return at->second;
  const size_t bytes = SendBuffer::kHeadroom + size_t{buffer.capacity};
  const auto result = plugin().registerMemory(sending_, buffer.memory.get(), bytes, at->second);
  if (result != abi::kSuccess) {
    regions_.erase(at);
    failSends("regMr", result);
    return nullptr;
  }
  return at->second;
}

// In their order, as they are tested in NCCL.
void PluginWire::retireSends() {
  while (!hasSendFailed_ && !underWay_.empty()) {
    const Outgoing& oldest = underWay_.front();
    bool isDone = false;
    size_t bytes = 0;
    const auto result = plugin().test(oldest.request, isDone, bytes);
    if (result != abi::kSuccess) return failSends("sending", result);
    if (!isDone) return;
    if (oldest.slot >= 0) freeSlots_.push_back(oldest.slot);
    const bool isFiller = oldest.isFiller;
    SendBuffer* buffer = oldest.buffer;
    underWay_.pop_front();
    if (!isFiller) connection_.sent(buffer);
  }
}

// What has arrived is still taken: the peer may have gone after it did its part.
void PluginWire::failSends(std::string_view what, abi::Result result) {
  hasSendFailed_ = true;
  tellFailure(what, result);
}

void PluginWire::failReceives(std::string_view what, abi::Result result) {
  hasReceiveFailed_ = true;
  tellFailure(what, result);
}

void PluginWire::tellFailure(std::string_view what, abi::Result result) {
  connection_.failed({Code::kRemoteError, base::kErrTransportFailed,
                      fmt::format("rank {} is unreachable: net plugin {}: {}: {}", peer_,
                                  plugin().name(), what, textOf(result))});
}

// What the plugin has taken it may still be reading: the memory is kept, and the buffer gets other.
void PluginWire::giveUpSends() {
  for (Outgoing& each : std::exchange(waiting_, {})) {
    if (!each.isFiller) connection_.sent(each.buffer);
  }
  for (Outgoing& each : std::exchange(underWay_, {})) {
    if (SendBuffer* buffer = each.buffer; buffer != nullptr) {
      const size_t bytes = SendBuffer::kHeadroom + size_t{buffer->capacity};
      kept_.push_back(
          std::exchange(buffer->memory, std::make_unique_for_overwrite<std::byte[]>(bytes)));
      buffer->data = buffer->memory.get() + SendBuffer::kHeadroom;
    }
    if (!each.isFiller) connection_.sent(each.buffer);
  }
}

// ---- Receiving ----

bool PluginWire::progress() {
  pushSends();
  return takeArrivals();
}

PluginWire::Incoming* PluginWire::takeRoom() {
  if (freeIncoming_.empty()) {
    Block block;
    const size_t bytes = kPerBlock * kStride + kAlignment;
    block.memory = std::make_unique_for_overwrite<std::byte[]>(bytes);
    const auto result =
        plugin().registerMemory(receiving_, block.memory.get(), bytes, block.region);
    if (result != abi::kSuccess) {
      failReceives("regMr", result);
      return nullptr;
    }
    std::byte* first = alignedIn(block.memory.get()) + kFrameOffset;
    for (size_t i = 0; i < kPerBlock; ++i) {
      auto& made = *incoming_.emplace_back(std::make_unique<Incoming>());
      made.frame = first + i * kStride;
      made.region = block.region;
      freeIncoming_.push_back(&made);
    }
    blocks_.push_back(std::move(block));
  }
  Incoming* incoming = freeIncoming_.back();
  freeIncoming_.pop_back();
  return incoming;
}

// As many as there should be, or as the plugin takes for now.
void PluginWire::postReceives() {
  while (!hasReceiveFailed_ && posted_.size() < static_cast<size_t>(toPost_)) {
    Incoming* incoming = takeRoom();
    if (incoming == nullptr) return;
    incoming->request = nullptr;
    // What came before must not pass for what comes: not all plugins say how much came.
    std::memset(incoming->frame, 0, sizeof(Frame));
    const auto result = plugin().receive(receiving_, incoming->frame, sizeof(Frame) + kMostPayload,
                                         incoming->region, incoming->request);
    if (result == abi::kSuccess && incoming->request != nullptr) {
      posted_.push_back(incoming);
      continue;
    }
    freeIncoming_.push_back(incoming);
    if (result != abi::kSuccess) failReceives("irecv", result);
    return;
  }
}

bool PluginWire::hasPeerLeft() const {
  const auto state = connection_.segment().header().state.load(std::memory_order_relaxed);
  return state == static_cast<uint32_t>(RankState::kLeft);
}

bool PluginWire::takeArrivals() {
  if (receiving_ == nullptr) return false;
  bool hasArrived = false;
  for (int taken = 0; !hasReceiveFailed_ && !posted_.empty() && taken < port_.posted_; ++taken) {
    Incoming& oldest = *posted_.front();
    bool isDone = false;
    size_t bytes = 0;
    const auto result = plugin().test(oldest.request, isDone, bytes);
    if (result != abi::kSuccess) {
      failReceives("receiving", result);
      break;
    }
    if (!isDone) break;
    posted_.pop_front();
    hasArrived = true;
    arrived(oldest, bytes);
    // What follows are fillers.
    if (hasPeerLeft()) --toPost_;
    postReceives();
  }
  postReceives();
  return hasArrived;
}

// Strangers are dropped here: they do not know the cookie.
bool PluginWire::isOurs(const Frame& frame, size_t bytes) const {
  return frame.from == peer_ && isSame(frame.cookie, port_.options_.cookie) &&
         frame.bytes <= kMostPayload &&
         (bytes == kUnknownBytes || bytes == sizeof(Frame) + frame.bytes);
}

void PluginWire::arrived(Incoming& incoming, size_t bytes) {
  Incoming* given = &incoming;
  Frame frame;
  std::memcpy(static_cast<void*>(&frame), incoming.frame, sizeof(frame));
  if (isOurs(frame, bytes)) {
    if (frame.kind == FrameKind::kMessage && frame.bytes <= kMostShort) {
      given = takeShort();
      std::memcpy(given->frame, incoming.frame, sizeof(frame) + frame.bytes);
      giveBack(&incoming);
    }
    if (connection_.arrived(frame, given->frame + sizeof(frame), given)) return;
  }
  giveBack(given);
}

PluginWire::Incoming* PluginWire::takeShort() {
  if (freeShort_.empty()) {
    Block block;
    block.memory =
        std::make_unique_for_overwrite<std::byte[]>(kPerBlock * kShortStride + kAlignment);
    std::byte* first = alignedIn(block.memory.get()) + kFrameOffset;
    for (size_t i = 0; i < kPerBlock; ++i) {
      auto& made = *incoming_.emplace_back(std::make_unique<Incoming>());
      made.isShort = true;
      made.frame = first + i * kShortStride;
      freeShort_.push_back(&made);
    }
    blocks_.push_back(std::move(block));
  }
  Incoming* incoming = freeShort_.back();
  freeShort_.pop_back();
  return incoming;
}

void PluginWire::giveBack(void* token) {
  auto* incoming = static_cast<Incoming*>(token);
  (incoming->isShort ? freeShort_ : freeIncoming_).push_back(incoming);
}

// ---- The end ----

// A connection that is not made yet can not be given up: a plugin has no call for that, and keeps
// what it has of it.
PluginWire::~PluginWire() {
  for (PluginWire*& wire : port_.wires_) {
    if (wire == this) wire = nullptr;
  }
  giveUpSends();
  closeSending();
  closeReceiving();
  if (listening_ != nullptr) plugin().close(Side::kListen, listening_);
}

void PluginWire::closeSending() {
  if (sending_ == nullptr) return;
  for (const auto& [buffer, region] : regions_) plugin().deregister(sending_, region);
  if (slots_.region != nullptr) plugin().deregister(sending_, slots_.region);
  const auto result = plugin().close(Side::kSend, sending_);
  if (result == abi::kSuccess) return;
  TUTTI_LOG_INFO(kNet, "{}", failure(plugin(), "closeSend", result).text());
  kept_.push_back(std::move(slots_.memory));
  keepForGood(std::move(kept_));
}

void PluginWire::closeReceiving() {
  if (receiving_ == nullptr) return;
  for (const Block& block : blocks_) {
    if (block.region != nullptr) plugin().deregister(receiving_, block.region);
  }
  const auto result = plugin().close(Side::kReceive, receiving_);
  if (result == abi::kSuccess) return;
  TUTTI_LOG_INFO(kNet, "{}", failure(plugin(), "closeRecv", result).text());
  std::vector<std::unique_ptr<std::byte[]>> memory;
  for (Block& block : blocks_) memory.push_back(std::move(block.memory));
  keepForGood(std::move(memory));
}

}  // namespace tutti::transports::net_plugin
