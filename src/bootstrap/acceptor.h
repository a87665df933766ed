// Where the ranks and servers of this process listen, and how strangers are kept out.
//
// One acceptor per process; it listens only while somebody in the process expects connections. A
// connection must ask for one of the expected names within a second and then prove that it knows
// the secret; until then it can make the process read 88 bytes at most. The number of unproven
// connections is bounded, the oldest goes first. On the reactor's thread.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>

#include "src/bootstrap/channel.h"

namespace tutti::bootstrap {

inline constexpr size_t kMaxUnproven = 256;
// For the hello. A process that is starved of time may need longer; it tries again.
inline constexpr int64_t kHelloNs = 1'000'000'000;
// For the answer of one that knows the name of something expected here, so is hardly a stranger.
inline constexpr int64_t kAnswerNs = 10'000'000'000;

// A listening socket, closed with its last owner.
class ListenSocket {
 public:
  ListenSocket(Reactor& reactor, base::UniqueFd fd, uint16_t port, uint64_t watch)
      : reactor_(reactor), fd_(std::move(fd)), port_(port), watch_(watch) {}
  ~ListenSocket() { reactor_.unwatch(watch_); }
  ListenSocket(const ListenSocket&) = delete;
  ListenSocket& operator=(const ListenSocket&) = delete;

  uint16_t port() const { return port_; }

 private:
  Reactor& reactor_;
  base::UniqueFd fd_;
  uint16_t port_;
  uint64_t watch_;
};

class Acceptor {
 public:
  using OnChannel = std::function<void(std::shared_ptr<Channel>)>;

  // The acceptor of the reactor's process; made on first use, lives as long as the reactor.
  static Acceptor& of(Reactor& reactor);

  // The socket that is open for this port, or a new one. Port 0: any port. `isLocalOnly` listens on
  // 127.0.0.1 alone.
  base::Result<std::shared_ptr<ListenSocket>> open(uint16_t port, bool isLocalOnly);

  // Expects connections that know `secret` under the public `name`. Replaces an earlier
  // expectation. Returns a ticket for forget, which does nothing if the expectation was replaced
  // meanwhile.
  uint64_t expect(const base::KeyId& name, const base::Key& secret, OnChannel onChannel);
  void forget(const base::KeyId& name, uint64_t ticket);

  // When connections could not be accepted for want of file descriptors, and the errno.
  struct Shortage {
    int64_t atNs = 0;  // 0: never
    int error = 0;
  };
  Shortage lastShortage() const { return lastShortage_; }

  // Takes references to things that must outlive their maker, until released.
  void keep(const std::shared_ptr<void>& thing) { kept_.insert(thing); }
  void release(const std::shared_ptr<void>& thing) { kept_.erase(thing); }

 private:
  struct Expectation {
    base::Key secret;
    OnChannel onChannel;
    uint64_t ticket;
  };
  struct Unproven;

  explicit Acceptor(Reactor& reactor) : reactor_(reactor) {}

  void onConnection(int listenFd, uint64_t watch);
  bool makeRoom();
  void admit(base::UniqueFd fd, const Address& from);
  void onBytes(const std::shared_ptr<Unproven>& guest);
  bool advance(const std::shared_ptr<Unproven>& guest);
  void promote(const std::shared_ptr<Unproven>& guest);
  void drop(const std::shared_ptr<Unproven>& guest, std::string_view reason, bool isLoud = false);

  Reactor& reactor_;
  std::map<std::pair<uint16_t, bool>, std::weak_ptr<ListenSocket>> sockets_;
  std::map<base::KeyId, Expectation> expected_;
  std::list<std::shared_ptr<Unproven>> unproven_;  // oldest first
  std::set<std::shared_ptr<void>> kept_;
  uint64_t nextTicket_ = 1;
  bool hasWarned_ = false;
  bool hasWarnedOfAccept_ = false;
  Shortage lastShortage_;
};

}  // namespace tutti::bootstrap
