#include "src/bootstrap/channel.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "src/base/clock.h"
#include "src/base/descriptors.h"
#include "src/base/errors.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;

namespace {

constexpr size_t kReadBytes = 64 << 10;
// Bytes read for one event before other sockets get their turn.
constexpr size_t kReadsPerEvent = 16;
constexpr size_t kSealAhead = 64 << 10;
constexpr int64_t kLingerNs = 1'000'000'000;

}  // namespace

Channel::Channel(Reactor& reactor, base::UniqueFd fd, const FrameKeys& keys)
    : reactor_(reactor),
      fd_(std::move(fd)),
      sealer_(keys.send, keys.isEncrypted),
      opener_(keys.receive, keys.isEncrypted),
      lastHeardNs_(base::nowNs()) {
  sockaddr_storage peer;
  socklen_t length = sizeof peer;
  if (getpeername(fd_.get(), reinterpret_cast<sockaddr*>(&peer), &length) == 0) {
    peerAddress_ = Address::fromSocket(reinterpret_cast<sockaddr*>(&peer));
  }
}

Channel::~Channel() { close(); }

void Channel::listen(std::weak_ptr<Listener> listener) {
  listener_ = std::move(listener);
  if (watch_ != 0 || !isOpen()) return;
  const std::weak_ptr<Channel> self = weak_from_this();
  watch_ = reactor_.watch(fd_.get(), EPOLLIN, [self](uint32_t events) {
    if (const auto channel = self.lock()) channel->onEvents(events);
  });
}

void Channel::send(uint8_t type, Payload payload) {
  if (!isOpen() || isLingering_) return;
  queue_.push_back({type, std::move(payload)});
  flush();
}

void Channel::send(uint8_t type, std::string payload) {
  send(type, std::make_shared<const std::string>(std::move(payload)));
}

void Channel::sendUrgent(uint8_t type, Payload payload) {
  if (!isOpen() || isLingering_) return;
  queue_.push_front({type, std::move(payload)});
  flush();
}

void Channel::close() {
  if (!isOpen()) return;
  reactor_.cancel(lingerTimer_);
  reactor_.unwatch(watch_);
  watch_ = 0;
  fd_.reset();
  queue_.clear();
}

void Channel::closeAfterFlush() {
  if (!isOpen() || isLingering_) return;
  isLingering_ = true;
  listener_.reset();
  // The timer owns the channel. It waits for the other side's end of file, because closing with
  // unread data would reset the connection and lose what is still on its way to the peer.
  const auto self = shared_from_this();
  lingerTimer_ = reactor_.at(base::nowNs() + kLingerNs, [self] { self->close(); });
  if (isFlushed()) shutdown(fd_.get(), SHUT_WR);
}

void Channel::onEvents(uint32_t events) {
  const auto self = shared_from_this();  // a listener may drop the last other reference
  if ((events & EPOLLOUT) != 0) flush();
  if (isOpen() && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) onReadable();
}

void Channel::onReadable() {
  for (size_t i = 0; i < kReadsPerEvent && isOpen(); ++i) {
    const size_t before = in_.size();
    in_.resize(before + kReadBytes);
    const ssize_t got = recv(fd_.get(), in_.data() + before, kReadBytes, 0);
    in_.resize(before + static_cast<size_t>(got > 0 ? got : 0));
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got < 0) return fail(base::systemFailure("the connection broke", errno));
    if (got == 0) {
      return fail({Code::kRemoteError, base::kErrPeerDied, "the other side closed the connection"});
    }
    if (isLingering_) {
      in_.clear();
    } else if (!takeFrames()) {
      return;
    }
    if (static_cast<size_t>(got) < kReadBytes) return;
  }
}

bool Channel::takeFrames() {
  const auto self = shared_from_this();
  size_t taken = 0;
  while (isOpen() && !isLingering_ && !opener_.isBroken()) {
    const size_t size = opener_.frameBytes(std::string_view(in_).substr(taken));
    if (size == 0) break;
    if (in_.size() - taken < size) {
      in_.reserve(taken + size);
      break;
    }
    const std::optional<Frame> frame = opener_.open(in_.data() + taken, size);
    if (!frame) break;
    taken += size;
    lastHeardNs_ = base::nowNs();
    if (const auto listener = listener_.lock()) {
      listener->onFrame(*this, frame->type, frame->payload);
    }
  }
  in_.erase(0, taken);
  if (!opener_.isBroken()) return isOpen();
  fail({Code::kRemoteError, base::kErrControlTampered,
        fmt::format("a control message from {} failed authentication: somebody changed or injected "
                    "bytes on the way",
                    peerAddress_.toString())});
  return false;
}

void Channel::flush() {
  while (isOpen()) {
    if (outSent_ == out_.size()) {
      out_.clear();
      outSent_ = 0;
    }
    while (!queue_.empty() && out_.size() - outSent_ < kSealAhead) {
      sealer_.seal(queue_.front().type, *queue_.front().payload, out_);
      queue_.pop_front();
    }
    if (out_.empty()) break;
    const ssize_t sent = ::send(fd_.get(), out_.data() + outSent_, out_.size() - outSent_,
                                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      outSent_ += static_cast<size_t>(sent);
    } else if (errno != EINTR) {
      break;  // full, or broken: then reading tells, after what the peer said last
    }
  }
  if (!isOpen()) return;
  const bool wantsWritable = !isFlushed();
  if (wantsWritable != isWritableWatched_ && watch_ != 0) {
    isWritableWatched_ = wantsWritable;
    reactor_.rewatch(watch_, wantsWritable ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }
  if (isLingering_ && isFlushed()) shutdown(fd_.get(), SHUT_WR);
}

void Channel::fail(const Status& reason) {
  const auto self = shared_from_this();
  const auto listener = listener_.lock();
  close();
  if (listener) listener->onClosed(*this, reason);
}

}  // namespace tutti::bootstrap
