// The tree at work: values up and down, heartbeats, and the news of failures.
#include <algorithm>

#include <fmt/format.h>

#include "src/base/clock.h"
#include "src/base/errors.h"
#include "src/base/log.h"
#include "src/bootstrap/plane.h"
#include "src/bootstrap/rendezvous.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;

namespace {

// Values are sent down in frames of about this size.
constexpr size_t kBatchBytes = 256 << 10;

}  // namespace

Plane::Link* Plane::linkOf(const Channel& channel) {
  for (const auto& link : links_) {
    if (link->channel.get() == &channel) return link.get();
  }
  return nullptr;
}

std::string Plane::describe(int rank) const {
  const auto found = identities_.find(rank);
  return found == identities_.end() ? fmt::format("rank {}", rank) : found->second.toString();
}

bool Plane::isFlushed() const {
  return std::all_of(links_.begin(), links_.end(),
                     [](const auto& link) { return link->channel->isFlushed(); });
}

void Plane::onFrame(Channel& channel, uint8_t type, std::string_view payload) {
  if (isClosed_) return;
  if (newcomers_.contains(&channel)) {
    if (type == kFrameAttach) onAttach(channel, payload);
    return;
  }
  for (const auto& server : servers_) {
    if (server->channel.get() == &channel) return onServerFrame(*server, type, payload);
  }
  if (const Link* link = linkOf(channel)) onLinkFrame(*link, type, payload);
}

void Plane::onLinkFrame(const Link& link, uint8_t type, std::string_view payload) {
  WireReader in(payload);
  if (type == kFrameValues) {
    onValues(link, payload);
  } else if (type == kFrameFailure) {
    onFailureFrame(*link.channel, payload);
  } else if (type == kFrameNote) {
    onNote(link, payload);
  } else if (type == kFrameLeave) {
    onLeave(link.channel.get(), static_cast<int>(in.u32()));
  } else if (type == kFrameAsk && !link.isParent) {
    ask(in.u32());
  } else if (type == kFrameMissing && link.isParent) {
    onMissing(payload);
  }
}

void Plane::onClosed(Channel& channel, const Status& reason) {
  newcomers_.erase(&channel);
  for (const auto& server : servers_) {
    if (server->channel.get() != &channel) continue;
    {
      const std::lock_guard lock(mutex_);
      unanswered_ = std::max(0, unanswered_ - 1);
      changed_.notify_all();
    }
    if (!isInvited_) {
      breakWith({Code::kRemoteError, base::kErrRendezvousLost,
                 fmt::format("the process that made the unique id ended while ranks were joining: "
                             "{}",
                             reason.text())});
    }
  }
  const Link* link = linkOf(channel);
  if (link == nullptr) return;
  const int rank = static_cast<int>(link->peer.rank);
  const PeerIdentity peer = link->peer;
  std::erase_if(links_, [&](const auto& each) { return each.get() == link; });
  if (!left_.contains(rank) && !failed_.contains(rank)) {
    const bool isTampered = reason.errorId() == base::kErrControlTampered;
    recordFailure(nullptr, rank, FailureKind::kDied,
                  isTampered ? fmt::format("{}: {}", peer.toString(), reason.text())
                             : fmt::format("{} exited or dropped its connection", peer.toString()));
  }
  if (isReleased_) endIfUnneeded();
}

// ---- Values ----

void Plane::contribute(uint32_t number, std::string value) {
  if (isClosed_) return;
  if (!left_.empty()) {
    const std::vector<int> gone(left_.begin(), left_.end());
    return breakWith(
        {Code::kRemoteError, base::kErrPeerLeft,
         fmt::format("{} of {} already left the communicator", describeRanks(gone), size_)});
  }
  if (rank_ == 0) return storeValue(number, rank_, value);
  WireWriter out;
  out.u32(number);
  out.u32(static_cast<uint32_t>(rank_));
  out.text(value);
  sendUp(kFrameValues, out.take());
}

void Plane::sendUp(uint8_t type, std::string payload) {
  for (const auto& link : links_) {
    if (link->isParent) return link->channel->send(type, std::move(payload));
  }
  // A child may be faster than this rank's own way to its parent.
  if (!isAttached_) waitingForParent_.emplace_back(type, std::move(payload));
}

void Plane::onValues(const Link& from, std::string_view payload) {
  const bool isUpward = !from.isParent;
  if (isUpward && rank_ != 0) return sendUp(kFrameValues, std::string(payload));
  if (!isUpward) spread(from.channel.get(), kFrameValues, std::string(payload), false);
  WireReader in(payload);
  const uint32_t number = in.u32();
  while (in.isGood() && !in.isAtEnd()) {
    const uint32_t rank = in.u32();
    const std::string_view value = in.text();
    if (in.isGood() && rank < static_cast<uint32_t>(size_)) {
      storeValue(number, static_cast<int>(rank), value);
    }
  }
}

void Plane::storeValue(uint32_t number, int rank, std::string_view value) {
  // No rank can be more than one exchange ahead of another; anything else is a defect.
  if (number < completed_ || number > completed_ + 1) return;
  Gather& gather = gathers_[number];
  gather.values.resize(static_cast<size_t>(size_));
  std::optional<std::string>& slot = gather.values[static_cast<size_t>(rank)];
  if (slot.has_value()) return;
  slot = std::string(value);
  if (++gather.count < static_cast<size_t>(size_)) return;
  if (rank_ == 0) shareResult(number);
  completeGather(number);
}

void Plane::shareResult(uint32_t number) {
  if (links_.empty()) return;
  const Gather& gather = gathers_[number];
  WireWriter out;
  for (int rank = 0; rank < size_; ++rank) {
    const std::string& value = *gather.values[static_cast<size_t>(rank)];
    if (out.size() == 0) out.u32(number);
    out.u32(static_cast<uint32_t>(rank));
    out.text(value);
    if (out.size() >= kBatchBytes || rank + 1 == size_) {
      spread(nullptr, kFrameValues, std::exchange(out, WireWriter()).take(), false);
    }
  }
}

void Plane::completeGather(uint32_t number) {
  std::vector<std::string> values;
  values.reserve(static_cast<size_t>(size_));
  for (std::optional<std::string>& value : gathers_[number].values) {
    values.push_back(std::move(*value));
  }
  gathers_.erase(number);
  completed_ = number + 1;
  if (number == 0) return onTable(values);
  const std::lock_guard lock(mutex_);
  if (awaited_ != number) return;
  result_ = std::move(values);
  changed_.notify_all();
}

void Plane::ask(uint32_t number) {
  if (rank_ == 0) return answerAsk(number);
  WireWriter out;
  out.u32(number);
  sendUp(kFrameAsk, out.take());
}

void Plane::answerAsk(uint32_t number) {
  if (number < completed_) return;
  MissingRanks missing;
  missing.number = number;
  const auto found = gathers_.find(number);
  for (int rank = 0; rank < size_; ++rank) {
    const bool isHere =
        found != gathers_.end() && found->second.values[static_cast<size_t>(rank)].has_value();
    if (!isHere) missing.ranks.push_back(rank);
  }
  onMissing(missing.encode());
}

void Plane::onMissing(std::string_view payload) {
  for (const auto& link : links_) {
    if (!link->isParent) link->channel->send(kFrameMissing, std::string(payload));
  }
  const auto missing = MissingRanks::decode(payload);
  const std::lock_guard lock(mutex_);
  const bool isAwaited = missing && (awaited_ == missing->number || !isJoined_);
  if (!isAwaited) return;
  missing_ = missing->ranks;
  changed_.notify_all();
}

// ---- Notes ----

void Plane::sendNote(const std::string& text) {
  if (isClosed_) return;
  WireWriter out;
  out.u32(static_cast<uint32_t>(rank_));
  out.text(text);
  if (rank_ == 0) return spread(nullptr, kFrameNote, out.take(), false);
  sendUp(kFrameNote, out.take());
}

void Plane::onNote(const Link& from, std::string_view payload) {
  const bool isUpward = !from.isParent;
  if (isUpward && rank_ != 0) return sendUp(kFrameNote, std::string(payload));
  if (!isUpward) spread(from.channel.get(), kFrameNote, std::string(payload), false);
  WireReader in(payload);
  const uint32_t rank = in.u32();
  const std::string_view text = in.text();
  if (listener_ == nullptr || !in.isGood() || rank >= static_cast<uint32_t>(size_)) return;
  const base::LogRankScope scope(rank_);
  listener_->onNote(static_cast<int>(rank), text);
}

void Plane::scheduleTick() {
  const std::weak_ptr<Plane> self = weak_from_this();
  tickTimer_ = reactor_.at(base::nowNs() + tickNs_, [self] {
    const auto plane = self.lock();
    if (!plane || plane->isClosed_ || plane->listener_ == nullptr) return;
    const base::LogRankScope scope(plane->rank_);
    plane->listener_->onTick();
    plane->scheduleTick();
  });
}

// ---- Failures ----

void Plane::spread(const Channel* except, uint8_t type, std::string payload, bool isUrgent) {
  const auto shared = std::make_shared<const std::string>(std::move(payload));
  for (const auto& link : links_) {
    if (link->channel.get() == except) continue;
    if (isUrgent) {
      link->channel->sendUrgent(type, shared);
    } else {
      link->channel->send(type, shared);
    }
  }
}

void Plane::onFailureFrame(const Channel& from, std::string_view payload) {
  WireReader in(payload);
  const uint32_t rank = in.u32();
  const auto kind = static_cast<FailureKind>(in.u8());
  const std::string reason(in.text());
  if (!in.isGood() || rank >= static_cast<uint32_t>(size_)) return;
  recordFailure(&from, static_cast<int>(rank), kind, reason);
}

void Plane::recordFailure(const Channel* from, int rank, FailureKind kind,
                          const std::string& reason) {
  if (!failed_.insert(rank).second) return;
  WireWriter out;
  out.u32(static_cast<uint32_t>(rank));
  out.u8(static_cast<uint8_t>(kind));
  out.text(reason);
  spread(from, kFrameFailure, out.take(), true);
  const std::lock_guard lock(mutex_);
  if (!failure_.has_value()) {
    failure_ = PeerFailure{rank, kind == FailureKind::kAborted, reason};
    failureKind_ = kind;
    if (!isReleased_) {
      const base::LogRankScope scope(rank_);
      TUTTI_LOG_INFO(kBootstrap, "rank {} failed: {}", rank, reason);
    }
  }
  hasFailed_.store(true, std::memory_order_relaxed);
  changed_.notify_all();
}

void Plane::onLeave(const Channel* from, int rank) {
  if (!left_.insert(rank).second) return;
  if (firstLeft_ < 0) firstLeft_ = rank;
  WireWriter out;
  out.u32(static_cast<uint32_t>(rank));
  spread(from, kFrameLeave, out.take(), false);
  const std::lock_guard lock(mutex_);
  // Results come before a leave on every path, so what is still awaited will never come.
  if (awaited_.has_value() && !result_.has_value() && broken_.isOk()) {
    broken_ = Status(Code::kRemoteError, base::kErrPeerLeft,
                     fmt::format("rank {} ({}) left the communicator while others still exchange "
                                 "values",
                                 firstLeft_, describe(firstLeft_)));
  }
  changed_.notify_all();
}

void Plane::scheduleBeat() {
  const std::weak_ptr<Plane> self = weak_from_this();
  beatTimer_ = reactor_.at(base::nowNs() + beatNs_, [self] {
    if (const auto plane = self.lock()) plane->beat();
  });
}

void Plane::beat() {
  if (isClosed_) return;
  const int64_t now = reactor_.turnNs();
  const int64_t limitNs = timeout_.count() * 1'000'000;
  std::vector<Link*> silent;
  for (const auto& link : links_) {
    if (link->channel->isFlushed()) link->channel->send(kFrameHeartbeat, std::string());
    const int rank = static_cast<int>(link->peer.rank);
    const int64_t heard =
        std::max({link->channel->lastHeardNs(), reactor_.resumedAtNs(), joinedNs_});
    const bool isSilent = limitNs != 0 && now - heard > limitNs;
    if (isSilent && !failed_.contains(rank)) silent.push_back(link.get());
  }
  for (const Link* link : silent) {
    recordFailure(
        nullptr, static_cast<int>(link->peer.rank), FailureKind::kSilent,
        fmt::format("no sign of life from {} for {:.3g} s: it is stopped, or the way to it "
                    "is cut",
                    link->peer.toString(), static_cast<double>(limitNs) / 1e9));
  }
  scheduleBeat();
}

// ---- The end ----

// A rank that left in order still passes messages on while ranks below it are at work.
void Plane::endIfUnneeded() {
  Acceptor& acceptor = Acceptor::of(reactor_);
  const bool hasBelow =
      std::any_of(links_.begin(), links_.end(), [](const auto& link) { return !link->isParent; });
  if (left_.contains(rank_) && hasBelow && !isClosed_) {
    acceptor.keep(shared_from_this());
    return;
  }
  closeAll();
  acceptor.release(shared_from_this());
}

void Plane::closeAll() {
  isClosed_ = true;
  reactor_.cancel(beatTimer_);
  if (doorTicket_ != 0) Acceptor::of(reactor_).forget(door_.name, doorTicket_);
  doorSocket_.reset();
  parentDialer_.reset();
  for (const auto& server : servers_) {
    if (server->channel) server->channel->closeAfterFlush();
  }
  servers_.clear();
  for (const auto& [key, channel] : newcomers_) channel->close();
  newcomers_.clear();
  for (const auto& link : links_) link->channel->closeAfterFlush();
  links_.clear();
}

}  // namespace tutti::bootstrap
