// Frames to and from the peers of one endpoint.
#pragma once

#include <rdma/fabric.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "transports/messages.h"
#include "transports/ofi/endpoint.h"
#include "transports/transport.h"

namespace tutti::transports::ofi {

class OfiWire;

// One per communicator. A frame is one tagged message, its payload right behind it.
//
// Receives are posted for as many frames as the provider is to take without asking. What arrives is
// read where it lies; in exchange a further buffer is posted, so however much the peers' credit
// lets them send, something is always posted, and what arrives in the meantime is the provider's to
// hold.
class Port final : public Driver {
 public:
  static base::Result<std::unique_ptr<Port>> open(const Fi& fi, const fi_info& network,
                                                  const ContextOptions& options);
  ~Port() override;

  std::string address() const { return toHex(endpoint_->address()); }
  base::Result<std::unique_ptr<Connection>> connect(ir::Rank peer, std::string_view address);

  // ---- Driver ----
  bool progress() override;
  bool settle() override;
  int eventDescriptor() const override { return endpoint_->eventDescriptor(); }
  bool arm() override;

 private:
  friend class OfiWire;

  // What is posted; its context is what libfabric gives back, and may write to (FI_CONTEXT2).
  struct Operation {
    fi_context2 context = {};
    bool isReceive = false;
  };
  struct Outgoing : Operation {
    OfiWire* wire = nullptr;  // null: the connection is gone
    Frame frame;              // where there is no buffer
    Region region;            // of `frame`
    SendBuffer* buffer = nullptr;
    // What the buffer had, once the connection is gone.
    std::unique_ptr<std::byte[]> keptMemory;
    Region keptRegion;
  };
  // A frame that was received, or room for one.
  struct Incoming : Operation {
    std::byte* frame = nullptr;
    void* descriptor = nullptr;
    bool isShort = false;  // never posted
    bool isPosted = false;
  };
  struct Peer {
    MessageConnection* connection = nullptr;
    OfiWire* wire = nullptr;
  };
  // Memory of several Incoming.
  struct Block {
    std::unique_ptr<std::byte[]> memory;
    Region region;
  };

  Port(std::unique_ptr<Endpoint> endpoint, const ContextOptions& options);

  // Sending.
  Outgoing* takeOutgoing();
  void send(OfiWire& wire, const Frame& frame, SendBuffer* buffer);
  bool post(Outgoing& outgoing);  // false: later
  base::Result<fid_mr*> regionOf(Outgoing& outgoing);
  void finish(Outgoing& outgoing);
  void detach(OfiWire& wire);
  void retry();

  // Receiving.
  base::Status addIncoming();
  base::Status postReceives();
  void keepPosted();
  void cancelReceives();
  void arrived(Incoming& incoming, size_t bytes);
  bool isOurs(const Frame& frame, size_t bytes) const;
  Incoming* takeShort();
  void giveBack(Incoming& incoming);

  // Completions.
  void poll();
  void complete(const fi_cq_msg_entry& entry);
  void readError();
  void fail(OfiWire& wire, int64_t error);
  void failAll(const base::Status& why);

  ContextOptions options_;
  std::unique_ptr<Endpoint> endpoint_;
  uint64_t tag_ = 0;
  std::vector<Peer> peers_;  // by rank
  bool hasArrived_ = false;
  bool hasToRetry_ = false;

  std::vector<std::unique_ptr<Outgoing>> outgoing_;
  std::vector<Outgoing*> freeOutgoing_;

  size_t postedGoal_ = 0;
  size_t posted_ = 0;
  std::vector<Block> blocks_;
  std::vector<std::unique_ptr<Incoming>> incoming_;
  std::vector<Incoming*> freeIncoming_;
  std::vector<Incoming*> freeShort_;
};

class OfiWire final : public Wire {
 public:
  OfiWire(Port& port, MessageConnection& connection, ir::Rank peer, fi_addr_t address)
      : port_(port), connection_(connection), peer_(peer), address_(address) {}
  ~OfiWire() override { port_.detach(*this); }

  void send(const Frame& frame, SendBuffer* buffer) override { port_.send(*this, frame, buffer); }
  void giveBack(void* token) override { port_.giveBack(*static_cast<Port::Incoming*>(token)); }

 private:
  friend class Port;
  Port& port_;
  MessageConnection& connection_;
  ir::Rank peer_;
  fi_addr_t address_;
  bool hasFailed_ = false;
  std::deque<Port::Outgoing*> waiting_;  // until the provider takes them
  std::unordered_map<const SendBuffer*, Region> regions_;
};

}  // namespace tutti::transports::ofi
