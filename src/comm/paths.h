// The transports of a communicator: what this rank has opened, what all ranks offer, and which of
// them serves each pair. All ranks know all offers, so all judge alike.
//
// One thread at a time; const members may be called by any once the networks are open.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "src/bootstrap/control_plane.h"
#include "src/ir/world.h"
#include "transports/registry.h"
#include "transports/transport.h"

namespace tutti::comm {

// What a rank says of one of its transports.
struct Offer {
  std::string descriptor;
  std::string address;
  int preference = 0;
  ir::Reach reach = ir::Reach::kNone;
  bool isNetwork = false;
  bool isIntroduced = false;  // it wants to hear how peers' connections are known
};

// What serves a pair.
struct Path {
  std::string name;  // empty: nothing does
  int preference = 0;
  ir::Reach reach = ir::Reach::kNone;
  bool isNetwork = false;

  bool isOpen() const { return !name.empty(); }
};

// The networks that the settings allow in this process, in the order in which they are tried.
std::vector<const transports::Backend*> allowedNetworks();

class Paths {
 public:
  explicit Paths(ir::Rank rank) : rank_(rank) {}

  // The transports within a host.
  void openLocal(const transports::ContextOptions& options);

  // What the other ranks must know of this one, and what the next of them said. False: that is not
  // understood.
  nlohmann::json introduction() const;
  bool learn(const nlohmann::json& theirs);

  // Networks cost time, threads and ports: they are opened only where some ranks do not share
  // memory, and one after the other, the most preferred first, until none that is left would be
  // better. Collective, after learn() for all ranks. Blocks for the exchanges.
  base::Status openNetworks(bootstrap::ControlPlane& control, transports::ContextOptions options);

  // Of two different ranks.
  Path best(ir::Rank a, ir::Rank b) const;

  // To a peer that best() reaches.
  base::Result<std::unique_ptr<transports::Connection>> connect(ir::Rank peer);

  // Once connections to all peers are made: closes networks that none of them uses, and lets
  // transports know their peers' connections from strangers'. Collective.
  base::Status introduce(bootstrap::ControlPlane& control);

  std::vector<transports::Driver*> drivers() const;

  // The names of what is open: "inproc, shm".
  std::string names() const;
  // The first network in use that does not encrypt, and the peer; empty where there is none.
  std::string plainNetwork(ir::Rank& peer) const;
  // "4 pairs over shm, 2 over tcp (rather than ofi, ucx: no RDMA device)"
  std::string text() const;

 private:
  struct Open {
    const transports::Backend* backend;
    std::unique_ptr<transports::Context> context;
    Offer offer;
  };
  // What is known of a rank.
  struct Known {
    std::map<std::string, Offer> offers;     // by name
    std::vector<std::string> hostAddresses;  // "10.0.0.1:0"
    int next = 0;                            // preference of the network that it would open next
  };

  bool open(const transports::Backend& backend, const transports::ContextOptions& options);
  void openNext(const transports::ContextOptions& options);
  const transports::Backend* nextNetwork() const;
  bool wantsMore(ir::Rank rank) const;
  bool isAnyWanting() const;
  bool needsNetworks() const;
  bool isIntroducing() const;
  base::Status checkWanted() const;
  base::Status exchangeOffers(bootstrap::ControlPlane& control);
  nlohmann::json offersAsJson() const;
  bool learnOffers(Known& known, const nlohmann::json& theirs) const;
  std::vector<std::string> peerHosts() const;
  const Open* find(std::string_view name) const;
  std::string passedOver(const std::map<std::string, int>& used) const;
  ir::Rank size() const { return static_cast<ir::Rank>(known_.size()); }

  ir::Rank rank_;
  std::vector<Open> open_;
  std::vector<const transports::Backend*> tried_;  // networks
  std::vector<Known> known_;                       // by rank
};

// Of something a peer sent that is authenticated and that this version does not understand.
base::Status foreignVersion(ir::Rank rank, std::string_view what);

}  // namespace tutti::comm
