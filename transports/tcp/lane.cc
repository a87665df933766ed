#include "transports/tcp/lane.h"

#include <fmt/format.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "src/base/clock.h"
#include "src/base/errors.h"

namespace tutti::transports::tcp {

using base::Code;
using base::Status;

namespace {

// Beyond headers it takes the beginnings of payloads, which are then copied: few bytes.
constexpr size_t kStagingBytes = 4096;
constexpr size_t kMostFramesAtOnce = 16;
constexpr size_t kPiecesOfFrame = 4;  // header, its tag, payload, its tag
// What one call takes, so that the engine works on it while it is in the cache.
constexpr uint64_t kMostAtOnce = 512 << 10;
constexpr uint32_t kLongestFrame = 64 << 20;
constexpr uint64_t kTellAfterBytes = 128 << 10;
constexpr int kMostUnsent = 128 << 10;
constexpr int64_t kMostCloseNs = 2'000'000'000;

LaneHeader pack(const Frame& frame) {
  LaneHeader header;
  std::memcpy(header.frame.data(), reinterpret_cast<const std::byte*>(&frame) + sizeof(Cookie),
              header.frame.size());
  return header;
}

Frame unpack(const LaneHeader& header) {
  Frame frame;
  std::memcpy(reinterpret_cast<std::byte*>(&frame) + sizeof(Cookie), header.frame.data(),
              header.frame.size());
  return frame;
}

Frame emptyFrame() {
  Frame frame;
  frame.kind = FrameKind::kAcknowledge;
  return frame;
}

Status unreachable(std::string_view why) {
  return {Code::kRemoteError, base::kErrTransportFailed, std::string(why)};
}

}  // namespace

Lane::Lane(base::UniqueFd socket, Poller& poller, Owner& owner, const LaneKeys& keys,
           bool isOneOfSeveral)
    : socket_(std::move(socket)),
      poller_(poller),
      owner_(owner),
      isOneOfSeveral_(isOneOfSeveral),
      staging_(kStagingBytes) {
  if (keys.isEncrypted) {
    sealer_.emplace(keys.send);
    opener_.emplace(keys.receive);
  }
  // Room is made by what leaves the machine, not by what the kernel would keep for later.
  setsockopt(socket_.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kMostUnsent, sizeof(kMostUnsent));
  if (!poller_.add(socket_.get(), this, false)) breakOff(unreachable(std::strerror(errno)));
}

// A socket that is closed with something unread in it takes back what was sent.
Lane::~Lane() {
  if (!socket_.isOpen()) return;
  poller_.remove(socket_.get());
  const int64_t until = base::nowNs() + kMostCloseNs;
  shutdown(socket_.get(), SHUT_WR);
  int unsent = 0;
  while (ioctl(socket_.get(), SIOCOUTQ, &unsent) == 0 && unsent > 0 && base::nowNs() < until) {
    pollfd descriptor{socket_.get(), POLLIN, 0};
    poll(&descriptor, 1, 1);
    if (recv(socket_.get(), staging_.data(), staging_.size(), MSG_DONTWAIT) == 0) break;
  }
  while (recv(socket_.get(), staging_.data(), staging_.size(), MSG_DONTWAIT) > 0) {
  }
}

void Lane::breakOff(Status why) {
  if (isBroken()) return;
  failure_ = std::move(why);
  poller_.remove(socket_.get());
  socket_.reset();
}

std::vector<Outgoing> Lane::leftovers() {
  std::vector<Outgoing> left;
  for (auto* each : {&unheard_, &queue_}) {
    for (Sending& sending : *each) {
      const Frame& frame = sending.outgoing.frame;
      if (sealer_.has_value() && frame.bytes > 0) {
        sealer_->undo(sending.outgoing.buffer->data, frame.bytes, sending.payloadNumber);
      }
      left.push_back(sending.outgoing);
    }
    each->clear();
  }
  return left;
}

void Lane::send(const Frame& frame, SendBuffer* buffer) { enqueue(frame, buffer, false); }

// What has no payload says what was read: the peer may wait for that to send more, so it goes
// before what waits for room. Not where it is encrypted: seals are numbered in order.
Lane::Sending& Lane::placeFor(const Frame& frame) {
  if (frame.bytes > 0 || sealer_.has_value()) return queue_.emplace_back();
  const size_t begun = writtenOfFirst_ > 0 ? 1 : 0;
  const auto isPayload = [](const Sending& each) { return each.outgoing.frame.bytes > 0; };
  const auto place =
      std::find_if(queue_.begin() + static_cast<ptrdiff_t>(std::min(begun, queue_.size())),
                   queue_.end(), isPayload);
  return *queue_.emplace(place);
}

void Lane::enqueue(const Frame& frame, SendBuffer* buffer, bool asks) {
  Sending& sending = placeFor(frame);
  sending.outgoing = {frame, buffer};
  sending.header = pack(frame);
  sending.header.got = got_;
  sending.header.asks = asks ? 1 : 0;
  untoldBytes_ = 0;
  isAsked_ = false;
  if (sealer_.has_value()) {
    auto* header = reinterpret_cast<std::byte*>(&sending.header);
    sending.headerTag = sealer_->seal(header, sizeof(sending.header));
    sending.payloadNumber = sealer_->next();
    if (frame.bytes > 0) sending.payloadTag = sealer_->seal(buffer->data, frame.bytes);
  }
  outstandingBytes_ += frame.bytes;
  if (isOneOfSeveral_ && frame.bytes > 0 && waitingSinceNs_ == 0) waitingSinceNs_ = base::nowNs();
  if (queue_.size() == 1) flush();
}

// The pieces of a frame, without what has been written of the first in the queue.
size_t Lane::fill(Sending& sending, iovec* pieces) const {
  const uint32_t bytes = sending.outgoing.frame.bytes;
  const iovec all[kPiecesOfFrame] = {
      {&sending.header, sizeof(LaneHeader)},
      {sending.headerTag.data(), sealer_.has_value() ? kTagBytes : 0},
      {bytes > 0 ? sending.outgoing.buffer->data : nullptr, bytes},
      {sending.payloadTag.data(), sealer_.has_value() && bytes > 0 ? kTagBytes : 0}};
  size_t skip = &sending == &queue_.front() ? writtenOfFirst_ : 0;
  size_t count = 0;
  for (const iovec& piece : all) {
    const size_t skipped = std::min(skip, piece.iov_len);
    skip -= skipped;
    if (skipped == piece.iov_len) continue;
    pieces[count++] = {static_cast<std::byte*>(piece.iov_base) + skipped, piece.iov_len - skipped};
  }
  return count;
}

void Lane::written(size_t bytes) {
  while (bytes > 0) {
    Sending& first = queue_.front();
    const uint32_t payload = first.outgoing.frame.bytes;
    const size_t tags = sealer_.has_value() ? kTagBytes * (payload > 0 ? 2 : 1) : 0;
    const size_t whole = sizeof(LaneHeader) + payload + tags;
    const size_t part = std::min(bytes, whole - writtenOfFirst_);
    writtenOfFirst_ += part;
    bytes -= part;
    if (writtenOfFirst_ < whole) return;
    writtenOfFirst_ = 0;
    if (isOneOfSeveral_) {
      unheard_.push_back(first);
      queue_.pop_front();
      continue;
    }
    outstandingBytes_ -= payload;
    SendBuffer* buffer = first.outgoing.buffer;
    queue_.pop_front();
    owner_.sent(buffer);
  }
}

void Lane::want(bool isWriting) {
  if (isWriting == isWriting_) return;
  isWriting_ = isWriting;
  poller_.change(socket_.get(), this, isWriting);
}

bool Lane::flush() {
  while (!isBroken() && !queue_.empty()) {
    std::array<iovec, kMostFramesAtOnce * kPiecesOfFrame> pieces;
    size_t count = 0;
    for (size_t i = 0; i < std::min(queue_.size(), kMostFramesAtOnce); ++i) {
      count += fill(queue_[i], pieces.data() + count);
    }
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = count;
    const ssize_t sent = sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
      want(true);
      return false;
    }
    // What came before the connection broke is still to be read.
    if (sent < 0) {
      const int error = errno;
      while (receive()) {
      }
      breakOff(unreachable(std::strerror(error)));
      return true;
    }
    written(static_cast<size_t>(sent));
  }
  if (!isBroken()) want(false);
  return true;
}

void Lane::onReady(uint32_t events) {
  if ((events & EPOLLOUT) != 0) flush();
  if ((events & ~uint32_t{EPOLLOUT}) != 0) receive();
}

bool Lane::receive() {
  bool hasArrived = false;
  uint64_t taken = 0;
  while (!isBroken() && taken < kMostAtOnce) {
    iovec pieces[2];
    int count = 0;
    size_t room = 0;
    if (incoming_.packet != nullptr) {
      pieces[count++] = {incoming_.packet->memory.get() + incoming_.have,
                         incoming_.need - incoming_.have};
      room += incoming_.need - incoming_.have;
    }
    pieces[count++] = {staging_.data() + stagedTo_, staging_.size() - stagedTo_};
    room += staging_.size() - stagedTo_;
    const ssize_t got = readv(socket_.get(), pieces, count);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got <= 0) {
      isClosedByPeer_ = got == 0;
      breakOff(unreachable(got == 0 ? "it closed the connection" : std::strerror(errno)));
      break;
    }
    size_t rest = static_cast<size_t>(got);
    taken += rest;
    if (incoming_.packet != nullptr) {
      const auto part = std::min(rest, size_t{incoming_.need - incoming_.have});
      incoming_.have += static_cast<uint32_t>(part);
      rest -= part;
    }
    stagedTo_ += rest;
    hasArrived |= parse();
    if (static_cast<size_t>(got) < room) break;
  }
  return hasArrived;
}

// Works on what is staged. True: some frame is complete.
bool Lane::parse() {
  bool hasArrived = false;
  while (!isBroken()) {
    if (incoming_.packet == nullptr) {
      if (stagedTo_ - stagedFrom_ < headerBytes() || !startFrame()) break;
    }
    if (incoming_.packet != nullptr) {
      const auto part = std::min<size_t>(incoming_.need - incoming_.have, stagedTo_ - stagedFrom_);
      std::memcpy(incoming_.packet->memory.get() + incoming_.have, staging_.data() + stagedFrom_,
                  part);
      incoming_.have += static_cast<uint32_t>(part);
      stagedFrom_ += part;
    }
    if (incoming_.have < incoming_.need) break;
    hasArrived |= finishFrame();
  }
  std::memmove(staging_.data(), staging_.data() + stagedFrom_, stagedTo_ - stagedFrom_);
  stagedTo_ -= stagedFrom_;
  stagedFrom_ = 0;
  return hasArrived;
}

bool Lane::startFrame() {
  LaneHeader header;
  std::byte* staged = staging_.data() + stagedFrom_;
  const bool isGenuine =
      !opener_.has_value() || opener_->open(staged, sizeof(header), staged + sizeof(header));
  std::memcpy(&header, staged, sizeof(header));
  stagedFrom_ += headerBytes();
  incoming_.frame = unpack(header);
  if (!isGenuine || incoming_.frame.bytes > kLongestFrame) {
    breakOff(unreachable("what came from it is not what it sent"));
    return false;
  }
  learn(header.got);
  isAsked_ |= header.asks != 0;
  const uint32_t bytes = incoming_.frame.bytes;
  incoming_.have = 0;
  incoming_.need = bytes == 0 ? 0 : bytes + (opener_.has_value() ? uint32_t{kTagBytes} : 0);
  incoming_.packet = bytes == 0 ? nullptr : owner_.room(incoming_.need);
  return true;
}

bool Lane::finishFrame() {
  Packet* packet = std::exchange(incoming_.packet, nullptr);
  const Frame& frame = incoming_.frame;
  if (packet != nullptr && opener_.has_value()) {
    std::byte* data = packet->memory.get();
    if (!opener_->open(data, frame.bytes, data + frame.bytes)) {
      incoming_.packet = packet;
      breakOff(unreachable("what came from it is not what it sent"));
      return false;
    }
  }
  incoming_.have = incoming_.need = 0;
  ++got_;
  untoldBytes_ += frame.bytes;
  owner_.arrived(frame, packet);
  return true;
}

void Lane::learn(uint32_t got) {
  if (!isOneOfSeveral_) return;
  const uint32_t more = got - acknowledged_;
  if (more == 0 || more > unheard_.size()) return;
  acknowledged_ = got;
  lastProgressNs_ = base::nowNs();
  for (uint32_t i = 0; i < more; ++i) {
    const Outgoing outgoing = unheard_.front().outgoing;
    unheard_.pop_front();
    outstandingBytes_ -= outgoing.frame.bytes;
    owner_.sent(outgoing.buffer);
  }
  waitingSinceNs_ = outstandingBytes_ == 0 ? 0 : lastProgressNs_;
}

// An acknowledgement is a frame as well: of itself it calls for none.
void Lane::acknowledge(bool isTick) {
  if (!isOneOfSeveral_ || isBroken()) return;
  const bool isDue = isTick ? isAsked_ || untoldBytes_ > 0 : untoldBytes_ >= kTellAfterBytes;
  if (isDue) enqueue(emptyFrame(), nullptr, false);
}

void Lane::ask() { enqueue(emptyFrame(), nullptr, true); }

}  // namespace tutti::transports::tcp
