// One TCP connection of a wire: frames out, frames in. Never blocks.
//
// On the wire each frame is a LaneHeader and its payload; encrypted ones have a tag behind either.
// Where a wire has several lanes, each side says on every lane how many frames it has got there:
// what a broken lane has not delivered for certain is sent again by another.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "src/base/fd.h"
#include "src/base/status.h"
#include "transports/tcp/cipher.h"
#include "transports/tcp/handshake.h"
#include "transports/tcp/poller.h"
#include "transports/wire.h"

namespace tutti::transports::tcp {

// The frame without its cookie, which a proven lane has no need of.
struct LaneHeader {
  std::array<std::byte, sizeof(Frame) - sizeof(Cookie)> frame;
  uint32_t got = 0;   // frames that the sender of this has got on this lane, modulo 2^32
  uint32_t asks = 0;  // 1: to be told soon that this one was got
};
static_assert(sizeof(LaneHeader) == 72);

// The memory of a payload that has arrived.
struct Packet {
  std::unique_ptr<std::byte[]> memory;
  uint32_t capacity = 0;
};

// A frame on its way out.
struct Outgoing {
  Frame frame;
  SendBuffer* buffer = nullptr;
};

class Lane final : public EventHandler {
 public:
  // The wire.
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual Packet* room(uint32_t bytes) = 0;
    // `packet` is null where the frame has no payload.
    virtual void arrived(const Frame& frame, Packet* packet) = 0;
    // The lane has no more use for it.
    virtual void sent(SendBuffer* buffer) = 0;
  };

  // `isOneOfSeveral`: acknowledges, and keeps what is not acknowledged.
  Lane(base::UniqueFd socket, Poller& poller, Owner& owner, const LaneKeys& keys,
       bool isOneOfSeveral);
  // Waits a moment for the kernel to deliver what was sent (most 2 s, where the peer does not
  // read).
  ~Lane() override;
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  void send(const Frame& frame, SendBuffer* buffer);
  // Gives the kernel what it takes. True: nothing is left here.
  bool flush();
  // Takes what has arrived, up to a limit. True: a frame did.
  bool receive();
  void onReady(uint32_t events) override;

  // Says what has arrived, where that is overdue. `isTick`: also where little has.
  void acknowledge(bool isTick);
  // Wants to hear something from the peer.
  void ask();

  bool isBackedUp() const { return !queue_.empty() && !sealer_.has_value(); }
  uint64_t outstandingBytes() const { return outstandingBytes_; }
  // Since when payloads are under way and none was acknowledged; 0: none is under way.
  int64_t waitingSinceNs() const { return waitingSinceNs_; }
  int64_t lastProgressNs() const { return lastProgressNs_; }

  bool isBroken() const { return !failure_.isOk(); }
  bool isClosedByPeer() const { return isClosedByPeer_; }
  const base::Status& failure() const { return failure_; }
  void breakOff(base::Status why);
  // What a broken lane leaves to others, oldest first, as it was given to it.
  std::vector<Outgoing> leftovers();

 private:
  struct Sending {
    LaneHeader header;
    Outgoing outgoing;
    Tag headerTag{};
    Tag payloadTag{};
    uint64_t payloadNumber = 0;  // of the cipher
  };
  struct Incoming {
    Frame frame;
    Packet* packet = nullptr;
    uint32_t have = 0;
    uint32_t need = 0;  // with the tag
  };

  size_t headerBytes() const { return sizeof(LaneHeader) + (opener_.has_value() ? kTagBytes : 0); }
  void enqueue(const Frame& frame, SendBuffer* buffer, bool asks);
  Sending& placeFor(const Frame& frame);
  size_t fill(Sending& sending, iovec* pieces) const;
  void written(size_t bytes);
  void want(bool isWriting);
  bool parse();
  bool startFrame();
  bool finishFrame();
  void learn(uint32_t got);

  base::UniqueFd socket_;
  Poller& poller_;
  Owner& owner_;
  const bool isOneOfSeveral_;
  std::optional<Cipher> sealer_;
  std::optional<Cipher> opener_;

  std::deque<Sending> queue_;  // its first may be partly written
  size_t writtenOfFirst_ = 0;
  std::deque<Sending> unheard_;  // written, not acknowledged
  bool isWriting_ = false;       // the poller tells when the socket takes more
  uint64_t outstandingBytes_ = 0;
  uint32_t acknowledged_ = 0;
  int64_t waitingSinceNs_ = 0;
  int64_t lastProgressNs_ = 0;

  std::vector<std::byte> staging_;
  size_t stagedFrom_ = 0;
  size_t stagedTo_ = 0;
  Incoming incoming_;
  uint32_t got_ = 0;
  uint64_t untoldBytes_ = 0;
  bool isAsked_ = false;
  base::Status failure_;
  bool isClosedByPeer_ = false;
};

}  // namespace tutti::transports::tcp
