#include "transports/tcp/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "src/base/errors.h"
#include "src/base/log.h"

namespace tutti::transports::tcp {
namespace {

// The least memory of a packet: one slot and a tag.
constexpr uint32_t kPacketBytes = (64 << 10) + kTagBytes;
// A lane is given up when it delivers nothing for so long while another one does. Whether that one
// would, if it had anything to deliver, is asked for: the peer may just be busy.
constexpr int64_t kStuckNs = 1'500'000'000;
constexpr int64_t kAskNs = 500'000'000;
constexpr int64_t kAskEveryNs = 200'000'000;

}  // namespace

Packet* PacketPool::take(uint32_t bytes) {
  const auto fits = [bytes](const Packet* each) { return each->capacity >= bytes; };
  if (const auto found = std::find_if(free_.rbegin(), free_.rend(), fits); found != free_.rend()) {
    Packet* packet = *found;
    free_.erase(std::next(found).base());
    return packet;
  }
  auto& made = packets_.emplace_back(std::make_unique<Packet>());
  made->capacity = std::max(bytes, kPacketBytes);
  made->memory = std::make_unique_for_overwrite<std::byte[]>(made->capacity);
  return made.get();
}

Lane* TcpWire::best() const {
  Lane* best = nullptr;
  for (const auto& lane : lanes_) {
    if (lane->isBroken()) continue;
    if (best == nullptr || lane->outstandingBytes() < best->outstandingBytes()) best = lane.get();
  }
  return best;
}

void TcpWire::send(const Frame& frame, SendBuffer* buffer) {
  if (isLost_) return sink_.sent(buffer);
  Lane* lane = best();
  if (lane != nullptr) return lane->send(frame, buffer);
  backlog_.push_back({frame, buffer});
}

void TcpWire::arrived(const Frame& frame, Packet* packet) {
  hasArrived_ = true;
  if (frame.from != peer_) {
    if (packet != nullptr) pool_.giveBack(packet);
    return;
  }
  std::byte* data = packet == nullptr ? nullptr : packet->memory.get();
  const bool isKept = sink_.arrived(frame, data, packet);
  if (!isKept && packet != nullptr) pool_.giveBack(packet);
}

void TcpWire::addLane(std::unique_ptr<Lane> lane) {
  lanes_.push_back(std::move(lane));
  auto waiting = std::exchange(backlog_, {});
  for (const Outgoing& each : waiting) send(each.frame, each.buffer);
}

bool TcpWire::receive() {
  for (const auto& lane : lanes_) lane->receive();
  return hasArrived();
}

bool TcpWire::flush() {
  bool isEmpty = backlog_.empty();
  for (const auto& lane : lanes_) isEmpty &= lane->flush();
  return isEmpty;
}

// What does a lane wait for, another one or the peer?
void TcpWire::watch(int64_t nowNs) {
  const auto waited = [nowNs](const auto& lane) {
    return lane->waitingSinceNs() == 0 ? 0 : nowNs - lane->waitingSinceNs();
  };
  for (const auto& lane : lanes_) {
    const int64_t since = lane->waitingSinceNs();
    if (lane->isBroken() || waited(lane) < kAskNs) continue;
    const bool hasOtherMoved = std::any_of(lanes_.begin(), lanes_.end(), [&](const auto& other) {
      return !other->isBroken() && other->lastProgressNs() > since + kAskNs;
    });
    if (waited(lane) > kStuckNs && hasOtherMoved) {
      lane->breakOff({base::Code::kRemoteError, base::kErrTransportFailed,
                      "it delivers nothing while other lanes do"});
    } else if (nowNs - askedNs_ > kAskEveryNs) {
      askedNs_ = nowNs;
      for (const auto& other : lanes_) {
        if (!other->isBroken() && waited(other) < kAskNs) other->ask();
      }
    }
  }
}

void TcpWire::tend(bool isTick, int64_t nowNs) {
  for (const auto& lane : lanes_) lane->acknowledge(isTick);
  if (isTick && lanes_.size() > 1) watch(nowNs);
  for (size_t i = lanes_.size(); i-- > 0;) {
    if (lanes_[i]->isBroken()) bury(i);
  }
}

void TcpWire::bury(size_t index) {
  const std::unique_ptr<Lane> dead = std::move(lanes_[index]);
  lanes_.erase(lanes_.begin() + static_cast<std::ptrdiff_t>(index));
  const std::string why(dead->failure().text());
  const auto left = dead->leftovers();
  // Who leaves closes all of them, one after the other.
  if (!lanes_.empty() && !dead->isClosedByPeer()) {
    TUTTI_LOG_WARN("a connection to rank {} broke: {}; {} left, they carry on", peer_, why,
                   lanes_.size());
  }
  for (const Outgoing& each : left) {
    if (lanes_.empty()) {
      sink_.sent(each.buffer);
    } else {
      send(each.frame, each.buffer);
    }
  }
  if (lanes_.empty()) lose(why);
}

void TcpWire::lose(const std::string& why) {
  if (std::exchange(isLost_, true)) return;
  for (const Outgoing& each : backlog_) sink_.sent(each.buffer);
  backlog_.clear();
  sink_.failed({base::Code::kRemoteError, base::kErrTransportFailed,
                fmt::format("rank {} is unreachable: {}", peer_, why)});
}

}  // namespace tutti::transports::tcp
