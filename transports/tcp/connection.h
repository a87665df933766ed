// TcpWire: the lanes to one peer.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "transports/messages.h"
#include "transports/tcp/lane.h"
#include "transports/wire.h"

namespace tutti::transports::tcp {

// Memory for what arrives, of one communicator.
class PacketPool {
 public:
  Packet* take(uint32_t bytes);
  void giveBack(Packet* packet) { free_.push_back(packet); }

 private:
  std::vector<std::unique_ptr<Packet>> packets_;
  std::vector<Packet*> free_;
};

// Frames go to the lane that has the least under way, so that each carries what it can. Where a
// lane breaks, or stands still while others move, the others send again what it has not delivered
// for certain; the peer is lost with the last one.
class TcpWire final : public Wire, public Lane::Owner {
 public:
  // `onGone` is called when it is destroyed.
  TcpWire(PacketPool& pool, Sink& sink, ir::Rank peer, std::function<void()> onGone)
      : pool_(pool), sink_(sink), peer_(peer), onGone_(std::move(onGone)) {}
  ~TcpWire() override { onGone_(); }

  // ---- Wire ----
  void send(const Frame& frame, SendBuffer* buffer) override;
  // Messages without a payload have none.
  void giveBack(void* token) override {
    if (token != nullptr) pool_.giveBack(static_cast<Packet*>(token));
  }

  bool isBackedUp() const override {
    const Lane* lane = best();
    return lane == nullptr || lane->isBackedUp();
  }

  // ---- Lane::Owner ----
  Packet* room(uint32_t bytes) override { return pool_.take(bytes); }
  void arrived(const Frame& frame, Packet* packet) override;
  void sent(SendBuffer* buffer) override { sink_.sent(buffer); }

  void addLane(std::unique_ptr<Lane> lane);
  size_t laneCount() const { return lanes_.size(); }

  // True: frames arrived. `flush` gives the kernel what it takes; true: nothing is left here.
  bool receive();
  bool flush();
  // Acknowledges, and moves what broken lanes held to others.
  void tend(bool isTick, int64_t nowNs);
  // No lane can be had, or the last one broke.
  void lose(const std::string& why);
  bool hasArrived() { return std::exchange(hasArrived_, false); }

 private:
  Lane* best() const;
  void watch(int64_t nowNs);
  void bury(size_t index);

  PacketPool& pool_;
  Sink& sink_;
  const ir::Rank peer_;
  const std::function<void()> onGone_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::deque<Outgoing> backlog_;  // before the first lane
  int64_t askedNs_ = 0;
  bool isLost_ = false;
  bool hasArrived_ = false;
};

}  // namespace tutti::transports::tcp
