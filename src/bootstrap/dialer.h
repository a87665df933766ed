// Finds a way to an authenticated connection among several candidate addresses.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/bootstrap/channel.h"

namespace tutti::bootstrap {

// Tries the candidates one after the other, 60 ms apart, without waiting for earlier ones (RFC
// 8305, "happy eyeballs"); the first to complete the handshake wins. On the reactor's thread.
class Dialer : public std::enable_shared_from_this<Dialer> {
 public:
  struct Target {
    std::vector<Address> addresses;
    base::KeyId name{};
    base::Key secret{};
    uint64_t hostKey = 0;  // whose loopback address is meant; 0: not known
    bool isPatient =
        false;  // the server may come later: refusals are no failure until the deadline
    std::string description;  // "the rendezvous", "rank 0"
  };
  using OnDone = std::function<void(base::Result<std::shared_ptr<Channel>>)>;

  // Calls `onDone` once, unless stopped before.
  static std::shared_ptr<Dialer> start(Reactor& reactor, Target target, OnDone onDone);
  ~Dialer();
  Dialer(const Dialer&) = delete;
  Dialer& operator=(const Dialer&) = delete;

  void stop();

  // What was tried so far, on which address, with which outcome, and what to do.
  base::Status describeFailure() const;

 private:
  struct Attempt {
    Address address;
    base::UniqueFd fd;
    std::unique_ptr<ClientHandshake> handshake;
    std::string received;
    uint64_t watch = 0;
    bool isConnected = false;
    bool isAnswered = false;  // the challenge came and was answered; the welcome is awaited
    bool isDropped = false;   // somebody listened, but ended it: may be too busy
    bool isOver = false;
    int shortage = 0;  // the errno, where no socket was to be had
    std::string outcome = "not tried";
    Reject reject = Reject::kNone;
    uint16_t serverVersion = 0;
  };

  Dialer(Reactor& reactor, Target target, OnDone onDone);
  void beginRound();
  void beginNext();
  void connectTo(size_t index);
  void onEvents(size_t index, uint32_t events);
  void sendHello(size_t index);
  void onBytes(size_t index);
  void onChallenge(size_t index, const std::string& challenge);
  bool isHopeless() const;
  void endAttempt(size_t index, std::string outcome);
  void endRound();
  void finish(base::Result<std::shared_ptr<Channel>> result);

  Reactor& reactor_;
  Target target_;
  OnDone onDone_;
  std::vector<Attempt> attempts_;
  size_t next_ = 0;
  int rounds_ = 0;
  int64_t startNs_ = 0;
  uint64_t staggerTimer_ = 0;
  uint64_t roundTimer_ = 0;
  bool isOver_ = false;
};

}  // namespace tutti::bootstrap
