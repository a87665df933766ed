// A connection that has not proved yet whose it is. Never blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "src/base/fd.h"
#include "transports/tcp/handshake.h"
#include "transports/tcp/paths.h"
#include "transports/tcp/poller.h"

namespace tutti::transports::tcp {

class Greeting final : public EventHandler {
 public:
  enum class State { kRunning, kProven, kFailed };

  // Starts to connect.
  Greeting(Poller& poller, const Path& path, uint16_t port, const base::Key& key,
           const LaneClaim& claim, int64_t deadlineNs);
  // Of who has connected to us.
  Greeting(Poller& poller, base::UniqueFd socket, const base::Key& key, bool wantsEncryption,
           int64_t deadlineNs);
  ~Greeting() override;
  Greeting(const Greeting&) = delete;
  Greeting& operator=(const Greeting&) = delete;

  void onReady(uint32_t events) override;
  // Fails a greeting whose time is over.
  void expire(int64_t nowNs);

  State state() const { return state_; }
  bool isDialing() const { return dialer_.has_value(); }
  // Once proven: of the dialer.
  const LaneClaim& claim() const { return claim_; }
  const LaneKeys& keys() const { return dialer_ ? dialer_->keys() : acceptor_->keys(); }
  base::UniqueFd takeSocket();
  // Once failed: "10.0.0.1: Connection refused".
  const std::string& failure() const { return failure_; }

 private:
  int dial(const Path& path, uint16_t port);
  void advance();
  bool take(size_t bytes);
  void give(const std::string& bytes);
  void fail(const std::string& why);

  Poller& poller_;
  base::UniqueFd socket_;
  std::optional<Dialer> dialer_;
  std::optional<Acceptor> acceptor_;
  LaneClaim claim_;
  int64_t deadlineNs_;
  State state_ = State::kRunning;
  bool isConnected_ = false;
  int step_ = 0;
  std::string heard_;
  std::string name_;
  std::string failure_;
};

}  // namespace tutti::transports::tcp
