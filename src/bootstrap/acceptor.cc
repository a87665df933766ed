#include "src/bootstrap/acceptor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>

#include <fmt/format.h>

#include "src/base/clock.h"
#include "src/base/config.h"
#include "src/base/descriptors.h"
#include "src/base/errors.h"
#include "src/base/log.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;
using base::UniqueFd;

namespace {

constexpr int kBacklog = 1024;
constexpr int kAcceptsPerEvent = 16;
constexpr int64_t kAcceptPauseNs = 200'000'000;

// A bound and listening socket, or -1 with errno.
UniqueFd bindAndListen(const Address& address, bool isDualStack) {
  sockaddr_storage storage;
  const socklen_t length = address.toSocket(storage);
  UniqueFd fd(socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.isOpen()) return fd;
  const int one = 1;
  const int zero = 0;
  if (isDualStack) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
  // A fixed port can be used again right after a run.
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0 ||
      listen(fd.get(), kBacklog) != 0) {
    const int error = errno;
    fd.reset();
    errno = error;
  }
  return fd;
}

uint16_t portOf(int fd) {
  sockaddr_storage storage;
  socklen_t length = sizeof storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length);
  return Address::fromSocket(reinterpret_cast<sockaddr*>(&storage)).port;
}

// The first bytes of a stranger, readable.
std::string showBytes(std::string_view bytes) {
  std::string text;
  for (const char c : bytes.substr(0, 16)) {
    text += std::isprint(static_cast<unsigned char>(c)) != 0 ? c : '.';
  }
  return text;
}

}  // namespace

// A connection that has not proved anything yet.
struct Acceptor::Unproven {
  UniqueFd fd;
  Address from;
  std::string received;
  ServerHandshake handshake;
  bool isGreeted = false;  // the hello was good, the answer is awaited
  uint64_t watch = 0;
  uint64_t timer = 0;
  std::list<std::shared_ptr<Unproven>>::iterator place;
};

Acceptor& Acceptor::of(Reactor& reactor) {
  // One for each reactor; a child after fork has another reactor. Never freed, as the reactor.
  static Acceptor* acceptor = nullptr;
  static Reactor* owner = nullptr;
  if (owner != &reactor) {
    acceptor = new Acceptor(reactor);
    owner = &reactor;
  }
  return *acceptor;
}

base::Result<std::shared_ptr<ListenSocket>> Acceptor::open(uint16_t port, bool isLocalOnly) {
  const std::pair key(port, isLocalOnly);
  if (const auto socket = sockets_[key].lock()) return socket;
  Address any6;
  any6.family = 6;
  any6.port = port;
  Address any4;
  any4.family = 4;
  any4.port = port;
  UniqueFd fd =
      isLocalOnly ? bindAndListen(loopbackAddress(port), false) : bindAndListen(any6, true);
  if (!fd.isOpen() && !isLocalOnly && errno != EADDRINUSE) fd = bindAndListen(any4, false);
  if (!fd.isOpen()) {
    const char* advice = errno == EADDRINUSE ? " (choose another in TUTTI_ADDR)" : "";
    return base::systemFailure(fmt::format("cannot listen on port {}{}", port, advice), errno);
  }
  const int raw = fd.get();
  const auto token = std::make_shared<uint64_t>(0);
  const uint64_t watch =
      reactor_.watch(raw, EPOLLIN, [this, raw, token](uint32_t) { onConnection(raw, *token); });
  *token = watch;
  const auto socket = std::make_shared<ListenSocket>(reactor_, std::move(fd), portOf(raw), watch);
  sockets_[key] = socket;
  return socket;
}

uint64_t Acceptor::expect(const base::KeyId& name, const base::Key& secret, OnChannel onChannel) {
  const uint64_t ticket = nextTicket_++;
  expected_[name] = {secret, std::move(onChannel), ticket};
  return ticket;
}

void Acceptor::forget(const base::KeyId& name, uint64_t ticket) {
  const auto found = expected_.find(name);
  if (found != expected_.end() && found->second.ticket == ticket) expected_.erase(found);
}

bool Acceptor::makeRoom() {
  if (unproven_.empty()) return false;
  drop(unproven_.front(), "too many connections at once that prove nothing");
  return true;
}

void Acceptor::onConnection(int listenFd, uint64_t watch) {
  for (int i = 0; i < kAcceptsPerEvent; ++i) {
    sockaddr_storage storage;
    socklen_t length = sizeof storage;
    UniqueFd fd(accept4(listenFd, reinterpret_cast<sockaddr*>(&storage), &length,
                        SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd.isOpen()) {
      if (unproven_.size() >= kMaxUnproven) makeRoom();
      admit(std::move(fd), Address::fromSocket(reinterpret_cast<sockaddr*>(&storage)));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EAGAIN) return;
    const int error = errno;
    if (base::isOutOfDescriptors(error)) lastShortage_ = {base::nowNs(), error};
    // One is worth a warning; it may come again every few milliseconds.
    if (!std::exchange(hasWarnedOfAccept_, true)) {
      TUTTI_LOG_WARN("cannot accept a connection: {}", base::describeErrno(error));
    }
    if (base::isOutOfDescriptors(error) && makeRoom()) continue;
    // Asking again at once would only burn time.
    reactor_.rewatch(watch, 0);
    reactor_.at(base::nowNs() + kAcceptPauseNs,
                [this, watch] { reactor_.rewatch(watch, EPOLLIN); });
    return;
  }
}

void Acceptor::admit(UniqueFd fd, const Address& from) {
  const int one = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  const auto guest = std::make_shared<Unproven>();
  guest->fd = std::move(fd);
  guest->from = from;
  guest->place = unproven_.insert(unproven_.end(), guest);
  guest->timer = reactor_.at(base::nowNs() + kHelloNs,
                             [this, guest] { drop(guest, "it said too little for a second"); });
  guest->watch =
      reactor_.watch(guest->fd.get(), EPOLLIN, [this, guest](uint32_t) { onBytes(guest); });
}

void Acceptor::onBytes(const std::shared_ptr<Unproven>& guest) {
  char buffer[256];
  // Never more than the handshake needs; what follows belongs to the channel.
  const size_t wanted = (guest->isGreeted ? kAnswerBytes : kHelloBytes) - guest->received.size();
  const ssize_t got = recv(guest->fd.get(), buffer, wanted, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return drop(guest, "it closed the connection");
  guest->received.append(buffer, static_cast<size_t>(got));
  if (static_cast<size_t>(got) == wanted) {
    advance(guest);
  } else if (!guest->isGreeted && !ServerHandshake::isPlausible(guest->received)) {
    drop(guest,
         fmt::format("it does not speak Tutti's protocol, it said \"{}\"",
                     showBytes(guest->received)),
         true);
  }
}

bool Acceptor::advance(const std::shared_ptr<Unproven>& guest) {
  const std::string received = std::exchange(guest->received, {});
  if (guest->isGreeted) {
    if (guest->handshake.onAnswer(received) == Reject::kNone) {
      promote(guest);
      return true;
    }
    drop(guest, "its proof of the secret is wrong", true);
    return false;
  }
  if (!ServerHandshake::isPlausible(received)) {
    drop(guest,
         fmt::format("it does not speak Tutti's protocol, it said \"{}\"", showBytes(received)),
         true);
    return false;
  }
  const Reject reject = guest->handshake.onHello(
      received,
      [this](const base::KeyId& name) {
        const auto found = expected_.find(name);
        return found == expected_.end() ? std::nullopt : std::optional(found->second.secret);
      },
      base::processConfig().get(base::param::kEncrypt));
  const std::string& challenge = guest->handshake.challenge();
  const ssize_t sent =
      send(guest->fd.get(), challenge.data(), challenge.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (reject != Reject::kNone) {
    drop(guest, reject == Reject::kVersion
                    ? "it speaks another version of Tutti's protocol"
                    : "it asks for a communicator that is not expected here");
    return false;
  }
  if (static_cast<size_t>(sent) != challenge.size()) {
    drop(guest, "it takes no answer");
    return false;
  }
  guest->isGreeted = true;
  reactor_.cancel(guest->timer);
  guest->timer = reactor_.at(base::nowNs() + kAnswerNs,
                             [this, guest] { drop(guest, "it does not prove anything"); });
  return true;
}

void Acceptor::promote(const std::shared_ptr<Unproven>& guest) {
  reactor_.cancel(guest->timer);
  reactor_.unwatch(guest->watch);
  unproven_.erase(guest->place);
  const auto found = expected_.find(guest->handshake.name());
  if (found == expected_.end()) return;
  const std::string& welcome = guest->handshake.welcome();
  const ssize_t sent =
      send(guest->fd.get(), welcome.data(), welcome.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (static_cast<size_t>(sent) != welcome.size()) return;  // gone meanwhile
  const OnChannel onChannel = found->second.onChannel;
  onChannel(std::make_shared<Channel>(reactor_, std::move(guest->fd), guest->handshake.keys()));
}

void Acceptor::drop(const std::shared_ptr<Unproven>& guest, std::string_view reason, bool isLoud) {
  if (!guest->fd.isOpen()) return;
  const auto keepAlive = guest;
  reactor_.cancel(guest->timer);
  reactor_.unwatch(guest->watch);
  guest->fd.reset();
  unproven_.erase(guest->place);
  // The first one is worth a warning, a port scan is not worth thousands.
  if (isLoud && !std::exchange(hasWarned_, true)) {
    TUTTI_LOG_WARN(
        "dropped a stranger's connection from {}: {}; it does no harm (further ones are "
        "logged at INFO)",
        keepAlive->from.toString(), reason);
  } else {
    TUTTI_LOG_INFO(kBootstrap, "dropped the connection from {}: {}", keepAlive->from.toString(),
                   reason);
  }
}

}  // namespace tutti::bootstrap
