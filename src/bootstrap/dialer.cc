#include "src/bootstrap/dialer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "src/base/clock.h"
#include "src/base/config.h"
#include "src/base/descriptors.h"
#include "src/base/errors.h"
#include "src/bootstrap/unique_id.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;

namespace {

constexpr int64_t kStaggerNs = 60 * kMs;
constexpr int64_t kRoundNs = 5000 * kMs;
constexpr int64_t kPauseNs = 50 * kMs;
// How long a server that should be there may refuse: its queue may overflow for a moment.
constexpr int64_t kImpatientNs = 1500 * kMs;
// How long one that is there may drop connections: a machine may be too busy for its time limits.
constexpr int64_t kBusyNs = 60'000 * kMs;

// Loopback first where it is the right host's, last where it cannot be.
std::vector<Address> orderCandidates(std::vector<Address> addresses, uint64_t hostKey) {
  const bool isSameHost = hostKey == 0 || hostKey == thisHostKey();
  std::stable_sort(addresses.begin(), addresses.end(), [&](const Address& a, const Address& b) {
    return isSameHost ? a.isLoopback() > b.isLoopback() : a.isLoopback() < b.isLoopback();
  });
  return addresses;
}

}  // namespace

std::shared_ptr<Dialer> Dialer::start(Reactor& reactor, Target target, OnDone onDone) {
  std::shared_ptr<Dialer> dialer(new Dialer(reactor, std::move(target), std::move(onDone)));
  dialer->beginRound();
  return dialer;
}

Dialer::Dialer(Reactor& reactor, Target target, OnDone onDone)
    : reactor_(reactor),
      target_(std::move(target)),
      onDone_(std::move(onDone)),
      startNs_(base::nowNs()) {
  target_.addresses = orderCandidates(std::move(target_.addresses), target_.hostKey);
}

Dialer::~Dialer() { stop(); }

void Dialer::stop() {
  isOver_ = true;
  onDone_ = nullptr;
  reactor_.cancel(staggerTimer_);
  reactor_.cancel(roundTimer_);
  for (Attempt& attempt : attempts_) {
    reactor_.unwatch(attempt.watch);
    attempt.fd.reset();
  }
}

void Dialer::beginRound() {
  ++rounds_;
  next_ = 0;
  attempts_.clear();
  attempts_.resize(target_.addresses.size());
  for (size_t i = 0; i < attempts_.size(); ++i) attempts_[i].address = target_.addresses[i];
  const std::weak_ptr<Dialer> self = weak_from_this();
  roundTimer_ = reactor_.at(base::nowNs() + kRoundNs, [self] {
    if (const auto dialer = self.lock()) {
      for (size_t i = 0; i < dialer->attempts_.size() && !dialer->isOver_; ++i) {
        if (!dialer->attempts_[i].isOver) dialer->endAttempt(i, "no answer for 5 s");
      }
    }
  });
  beginNext();
}

void Dialer::beginNext() {
  reactor_.cancel(staggerTimer_);
  if (isOver_ || next_ >= attempts_.size()) return;
  const size_t index = next_++;
  const std::weak_ptr<Dialer> self = weak_from_this();
  staggerTimer_ = reactor_.at(base::nowNs() + kStaggerNs, [self] {
    if (const auto dialer = self.lock()) dialer->beginNext();
  });
  connectTo(index);
}

void Dialer::connectTo(size_t index) {
  Attempt& attempt = attempts_[index];
  sockaddr_storage storage;
  const socklen_t length = attempt.address.toSocket(storage);
  attempt.fd.reset(socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!attempt.fd.isOpen()) {
    if (base::isOutOfDescriptors(errno)) attempt.shortage = errno;
    return endAttempt(index, std::strerror(errno));
  }
  const int one = 1;
  setsockopt(attempt.fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  attempt.outcome = "no answer";
  if (connect(attempt.fd.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0 &&
      errno != EINPROGRESS) {
    return endAttempt(index, std::strerror(errno));
  }
  const std::weak_ptr<Dialer> self = weak_from_this();
  attempt.watch = reactor_.watch(attempt.fd.get(), EPOLLOUT, [self, index](uint32_t events) {
    if (const auto dialer = self.lock()) dialer->onEvents(index, events);
  });
}

void Dialer::onEvents(size_t index, uint32_t events) {
  Attempt& attempt = attempts_[index];
  if (attempt.isConnected) return onBytes(index);
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(attempt.fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) return endAttempt(index, std::strerror(error));
  if ((events & EPOLLOUT) != 0) sendHello(index);
}

void Dialer::sendHello(size_t index) {
  Attempt& attempt = attempts_[index];
  attempt.isConnected = true;
  attempt.outcome = "connected, but no proper answer";
  attempt.handshake = std::make_unique<ClientHandshake>(
      target_.name, target_.secret, base::processConfig().get(base::param::kEncrypt));
  const std::string& hello = attempt.handshake->hello();
  const ssize_t sent = send(attempt.fd.get(), hello.data(), hello.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(hello.size())) return endAttempt(index, std::strerror(errno));
  reactor_.rewatch(attempt.watch, EPOLLIN);
}

void Dialer::onBytes(size_t index) {
  Attempt& attempt = attempts_[index];
  char buffer[kChallengeBytes];
  // Never more than the handshake needs; what follows belongs to the channel.
  const size_t expected = attempt.isAnswered ? kWelcomeBytes : kChallengeBytes;
  const ssize_t got = recv(attempt.fd.get(), buffer, expected - attempt.received.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  attempt.isDropped = got <= 0;
  if (got < 0) return endAttempt(index, std::strerror(errno));
  if (got == 0) return endAttempt(index, "connected, but was dropped");
  attempt.received.append(buffer, static_cast<size_t>(got));
  if (!attempt.isAnswered && !ServerHandshake::isPlausible(attempt.received)) {
    return endAttempt(index, "something else than Tutti answers");
  }
  if (attempt.received.size() < expected) return;
  const std::string received = std::exchange(attempt.received, {});
  if (!attempt.isAnswered) return onChallenge(index, received);
  if (attempt.handshake->onWelcome(received) != Reject::kNone) {
    return endAttempt(index, "its proof of the secret is wrong");
  }
  reactor_.unwatch(std::exchange(attempt.watch, 0));
  finish(std::make_shared<Channel>(reactor_, std::move(attempt.fd), attempt.handshake->keys()));
}

void Dialer::onChallenge(size_t index, const std::string& challenge) {
  Attempt& attempt = attempts_[index];
  attempt.reject = attempt.handshake->onChallenge(challenge);
  attempt.serverVersion = attempt.handshake->serverVersion();
  if (attempt.reject != Reject::kNone) {
    return endAttempt(index, attempt.reject == Reject::kVersion
                                 ? "another protocol version answers"
                                 : "a Tutti process answers that does not know this communicator");
  }
  const std::string& answer = attempt.handshake->answer();
  const ssize_t sent = send(attempt.fd.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
  attempt.isDropped = sent != static_cast<ssize_t>(answer.size());
  if (attempt.isDropped) return endAttempt(index, std::strerror(errno));
  attempt.isAnswered = true;
}

void Dialer::endAttempt(size_t index, std::string outcome) {
  Attempt& attempt = attempts_[index];
  reactor_.unwatch(std::exchange(attempt.watch, 0));
  attempt.fd.reset();
  attempt.isOver = true;
  attempt.outcome = std::move(outcome);
  if (next_ < attempts_.size()) return beginNext();
  const bool isRoundOver = std::all_of(attempts_.begin(), attempts_.end(),
                                       [](const Attempt& each) { return each.isOver; });
  if (isRoundOver) endRound();
}

bool Dialer::isHopeless() const {
  bool isDropped = false;
  bool isUnknown = false;
  bool isShort = false;
  for (const Attempt& attempt : attempts_) {
    if (attempt.reject == Reject::kVersion) return true;
    isShort |= attempt.shortage != 0;
    isUnknown |= attempt.reject == Reject::kUnknownName;
    isDropped |= attempt.isDropped;
  }
  if (target_.isPatient && !isShort) return false;
  if (isUnknown) return true;
  return base::nowNs() - startNs_ > (isDropped && !isShort ? kBusyNs : kImpatientNs);
}

void Dialer::endRound() {
  reactor_.cancel(staggerTimer_);
  reactor_.cancel(roundTimer_);
  if (isHopeless()) return finish(describeFailure());
  const std::weak_ptr<Dialer> self = weak_from_this();
  roundTimer_ = reactor_.at(base::nowNs() + kPauseNs, [self] {
    const auto dialer = self.lock();
    if (dialer && !dialer->isOver_) dialer->beginRound();
  });
}

Status Dialer::describeFailure() const {
  std::string tried;
  const Attempt* rejected = nullptr;
  bool isThere = false;
  for (const Attempt& attempt : attempts_) {
    if (attempt.shortage != 0) {
      return base::systemFailure("cannot reach " + target_.description, attempt.shortage);
    }
    isThere |= attempt.isConnected;
    if (!tried.empty()) tried += "; ";
    tried += fmt::format("{}: {}", attempt.address.toString(), attempt.outcome);
    const bool isTold =
        attempt.reject == Reject::kVersion || attempt.reject == Reject::kUnknownName;
    if (isTold) rejected = &attempt;
  }
  if (rejected != nullptr && rejected->reject == Reject::kVersion) {
    return {
        Code::kInvalidUsage, base::kErrProtocolVersion,
        fmt::format("{} at {} speaks control protocol {}, this process {}: use the same release "
                    "of Tutti on all ranks",
                    target_.description, rejected->address.toString(), rejected->serverVersion,
                    kProtocolVersion)};
  }
  if (rejected != nullptr) {
    return {
        Code::kInvalidUsage, base::kErrWrongSecret,
        fmt::format("{} does not know this communicator (tried {}): {}", target_.description, tried,
                    target_.isPatient
                        ? "TUTTI_SECRET differs between ranks, or rank 0 has not started"
                        : "the id was used before, or its maker gave up; make a new id for "
                          "each communicator")};
  }
  return {
      Code::kRemoteError, base::kErrUnreachable,
      fmt::format("cannot reach {}, tried {}. {}", target_.description, tried,
                  isThere ? "Something listens there: look at the log of the process, which may "
                            "be too busy or have too few file descriptors (ulimit -n)"
                          : "If it runs on another host, set TUTTI_SOCKET_IFNAME there to an "
                            "interface that this host can reach, and let the firewall pass TCP "
                            "between the hosts")};
}

void Dialer::finish(base::Result<std::shared_ptr<Channel>> result) {
  const auto self = shared_from_this();
  const OnDone onDone = std::move(onDone_);
  stop();
  if (onDone) onDone(std::move(result));
}

}  // namespace tutti::bootstrap
