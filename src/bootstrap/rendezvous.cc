#include "src/bootstrap/rendezvous.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "src/base/clock.h"
#include "src/base/descriptors.h"
#include "src/base/errors.h"
#include "src/base/log.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;

namespace {

constexpr int64_t kAfterFailureNs = 60'000'000'000;

}  // namespace

RankShare shareOf(int index, int count, int size) {
  const auto boundary = [&](int i) {
    return static_cast<int>(static_cast<int64_t>(size) * i / count);
  };
  return {boundary(index), boundary(index + 1)};
}

void Rendezvous::serve(Reactor& reactor, std::shared_ptr<ListenSocket> socket,
                       const base::Key& secret, OnEnd onEnd) {
  const std::shared_ptr<Rendezvous> self(
      new Rendezvous(reactor, std::move(socket), secret, std::move(onEnd)));
  Acceptor& acceptor = Acceptor::of(reactor);
  acceptor.keep(self);
  self->ticket_ = acceptor.expect(self->name_, secret, [self](std::shared_ptr<Channel> channel) {
    self->channels_[channel.get()] = channel;
    channel->listen(self);
  });
}

Rendezvous::Rendezvous(Reactor& reactor, std::shared_ptr<ListenSocket> socket,
                       const base::Key& secret, OnEnd onEnd)
    : reactor_(reactor),
      socket_(std::move(socket)),
      name_(base::publicName(secret)),
      onEnd_(std::move(onEnd)) {}

void Rendezvous::onFrame(Channel& channel, uint8_t type, std::string_view payload) {
  if (type == kFrameRegister) {
    if (const auto registration = Registration::decode(payload)) {
      return onRegister(channel, *registration);
    }
    TUTTI_LOG_WARN("a rank at {} sent a malformed registration", channel.peerAddress().toString());
    channel.close();
    channels_.erase(&channel);
    return;
  }
  if (type == kFrameAsk) return answerAsk(channel);
  Member* member = memberOf(channel);
  if (member == nullptr) return;
  if (type == kFrameJoined) {
    member->isDone = true;
    endIfDone();
  } else if (type == kFrameGiveUp) {
    member->isDone = true;
    const Status reason = decodeStatus(payload);
    const bool isAborted = reason.errorId() == base::kErrJoinAborted;
    fail(isAborted ? Status(Code::kRemoteError, base::kErrPeerAborted,
                            fmt::format("rank {} ({}) gave up while joining: {}",
                                        member->registration.identity.rank,
                                        member->registration.identity.toString(), reason.text()))
                   : reason);
    channel.closeAfterFlush();  // the others have been told: it may go
  }
}

void Rendezvous::onClosed(Channel& channel, const Status&) {
  Member* member = memberOf(channel);
  if (member != nullptr && !member->isDone) {
    member->isDone = true;
    const PeerIdentity& identity = member->registration.identity;
    fail({Code::kRemoteError, base::kErrPeerDied,
          fmt::format("rank {} ({}) exited or dropped its connection while joining", identity.rank,
                      identity.toString())});
  }
  channels_.erase(&channel);
  endIfDone();
}

Rendezvous::Member* Rendezvous::memberOf(const Channel& channel) {
  for (auto& [rank, member] : members_) {
    if (member.channel.get() == &channel) return &member;
  }
  return nullptr;
}

Status Rendezvous::check(const Registration& registration) const {
  const PeerIdentity& newcomer = registration.identity;
  if (members_.empty()) return {};
  const Registration& first = members_.begin()->second.registration;
  if (first.size != registration.size || first.idCount != registration.idCount) {
    return {Code::kInvalidUsage, base::kErrSizeMismatch,
            fmt::format("ranks disagree on the number of ranks: rank {} ({}) says {}, rank {} ({}) "
                        "says {}",
                        newcomer.rank, newcomer.toString(), registration.size, first.identity.rank,
                        first.identity.toString(), first.size)};
  }
  const auto same = members_.find(static_cast<int>(newcomer.rank));
  if (same != members_.end()) {
    return {Code::kInvalidUsage, base::kErrDuplicateRank,
            fmt::format("rank {} is taken twice: by {} and by {}; every rank must be different",
                        newcomer.rank, same->second.registration.identity.toString(),
                        newcomer.toString())};
  }
  return {};
}

void Rendezvous::setWanted(const Registration& registration) {
  const int size = static_cast<int>(registration.size);
  share_ =
      shareOf(static_cast<int>(registration.idIndex), static_cast<int>(registration.idCount), size);
  for (int rank = share_.first; rank < share_.last; ++rank) {
    wanted_.insert(rank);
    const int parent = parentOf(rank, static_cast<int>(registration.fanOut));
    if (parent >= 0) wanted_.insert(parent);
  }
}

void Rendezvous::onRegister(Channel& channel, const Registration& registration) {
  Status status = failure_;
  if (status.isOk()) status = check(registration);
  if (status.isOk() && members_.empty()) {
    setWanted(registration);
    // More ranks than can connect at once would never come together.
    status = base::checkDescriptors(wanted_.size() - std::min(wanted_.size(), channels_.size()),
                                    fmt::format("the rendezvous of {} ranks", registration.size));
  }
  if (!status.isOk()) {
    channel.send(kFrameRefused, encodeStatus(status));
    if (failure_.isOk()) fail(status);
    return;
  }
  const int rank = static_cast<int>(registration.identity.rank);
  members_[rank] = {registration, channel.shared_from_this()};
  TUTTI_LOG_TRACE(kBootstrap, "rank {} registered, {} of {}", rank, members_.size(),
                  wanted_.size());
  if (members_.size() == wanted_.size()) complete();
}

void Rendezvous::complete() {
  isComplete_ = true;
  // Before anybody is told: the same id may serve the next communicator right after.
  closeRegistration();
  for (auto& [rank, member] : members_) {
    if (!share_.contains(rank)) continue;
    Invitation invitation;
    const int parent = parentOf(rank, static_cast<int>(member.registration.fanOut));
    if (parent >= 0) {
      invitation.parent = members_[parent].registration.identity;
      invitation.door = members_[parent].registration.door;
    }
    member.channel->send(kFrameParent, invitation.encode());
  }
}

void Rendezvous::fail(const Status& reason) {
  if (!failure_.isOk()) return;
  failure_ = reason;
  if (onEnd_) std::exchange(onEnd_, nullptr)();
  TUTTI_LOG_INFO(kBootstrap, "init failed: {}", reason.toString());
  const auto text = std::make_shared<const std::string>(encodeStatus(reason));
  for (auto& [rank, member] : members_) {
    if (!member.isDone) member.channel->send(kFrameRefused, text);
    member.isDone = true;
  }
  const std::weak_ptr<Rendezvous> self = weak_from_this();
  reactor_.at(base::nowNs() + kAfterFailureNs, [self] {
    if (const auto rendezvous = self.lock()) rendezvous->end();
  });
}

void Rendezvous::answerAsk(Channel& channel) const {
  MissingRanks missing;
  for (const int rank : wanted_) {
    if (!members_.contains(rank)) missing.ranks.push_back(rank);
  }
  channel.send(kFrameMissing, missing.encode());
}

void Rendezvous::closeRegistration() {
  if (!socket_) return;
  Acceptor::of(reactor_).forget(name_, ticket_);
  socket_.reset();
  if (onEnd_) std::exchange(onEnd_, nullptr)();
}

void Rendezvous::endIfDone() {
  if (!isComplete_) return;
  for (const auto& [rank, member] : members_) {
    if (!member.isDone) return;
  }
  end();
}

void Rendezvous::end() {
  const auto self = shared_from_this();
  closeRegistration();
  for (auto& [key, channel] : channels_) channel->closeAfterFlush();
  channels_.clear();
  members_.clear();
  Acceptor::of(reactor_).release(self);
}

}  // namespace tutti::bootstrap
