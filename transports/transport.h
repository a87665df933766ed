// How ranks reach each other. A transport offers a Context to each communicator; a Context tells
// from two descriptor strings whether it can reach a peer, and connects to it.
//
// Part of the contract of every transport: nothing here blocks for longer than a local system call,
// and nothing is left behind in the system when a process dies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "src/device/device.h"
#include "src/ir/world.h"
#include "transports/mapped.h"
#include "transports/remote.h"
#include "transports/wire.h"

namespace tutti::transports {

// A way to one peer. Used by one thread at a time; owned by the communicator.
class Connection {
 public:
  virtual ~Connection() = default;

  // The peer's segment, mapped into this process; of a remote peer, what is known of its header.
  virtual SegmentView segment() const = 0;

  // An address in this process through which the peer's bytes [address, address + bytes) can be
  // read and written, or null where there is none. `share` is what the peer's device said about
  // them. Mappings are cached and live as long as the connection.
  virtual std::byte* mapPeer(uint64_t address, const device::ShareHandle& share, size_t bytes) = 0;

  // Kernel-assisted copies for memory that can not be mapped. Only where canCopy().
  virtual bool canCopy() const = 0;
  virtual base::Status readPeer(void* local, uint64_t remote, size_t bytes) = 0;
  virtual base::Status writePeer(uint64_t remote, const void* local, size_t bytes) = 0;

  // Of Contexts that reach by messages; null of others. Their segment() has a header only.
  virtual Remote* remote() { return nullptr; }
};

// What a Context is made for.
struct ContextOptions {
  ir::Rank rank = 0;
  SegmentView segment;                 // this rank's own
  device::ShareHandle segmentShare;    // how another process opens it
  std::byte token[32] = {};            // every segment of this communicator carries it
  bool allowCopy = true;               // TUTTI_CMA_DISABLE is not set
  uint64_t windowBytes = 2 << 20;      // TUTTI_NET_WINDOW
  Cookie cookie = {};                  // what comes over a network for this communicator carries it
  std::vector<std::string> addresses;  // where peers reach this host over IP, best first
  // Whence peers may come that are reached over networks: "10.0.0.1:0", "[fd00::1]:0"; port 0.
  std::vector<std::string> peerHosts;
};

class Context {
 public:
  virtual ~Context() = default;
  // Equal or matching descriptors can talk; see canReach. Sent to all peers, printable.
  virtual std::string descriptor() const = 0;
  virtual bool canReach(std::string_view peerDescriptor) const = 0;
  // What a connection of this transport gives.
  virtual ir::Reach reach() const = 0;
  // How much it is preferred as it is here, `usual` being what its Backend says. Of a pair the
  // smaller of both counts.
  virtual int preference(int usual) const { return usual; }
  // What a peer passes to its own connect(). Sent to all peers over the control plane only.
  virtual std::string address() const = 0;
  virtual base::Result<std::unique_ptr<Connection>> connect(ir::Rank peer,
                                                            std::string_view peerAddress) = 0;
  // Of networks to whose ports strangers may come: whether they want the following. Once connect()
  // was called for all peers: how each peer knows this rank's connections to it, by rank; empty
  // where it needs not. Then, before the driver is first used, admit gets what each of them says to
  // this rank. May wait for what is on its way, a second at most.
  virtual bool wantsIntroductions() const { return false; }
  virtual std::vector<std::string> introductions() { return {}; }
  virtual void admit(const std::vector<std::string>& introductions) {
    static_cast<void>(introductions);
  }
  // Of Contexts whose connections need somebody to move their messages; null of others.
  virtual Driver* driver() { return nullptr; }
};

}  // namespace tutti::transports
