// Peers that share no memory: their messages, their news, and waiting for them.
#include <poll.h>

#include <algorithm>
#include <vector>

#include "src/base/clock.h"
#include "src/executor/engine.h"
#include "src/executor/progress_thread.h"

namespace tutti::executor {

using transports::makeTag;

bool Engine::resolveArrival(Operation& operation, const FlatOperand& operand, Cursor& cursor) {
  auto& peer = peers_[static_cast<size_t>(operand.rank)];
  const transports::Arrival* arrival = peer.remote->front(operand.channel);
  if (arrival == nullptr) return false;
  const uint64_t number = peer.fifos[operand.channel].received + 1;
  const uint64_t expected = makeTag(number, operation.signature);
  if (!isTagReady(operation, operand.rank, arrival->tag, expected)) return false;
  cursor.pointer = arrival->data;
  return true;
}

void Engine::publishRemote(const Operation& operation, const FlatOperand& operand, bool isSource,
                           uint64_t bytes) {
  auto& peer = peers_[static_cast<size_t>(operand.rank)];
  auto& fifo = peer.fifos[operand.channel];
  if (isSource) {
    ++fifo.received;
    peer.remote->pop(operand.channel);
  } else {
    peer.remote->send(operand.channel, bytes, makeTag(++fifo.sent, operation.signature));
  }
}

// Is it known what `rank` called instead? A remote one says so while it waits.
bool Engine::isClear(const Operation& operation, ir::Rank rank) const {
  constexpr int64_t kPatienceNs = 300'000'000;
  const auto& peer = peers_[static_cast<size_t>(rank)];
  const uint64_t number = operation.number != 0 ? operation.number : operation.part;
  if (peer.remote == nullptr || number == 0) return true;
  const auto& record = peer.segment.header().log[number % transports::kOpLogSize];
  if (record.number.load(std::memory_order_acquire) == number) return true;
  return operation.stillSinceNs != 0 && base::nowNs() - operation.stillSinceNs > kPatienceNs;
}

bool Engine::moveMessages() {
  if (options_.drivers.empty()) return false;
  presence_.look(base::nowNs());
  bool hasArrived = false;
  for (auto* driver : options_.drivers) hasArrived |= driver->progress();
  return hasArrived;
}

bool Engine::settleDrivers() {
  bool hasSettled = true;
  for (auto* driver : options_.drivers) hasSettled &= driver->settle();
  return hasSettled;
}

// What was sent must leave although nobody waits for it: at once, or by the progress thread.
void Engine::settle() {
  if (options_.drivers.empty() || isSettling_ || settleDrivers()) return;
  isSettling_ = true;
  asyncCount_.fetch_add(1, std::memory_order_release);
  ProgressThread::instance().add(*this);
}

void Engine::publishState(bool isUrgent) {
  for (auto& peer : peers_) {
    if (peer.remote != nullptr) peer.remote->publish(isUrgent);
  }
}

bool Engine::hasAnyoneStayed() const {
  return std::any_of(peers_.begin(), peers_.end(), [](const Peer& peer) {
    const auto running = static_cast<uint32_t>(transports::RankState::kRunning);
    return peer.remote != nullptr && peer.remote->failure().isOk() &&
           peer.segment.header().state.load(std::memory_order_acquire) == running;
  });
}

void Engine::sleep(uint64_t nanoseconds) {
  // No descriptor tells of bells.
  constexpr uint64_t kMixedNs = 200'000;
  std::vector<pollfd> descriptors;
  for (auto* driver : options_.drivers) {
    if (!driver->arm()) return;
    descriptors.push_back({driver->eventDescriptor(), POLLIN, 0});
  }
  const uint64_t most = hasMapped_ ? std::min(nanoseconds, kMixedNs) : nanoseconds;
  const timespec timeout{static_cast<time_t>(most / 1'000'000'000),
                         static_cast<long>(most % 1'000'000'000)};
  ppoll(descriptors.data(), descriptors.size(), &timeout, nullptr);
  presence_.stay(base::nowNs());
}

// Says so after all else: what was said before may come later.
void Engine::leaveRemotes() {
  constexpr int64_t kMostNs = 1'000'000'000;  // who is busy elsewhere does not answer
  constexpr uint64_t kSleepNs = 1'000'000;
  const std::lock_guard lock(mutex_);
  const int64_t until = base::nowNs() + kMostNs;
  bool hasSaidSo = false;
  while (base::nowNs() < until) {
    moveMessages();
    const bool hasSettled = settleDrivers();
    if (hasSettled && hasSaidSo && !hasAnyoneStayed()) return;
    if (hasSettled && !hasSaidSo) publishState(true);
    hasSaidSo |= hasSettled;
    sleep(kSleepNs);
  }
}

}  // namespace tutti::executor
