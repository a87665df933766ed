#include "transports/tcp/driver.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "src/base/clock.h"
#include "src/base/config.h"
#include "src/base/descriptors.h"
#include "src/base/errors.h"
#include "src/base/host.h"
#include "src/base/interfaces.h"
#include "src/base/log.h"

namespace tutti::transports::tcp {

using base::Code;
using base::Status;

namespace {

constexpr int64_t kTickNs = 10'000'000;
constexpr int64_t kStrangerNs = 1'000'000'000;    // to prove itself
constexpr int64_t kDialNs = 2'000'000'000;        // for one attempt
constexpr int64_t kAgainNs = 50'000'000;          // between attempts
constexpr int64_t kFallBackNs = 300'000'000;      // without any lane
constexpr int64_t kOtherLanesNs = 1'500'000'000;  // after the first
constexpr size_t kMostStrangers = 256;
// So few sockets are looked at faster one by one than by asking which are ready.
constexpr size_t kFewWires = 2;

}  // namespace

TcpDriver::TcpDriver(const ContextOptions& options)
    : options_(options),
      startNs_(base::nowNs()),
      peers_(static_cast<size_t>(options.segment.size)) {
  const auto& config = base::processConfig();
  base::Key token;
  std::memcpy(token.data(), options.token, sizeof(token));
  key_ = base::keyedHash(token, {"tutti tcp lanes"});
  wantsEncryption_ = config.get(base::param::kEncrypt);
  const int64_t timeoutNs = config.get(base::param::kTimeout).count() * 1'000'000;
  deadlineNs_ = timeoutNs == 0 ? std::numeric_limits<int64_t>::max() : startNs_ + timeoutNs;
}

base::Result<std::unique_ptr<TcpDriver>> TcpDriver::open(const ContextOptions& options) {
  std::unique_ptr<TcpDriver> driver(new TcpDriver(options));
  TUTTI_RETURN_IF_ERROR(driver->poller_.open());
  TUTTI_RETURN_IF_ERROR(driver->listen());
  const auto& config = base::processConfig();
  TUTTI_ASSIGN_OR_RETURN(const auto interfaces, base::listNetworkInterfaces());
  driver->home_.host = base::realHostIdentity();
  driver->home_.places = placesOf(interfaces, config.get(base::param::kSocketIfname),
                                  config.get(base::param::kSocketFamily));
  return driver;
}

// One port for both families, where the kernel has both.
Status TcpDriver::listen() {
  sockaddr_storage address{};
  socklen_t bytes = sizeof(sockaddr_in6);
  reinterpret_cast<sockaddr_in6&>(address).sin6_family = AF_INET6;
  port_.reset(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int isOn = 0;
  if (port_.isOpen()) setsockopt(port_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &isOn, sizeof(isOn));
  if (!port_.isOpen() || bind(port_.get(), reinterpret_cast<sockaddr*>(&address), bytes) != 0) {
    port_.reset(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    address = {};
    bytes = sizeof(sockaddr_in);
    reinterpret_cast<sockaddr_in&>(address).sin_family = AF_INET;
    if (!port_.isOpen() || bind(port_.get(), reinterpret_cast<sockaddr*>(&address), bytes) != 0) {
      return base::systemFailure("cannot open a port for data", errno);
    }
  }
  bytes = sizeof(address);
  if (::listen(port_.get(), SOMAXCONN) != 0 ||
      getsockname(port_.get(), reinterpret_cast<sockaddr*>(&address), &bytes) != 0) {
    return base::systemFailure("cannot listen for data connections", errno);
  }
  // At the same offset in both families.
  home_.port = ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port);
  if (poller_.add(port_.get(), this, false)) return {};
  return base::systemFailure("cannot wait for data connections", errno);
}

base::Result<std::unique_ptr<Connection>> TcpDriver::connect(ir::Rank rank,
                                                             std::string_view address) {
  auto home = Home::parse(address);
  if (!home.has_value()) {
    return Status(Code::kInternalError, base::kErrInternal,
                  fmt::format("rank {} sent a malformed tcp address", rank));
  }
  MessageOptions options;
  options.self = options_.rank;
  options.segment = options_.segment;
  options.windowBytes = options_.windowBytes;
  auto connection = std::make_unique<MessageConnection>(options);
  auto wire = std::make_unique<TcpWire>(pool_, *connection, rank, [this, rank] { forget(rank); });
  Peer& peer = at(rank);
  peer.wire = wire.get();
  peer.connection = connection.get();
  peer.home = std::move(*home);
  wires_.push_back(wire.get());
  ++incomplete_;
  connection->attach(std::move(wire));
  if (options_.rank > rank) {
    const auto wanted = base::processConfig().get(base::param::kNetConnections);
    peer.paths = pathsBetween(home_, peer.home, static_cast<int>(wanted));
    peer.lanesWanted = static_cast<int>(peer.paths.lanes.size());
    dialAll(rank, peer.paths.lanes, false);
  }
  return std::unique_ptr<Connection>(std::move(connection));
}

void TcpDriver::forget(ir::Rank rank) {
  Peer& peer = at(rank);
  std::erase(wires_, peer.wire);
  complete(peer);
  peer.wire = nullptr;
  std::erase_if(attempts_, [rank](const Attempt& each) { return each.peer == rank; });
}

// Alternatives are one lane between them.
void TcpDriver::dialAll(ir::Rank peer, const std::vector<Path>& paths, bool isAlternative) {
  for (size_t i = 0; i < paths.size(); ++i) {
    LaneClaim claim;
    claim.from = options_.rank;
    claim.to = peer;
    claim.lane = isAlternative ? 0 : static_cast<uint16_t>(i);
    claim.lanes = isAlternative ? 1 : static_cast<uint16_t>(paths.size());
    claim.flags = wantsEncryption_ ? kEncrypted : 0;
    dial(peer, paths[i], claim);
  }
}

void TcpDriver::dial(ir::Rank peer, const Path& path, const LaneClaim& claim) {
  auto greeting = std::make_unique<Greeting>(poller_, path, at(peer).home.port, key_, claim,
                                             base::nowNs() + kDialNs);
  attempts_.push_back({peer, path, claim, std::move(greeting), 0});
}

void TcpDriver::onReady(uint32_t) {
  while (true) {
    base::UniqueFd socket(accept4(port_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket.isOpen()) return;
    const auto isComing = [](const Attempt& each) { return each.peer < 0; };
    const auto count = std::count_if(attempts_.begin(), attempts_.end(), isComing);
    if (static_cast<size_t>(count) >= kMostStrangers) {
      attempts_.erase(std::find_if(attempts_.begin(), attempts_.end(), isComing));  // the oldest
    }
    Attempt attempt;
    attempt.greeting = std::make_unique<Greeting>(poller_, std::move(socket), key_,
                                                  wantsEncryption_, base::nowNs() + kStrangerNs);
    attempts_.push_back(std::move(attempt));
  }
}

bool TcpDriver::progress() {
  bool hasArrived = false;
  if (!isConnecting() && wires_.size() <= kFewWires) {
    for (TcpWire* wire : wires_) {
      wire->flush();
      hasArrived |= wire->receive();
    }
  } else {
    poller_.dispatch();
    for (TcpWire* wire : wires_) hasArrived |= wire->hasArrived();
  }
  const int64_t now = base::nowNs();
  const bool isTick = now - tendedNs_ > kTickNs;
  if (isTick) tendedNs_ = now;
  if (hasArrived || isTick) {
    for (TcpWire* wire : wires_) wire->tend(isTick, now);
  }
  if (isConnecting()) tend(now);
  return hasArrived;
}

bool TcpDriver::settle() {
  bool isEmpty = !isConnecting();
  for (TcpWire* wire : wires_) isEmpty &= wire->flush();
  if (!isEmpty) progress();
  return isEmpty;
}

void TcpDriver::tend(int64_t nowNs) {
  tendGreetings(nowNs);
  for (ir::Rank rank = 0; rank < static_cast<ir::Rank>(peers_.size()); ++rank) {
    if (at(rank).wire != nullptr && !at(rank).isComplete) tendPeer(rank, nowNs);
  }
  if (isConnecting() || !port_.isOpen()) return;
  poller_.remove(port_.get());
  port_.reset();
  attempts_.clear();
}

void TcpDriver::tendGreetings(int64_t nowNs) {
  for (size_t i = attempts_.size(); i-- > 0;) {
    if (tendAttempt(attempts_[i], nowNs)) continue;
    attempts_.erase(attempts_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

// False: it is over.
bool TcpDriver::tendAttempt(Attempt& attempt, int64_t nowNs) {
  if (attempt.greeting == nullptr) {
    if (nowNs < attempt.againNs) return true;
    attempt.greeting = std::make_unique<Greeting>(poller_, attempt.path, at(attempt.peer).home.port,
                                                  key_, attempt.claim, nowNs + kDialNs);
  }
  attempt.greeting->expire(nowNs);
  if (attempt.greeting->state() == Greeting::State::kRunning) return true;
  if (attempt.greeting->state() == Greeting::State::kProven) {
    welcome(attempt);
    return false;
  }
  if (attempt.peer < 0) return false;
  at(attempt.peer).failures = attempt.greeting->failure();
  attempt.greeting = nullptr;
  attempt.againNs = nowNs + kAgainNs;
  return true;
}

void TcpDriver::welcome(Attempt& attempt) {
  const LaneClaim& claim = attempt.greeting->claim();
  const bool isDialing = attempt.peer >= 0;
  const ir::Rank rank = isDialing ? attempt.peer : claim.from;
  const bool isOurs = rank >= 0 && rank < static_cast<ir::Rank>(peers_.size()) &&
                      claim.to == (isDialing ? rank : options_.rank);
  if (!isOurs || at(rank).wire == nullptr || at(rank).isComplete) return;
  Peer& peer = at(rank);
  // Of alternatives the first.
  if (isDialing && claim.lanes == 1 && peer.wire->laneCount() > 0) return;
  peer.lanesWanted = claim.lanes;
  if (peer.firstLaneNs == 0) peer.firstLaneNs = base::nowNs();
  const LaneKeys keys = attempt.greeting->keys();
  peer.wire->addLane(std::make_unique<Lane>(attempt.greeting->takeSocket(), poller_, *peer.wire,
                                            keys, claim.lanes > 1));
}

void TcpDriver::tendPeer(ir::Rank rank, int64_t nowNs) {
  Peer& peer = at(rank);
  const auto lanes = static_cast<int>(peer.wire->laneCount());
  if (lanes > 0) {
    if (lanes >= peer.lanesWanted || nowNs - peer.firstLaneNs > kOtherLanesNs) complete(peer);
    if (peer.isComplete) {
      std::erase_if(attempts_, [rank](const Attempt& each) { return each.peer == rank; });
    }
    return;
  }
  if (options_.rank > rank && !peer.hasFallenBack &&
      (nowNs - startNs_ > kFallBackNs || peer.paths.lanes.empty())) {
    peer.hasFallenBack = true;
    dialAll(rank, peer.paths.fallbacks, true);
  }
  if (nowNs < deadlineNs_) return;
  peer.wire->lose(options_.rank > rank ? fmt::format("tried {}", peer.failures)
                                       : "it did not connect in time");
  complete(peer);
}

void TcpDriver::complete(Peer& peer) {
  if (!std::exchange(peer.isComplete, true)) --incomplete_;
}

}  // namespace tutti::transports::tcp
