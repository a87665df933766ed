// An authenticated connection that carries frames. Lives on the reactor's thread.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "src/base/fd.h"
#include "src/base/status.h"
#include "src/bootstrap/address.h"
#include "src/bootstrap/handshake.h"
#include "src/bootstrap/reactor.h"

namespace tutti::bootstrap {

class Channel : public std::enable_shared_from_this<Channel> {
 public:
  // Told what happens on a channel, on the reactor's thread. May close the channel meanwhile.
  class Listener {
   public:
    virtual ~Listener() = default;
    // `payload` is valid during the call.
    virtual void onFrame(Channel& channel, uint8_t type, std::string_view payload) = 0;
    // The other side closed it, it broke, or a frame was not authentic. Called at most once, and
    // not after close().
    virtual void onClosed(Channel& channel, const base::Status& reason) = 0;
  };

  using Payload = std::shared_ptr<const std::string>;

  // Takes a non-blocking socket whose handshake is done.
  Channel(Reactor& reactor, base::UniqueFd fd, const FrameKeys& keys);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // Starts to read. The listener may be changed later; weak, so that either may end first.
  void listen(std::weak_ptr<Listener> listener);

  // Queues a frame. Payloads are shared between channels and sealed when the socket can take them.
  void send(uint8_t type, Payload payload);
  void send(uint8_t type, std::string payload);
  // The same, ahead of all that is queued.
  void sendUrgent(uint8_t type, Payload payload);

  // Whether all that was queued is with the kernel.
  bool isFlushed() const { return queue_.empty() && outSent_ == out_.size(); }
  bool isOpen() const { return fd_.isOpen(); }

  // Stops at once. Safe to call twice.
  void close();

  // Sends what is queued, then closes, after at most one second. Nothing is heard any more.
  void closeAfterFlush();

  // When the last authentic frame came.
  int64_t lastHeardNs() const { return lastHeardNs_; }
  const Address& peerAddress() const { return peerAddress_; }

 private:
  struct Outgoing {
    uint8_t type;
    Payload payload;
  };

  void onEvents(uint32_t events);
  void onReadable();
  bool takeFrames();
  void flush();
  void fail(const base::Status& reason);

  Reactor& reactor_;
  base::UniqueFd fd_;
  FrameSealer sealer_;
  FrameOpener opener_;
  std::weak_ptr<Listener> listener_;
  Address peerAddress_;
  std::string in_;
  std::deque<Outgoing> queue_;
  std::string out_;
  size_t outSent_ = 0;
  uint64_t watch_ = 0;
  uint64_t lingerTimer_ = 0;
  bool isWritableWatched_ = false;
  bool isLingering_ = false;
  int64_t lastHeardNs_ = 0;
};

}  // namespace tutti::bootstrap
