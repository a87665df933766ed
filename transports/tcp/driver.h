// TcpDriver: makes the lanes of one communicator and moves what goes over them.
//
// Of two ranks the higher one connects. The port is open only until all lanes are there; strangers
// who come to it meanwhile get a second to prove that they know the token.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/fd.h"
#include "src/base/secure.h"
#include "transports/tcp/connection.h"
#include "transports/tcp/greeting.h"
#include "transports/tcp/paths.h"
#include "transports/tcp/poller.h"
#include "transports/transport.h"

namespace tutti::transports::tcp {

class TcpDriver final : public Driver, private EventHandler {
 public:
  static base::Result<std::unique_ptr<TcpDriver>> open(const ContextOptions& options);

  base::Result<std::unique_ptr<Connection>> connect(ir::Rank peer, std::string_view address);
  std::string address() const { return home_.toText(); }

  // ---- Driver ----
  bool progress() override;
  bool settle() override;
  int eventDescriptor() const override { return poller_.descriptor(); }
  bool arm() override { return !poller_.isReady(); }

 private:
  struct Peer {
    TcpWire* wire = nullptr;
    MessageConnection* connection = nullptr;
    Home home;
    Paths paths;
    int lanesWanted = 0;  // as the dialer says; 0: not known yet
    bool hasFallenBack = false;
    bool isComplete = false;
    int64_t firstLaneNs = 0;
    std::string failures;  // of attempts, for people
  };
  struct Attempt {
    ir::Rank peer = -1;  // -1: somebody came to us
    Path path;
    LaneClaim claim;
    std::unique_ptr<Greeting> greeting;  // null: to be tried again
    int64_t againNs = 0;
  };

  explicit TcpDriver(const ContextOptions& options);
  base::Status listen();
  void onReady(uint32_t events) override;  // of the port
  void dial(ir::Rank peer, const Path& path, const LaneClaim& claim);
  void dialAll(ir::Rank peer, const std::vector<Path>& paths, bool isAlternative);
  void tend(int64_t nowNs);
  void tendGreetings(int64_t nowNs);
  bool tendAttempt(Attempt& attempt, int64_t nowNs);
  void welcome(Attempt& attempt);
  void tendPeer(ir::Rank rank, int64_t nowNs);
  void forget(ir::Rank peer);
  bool isConnecting() const { return incomplete_ > 0; }
  void complete(Peer& peer);
  Peer& at(ir::Rank rank) { return peers_[static_cast<size_t>(rank)]; }

  ContextOptions options_;
  base::Key key_;
  bool wantsEncryption_;
  int64_t startNs_;
  int64_t deadlineNs_;
  Poller poller_;
  base::UniqueFd port_;
  Home home_;
  PacketPool pool_;
  std::vector<Peer> peers_;
  std::vector<TcpWire*> wires_;  // those of peers_ that there are
  std::vector<Attempt> attempts_;
  int incomplete_ = 0;  // peers whose lanes are not all there
  int64_t tendedNs_ = 0;
};

}  // namespace tutti::transports::tcp
