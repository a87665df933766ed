// MessageConnection: channels, order and credit on top of a wire, for every network transport.
//
// Credit. On each channel Limits::kFifoSlots messages may be under way, whatever happens on others
// (Schedules are free of deadlocks with as many); beyond that all channels together may have a
// window of bytes under way, where a short message counts as 4 KiB: what the way to the peer holds
// (send_window.h). A message counts until the peer has read it, which it says in its own frames;
// unless there are some anyway, after 8 messages of a channel or a quarter of the window.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "src/ir/schedule.h"
#include "transports/meter.h"
#include "transports/remote.h"
#include "transports/send_window.h"
#include "transports/transport.h"
#include "transports/wire.h"

namespace tutti::transports {

inline constexpr int kAllChannels = ir::Limits::kChannels + ir::Limits::kNarrowChannels;

// What an established connection needs to know.
struct MessageOptions {
  ir::Rank self = 0;
  SegmentView segment;  // this rank's own: its header is what is published
  Cookie cookie = {};
  uint64_t windowBytes = 2 << 20;         // at most
  uint64_t leastWindowBytes = 256 << 10;  // and at first
};

class MessageConnection final : public Connection, public Remote, public Wire::Sink {
 public:
  explicit MessageConnection(const MessageOptions& options);
  ~MessageConnection() override;
  // Before anything else; once. `wire` may call back at once.
  void attach(std::unique_ptr<Wire> wire);

  // ---- Connection ----
  // Only its header: the peer's as it was last heard of.
  SegmentView segment() const override { return peerSegment_; }
  std::byte* mapPeer(uint64_t, const device::ShareHandle&, size_t) override { return nullptr; }
  bool canCopy() const override { return false; }
  base::Status readPeer(void* local, uint64_t remote, size_t bytes) override;
  base::Status writePeer(uint64_t remote, const void* local, size_t bytes) override;
  Remote* remote() override { return this; }

  // ---- Remote ----
  std::byte* reserve(int channel, uint64_t bytes) override;
  void send(int channel, uint64_t bytes, uint64_t tag) override;
  const Arrival* front(int channel) override;
  void pop(int channel) override;
  void greet() override;
  bool isHeardOf() const override { return isHeardOf_; }
  void publish(bool isUrgent) override;
  base::Status failure() const override { return failure_; }
  void follow(const Presence* presence) override { presence_ = presence; }
  Arrivals arrivals() const override { return meter_.read(); }

  // ---- Wire::Sink ----
  void sent(SendBuffer* buffer) override;
  bool arrived(const Frame& frame, std::byte* data, void* token) override;
  void failed(base::Status why) override;

  // Does this process still hold frames that the wire has not taken?
  bool isSending() const { return underWay_ > 0; }

 private:
  struct Published;
  struct Incoming {
    Arrival arrival;
    void* token = nullptr;
    bool isThere = false;
  };
  struct Channel {
    uint32_t sent = 0;  // messages, modulo 2^32, as all counts here
    uint32_t acknowledged = 0;
    std::deque<uint32_t> unread;  // costs of the messages sent and not acknowledged, oldest first
    SendBuffer* reserved = nullptr;  // of the next message
    uint32_t read = 0;
    uint32_t told = 0;              // of `read`, to the peer
    std::deque<Incoming> incoming;  // from number `read` on; some may be missing
  };

  SendBuffer* take(uint64_t bytes);
  void transmit(Frame frame, SendBuffer* buffer);
  void addReads(Frame& frame);
  void flush();  // the acknowledgements that wait for company
  void learnReads(const Frame& frame);
  void learnState(const Frame& frame, const std::byte* data);
  Channel& channel(int index) { return channels_[static_cast<size_t>(index)]; }

  MessageOptions options_;
  std::unique_ptr<SegmentHeader> peerHeader_;
  SegmentView peerSegment_;
  std::array<Channel, kAllChannels> channels_;
  uint64_t unreadBytes_ = 0;
  SendWindow window_;
  uint32_t followed_ = 0;         // the message that the window follows: its number
  int followedChannel_ = 0;       // and where it went
  uint64_t peerWindowBytes_ = 0;  // as it last said
  bool isHeardOf_ = false;
  int untold_ = 0;  // channels whose `told` is behind
  uint64_t untoldBytes_ = 0;
  int underWay_ = 0;  // frames that the wire has not sent
  std::vector<std::unique_ptr<SendBuffer>> buffers_;
  std::vector<SendBuffer*> free_;
  std::unique_ptr<Published> published_;  // what the peer was told last
  int64_t publishedNs_ = 0;
  base::Status failure_;
  const Presence* presence_ = nullptr;
  ArrivalMeter meter_;
  std::unique_ptr<Wire> wire_;  // gone first: it calls back
};

}  // namespace tutti::transports
