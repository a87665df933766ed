// How a rank joins: registers with the rendezvous, is told its parent in the tree, attaches to it,
// and exchanges the table of ranks over the tree.
#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

#include "src/base/clock.h"
#include "src/base/descriptors.h"
#include "src/base/errors.h"
#include "src/base/host.h"
#include "src/base/log.h"
#include "src/bootstrap/interfaces.h"
#include "src/bootstrap/plane.h"
#include "src/bootstrap/rendezvous.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;

namespace {

constexpr int64_t kLongestBeatNs = 5000 * kMs;
constexpr int64_t kShortestBeatNs = 20 * kMs;

struct TableEntry {
  PeerIdentity identity;
  uint32_t size = 0;
  uint64_t timeoutMs = 0;
  base::Key session{};
};

std::string encodeEntry(const TableEntry& entry) {
  WireWriter out;
  entry.identity.write(out);
  out.u32(entry.size);
  out.u64(entry.timeoutMs);
  out.raw(base::asText(entry.session));
  return out.take();
}

TableEntry decodeEntry(std::string_view bytes) {
  WireReader in(bytes);
  TableEntry entry;
  entry.identity = PeerIdentity::read(in);
  entry.size = in.u32();
  entry.timeoutMs = in.u64();
  const std::string_view session = in.raw(entry.session.size());
  std::copy(session.begin(), session.end(), reinterpret_cast<char*>(entry.session.data()));
  return entry;
}

}  // namespace

bool Plane::hasChildren() const { return int64_t{rank_} * fanOut_ + 1 < size_; }

void Plane::start() {
  identities_[rank_] = {static_cast<uint32_t>(rank_), static_cast<uint32_t>(getpid()),
                        base::hostName()};
  Status status = serveRendezvous();
  if (status.isOk()) status = openDoor();
  if (!status.isOk()) return breakWith(status);
  for (const int index : serversNeeded()) dialServer(index);
}

Status Plane::serveRendezvous() {
  if (rank_ != 0) return {};
  for (const IdContent& id : ids_) {
    if (!id.isServedByRankZero) continue;
    const bool isLocal = std::all_of(id.addresses.begin(), id.addresses.end(),
                                     [](const Address& each) { return each.isLoopback(); });
    TUTTI_ASSIGN_OR_RETURN(auto socket, Acceptor::of(reactor_).open(id.addresses[0].port, isLocal));
    Rendezvous::serve(reactor_, std::move(socket), id.secret, nullptr);
  }
  return {};
}

Status Plane::openDoor() {
  if (!hasChildren()) return {};
  TUTTI_ASSIGN_OR_RETURN(door_.addresses, addressesToOffer());
  const bool isLocal = door_.addresses.size() == 1;
  Acceptor& acceptor = Acceptor::of(reactor_);
  TUTTI_ASSIGN_OR_RETURN(doorSocket_, acceptor.open(0, isLocal));
  for (Address& address : door_.addresses) address.port = doorSocket_->port();
  door_.name = base::randomKeyId();
  door_.hostKey = thisHostKey();
  const std::weak_ptr<Plane> self = weak_from_this();
  doorTicket_ = acceptor.expect(door_.name, doorKey(secret_, door_.name),
                                [self](std::shared_ptr<Channel> channel) {
                                  const auto plane = self.lock();
                                  if (!plane || plane->isClosed_) return;
                                  plane->newcomers_[channel.get()] = channel;
                                  channel->listen(self);
                                });
  return {};
}

// The server of this rank's share, and those of its children's shares, which tell them where it is.
std::set<int> Plane::serversNeeded() const {
  std::set<int> needed;
  const int count = static_cast<int>(ids_.size());
  for (int index = 0; index < count; ++index) {
    const RankShare share = shareOf(index, count, size_);
    const int64_t firstChild = int64_t{rank_} * fanOut_ + 1;
    const bool hasChildThere =
        firstChild < share.last && firstChild + fanOut_ > share.first && hasChildren();
    if (share.contains(rank_) || hasChildThere) needed.insert(index);
  }
  return needed;
}

void Plane::dialServer(int index) {
  const IdContent& id = ids_[static_cast<size_t>(index)];
  auto owned = std::make_unique<Server>();
  Server* server = owned.get();
  server->index = index;
  servers_.push_back(std::move(owned));
  const std::weak_ptr<Plane> self = weak_from_this();
  server->dialer = Dialer::start(reactor_,
                                 {id.addresses, base::publicName(id.secret), id.secret, id.hostKey,
                                  id.isServedByRankZero, "the rendezvous"},
                                 [self, server](base::Result<std::shared_ptr<Channel>> result) {
                                   const auto plane = self.lock();
                                   if (!plane || plane->isClosed_) return;
                                   if (!result) return plane->breakWith(result.status());
                                   server->channel = result.take();
                                   plane->registerWith(*server);
                                 });
}

void Plane::registerWith(Server& server) {
  Registration registration;
  registration.identity = identities_[rank_];
  registration.size = static_cast<uint32_t>(size_);
  registration.idCount = static_cast<uint32_t>(ids_.size());
  registration.idIndex = static_cast<uint32_t>(server.index);
  registration.fanOut = static_cast<uint32_t>(fanOut_);
  registration.door = door_;
  server.channel->listen(weak_from_this());
  server.channel->send(kFrameRegister, registration.encode());
}

void Plane::onServerFrame(Server& server, uint8_t type, std::string_view payload) {
  if (type == kFrameRefused) {
    server.channel->close();
    breakWith(decodeStatus(payload));
  } else if (type == kFrameMissing) {
    if (const auto missing = MissingRanks::decode(payload)) {
      const std::lock_guard lock(mutex_);
      missing_ = missing->ranks;
      changed_.notify_all();
    }
  } else if (type == kFrameParent && !isInvited_) {
    isInvited_ = true;
    const auto invitation = Invitation::decode(payload);
    if (!invitation || invitation->parent.has_value() != (rank_ != 0)) {
      breakWith(
          {Code::kInternalError, base::kErrInternal, "the rendezvous sent a malformed invitation"});
    } else {
      onInvited(*invitation);
    }
  }
}

void Plane::onInvited(const Invitation& invitation) {
  if (!invitation.parent) return contributeTableEntry();
  const int parent = static_cast<int>(invitation.parent->rank);
  identities_[parent] = *invitation.parent;
  const std::weak_ptr<Plane> self = weak_from_this();
  parentDialer_ =
      Dialer::start(reactor_,
                    {invitation.door.addresses, invitation.door.name,
                     doorKey(secret_, invitation.door.name), invitation.door.hostKey, false,
                     fmt::format("rank {} ({})", parent, invitation.parent->toString())},
                    [self, invitation](base::Result<std::shared_ptr<Channel>> result) {
                      const auto plane = self.lock();
                      if (!plane || plane->isClosed_) return;
                      if (!result) return plane->breakWith(result.status());
                      plane->attachTo(invitation, result.take());
                    });
}

void Plane::attachTo(const Invitation& invitation, std::shared_ptr<Channel> channel) {
  WireWriter out;
  identities_[rank_].write(out);
  channel->send(kFrameAttach, out.take());
  links_.push_back(std::make_unique<Link>(Link{*invitation.parent, channel, true}));
  channel->listen(weak_from_this());
  tellFailures(*channel);
  contributeTableEntry();
  isAttached_ = true;
  for (auto& [type, payload] : std::exchange(waitingForParent_, {})) sendUp(type, payload);
}

// What this rank knows already, a new neighbour must know, too.
void Plane::tellFailures(Channel& channel) const {
  for (const int rank : failed_) {
    WireWriter out;
    out.u32(static_cast<uint32_t>(rank));
    out.u8(static_cast<uint8_t>(FailureKind::kDied));
    out.text(describe(rank));
    channel.send(kFrameFailure, out.take());
  }
}

void Plane::onAttach(Channel& channel, std::string_view payload) {
  const auto found = newcomers_.find(&channel);
  const std::shared_ptr<Channel> owned = found->second;
  newcomers_.erase(found);
  WireReader in(payload);
  const PeerIdentity peer = PeerIdentity::read(in);
  const int child = static_cast<int>(peer.rank);
  const bool isMine = in.isGood() && peer.rank < static_cast<uint32_t>(size_) && child > 0 &&
                      parentOf(child, fanOut_) == rank_;
  const bool isNew = std::none_of(links_.begin(), links_.end(),
                                  [&](const auto& link) { return link->peer.rank == peer.rank; });
  if (!isMine || !isNew) {
    TUTTI_LOG_WARN("dropped a connection that claims to be rank {}", peer.rank);
    owned->close();
    return;
  }
  identities_[child] = peer;
  links_.push_back(std::make_unique<Link>(Link{peer, owned, false}));
  tellFailures(*owned);
}

void Plane::contributeTableEntry() {
  TableEntry entry;
  entry.identity = identities_[rank_];
  entry.size = static_cast<uint32_t>(size_);
  entry.timeoutMs = static_cast<uint64_t>(timeout_.count());
  entry.session = base::randomKey();
  contribute(0, encodeEntry(entry));
}

void Plane::onTable(const std::vector<std::string>& table) {
  uint64_t shortestMs = 0;
  base::Key session{};
  for (int rank = 0; rank < size_; ++rank) {
    const TableEntry entry = decodeEntry(table[static_cast<size_t>(rank)]);
    if (entry.size != static_cast<uint32_t>(size_)) {
      return breakWith({Code::kInvalidUsage, base::kErrSizeMismatch,
                        fmt::format("ranks disagree on the number of ranks: rank {} ({}) says {}, "
                                    "rank {} says {}",
                                    rank, entry.identity.toString(), entry.size, rank_, size_)});
    }
    identities_[rank] = entry.identity;
    if (rank == 0) session = entry.session;
    if (entry.timeoutMs != 0 && (shortestMs == 0 || entry.timeoutMs < shortestMs)) {
      shortestMs = entry.timeoutMs;
    }
  }
  // Nobody else can come: nothing of this communicator listens from here on.
  Acceptor::of(reactor_).forget(door_.name, doorTicket_);
  doorSocket_.reset();
  for (const auto& server : servers_) {
    if (!server->channel) continue;
    server->channel->send(kFrameJoined, std::string());
    server->channel->closeAfterFlush();
  }
  servers_.clear();
  parentDialer_.reset();
  joinedNs_ = base::nowNs();
  if (shortestMs != 0 && size_ > 1) {
    beatNs_ =
        std::clamp(static_cast<int64_t>(shortestMs) * kMs / 5, kShortestBeatNs, kLongestBeatNs);
    scheduleBeat();
  }
  const std::lock_guard lock(mutex_);
  session_ = session;
  isJoined_ = true;
  changed_.notify_all();
}

void Plane::askWhoIsMissing() {
  const bool isRegistered = std::any_of(servers_.begin(), servers_.end(), [](const auto& server) {
    return server->channel != nullptr;
  });
  if (isInvited_) {
    if (parentDialer_ && links_.empty()) return breakWith(parentDialer_->describeFailure());
    return ask(0);
  }
  if (!isRegistered) {
    for (const auto& server : servers_) return breakWith(server->dialer->describeFailure());
  }
  for (const auto& server : servers_) {
    WireWriter out;
    out.u32(0);
    if (server->channel) server->channel->send(kFrameAsk, out.take());
  }
}

Status Plane::withCause(const Status& status) const {
  const Acceptor::Shortage shortage = Acceptor::of(reactor_).lastShortage();
  const bool isEffect =
      status.errorId() == base::kErrUnreachable || status.errorId() == base::kErrJoinTimeout;
  if (!isEffect || shortage.atNs < startNs_) return status;
  return base::systemFailure("ranks could not connect to this process", shortage.error);
}

void Plane::giveUp(const Status& reason) {
  for (const auto& server : servers_) {
    if (!server->channel || !server->channel->isOpen()) continue;
    server->channel->send(kFrameGiveUp, encodeStatus(reason));
    const std::lock_guard lock(mutex_);
    ++unanswered_;
  }
  if (!failed_.contains(rank_)) {
    failed_.insert(rank_);
    WireWriter out;
    out.u32(static_cast<uint32_t>(rank_));
    out.u8(static_cast<uint8_t>(FailureKind::kAborted));
    out.text(fmt::format("{}: {}", describe(rank_), reason.text()));
    spread(nullptr, kFrameFailure, out.take(), true);
  }
}

}  // namespace tutti::bootstrap
