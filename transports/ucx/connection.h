// Endpoints of one UCX worker, and what arrives there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transports/messages.h"
#include "transports/transport.h"
#include "transports/ucx/guard.h"
#include "transports/ucx/library.h"

namespace tutti::transports::ucx {

class UcxWire;

// One worker per communicator. Frames are headers of active messages, their payloads the data.
class Worker final : public Driver {
 public:
  static base::Result<std::unique_ptr<Worker>> open(const Ucp& ucp, const ContextOptions& options);
  ~Worker() override;

  const std::string& address() const { return address_; }
  base::Result<std::unique_ptr<Connection>> connect(ir::Rank peer, std::string_view address);
  // As Context's.
  bool isGuarded() const { return guard_.has_value(); }
  std::vector<std::string> introductions() const;
  void admit(const std::vector<std::string>& introductions);

  // ---- Driver ----
  bool progress() override;
  bool settle() override;
  int eventDescriptor() const override { return eventDescriptor_; }
  bool arm() override;

 private:
  friend class UcxWire;

  // A frame that is being sent, or data that was received.
  struct Transfer {
    Worker* worker = nullptr;
    UcxWire* wire = nullptr;  // null: the connection is gone
    Frame frame;
    SendBuffer* buffer = nullptr;
    void* held = nullptr;  // data that UCX keeps for us
    std::vector<std::byte> memory;
  };
  struct Peer {
    MessageConnection* connection = nullptr;
    UcxWire* wire = nullptr;
    SocketEnds doors;
  };

  Worker(const Ucp& ucp, const ContextOptions& options) : ucp_(ucp), options_(options) {}
  base::Status start();
  base::Status listen(ucp_context_h context);
  void admit(const SocketEnds& introduced);
  void look();
  unsigned advance();
  Transfer* take();
  void release(Transfer* transfer);
  void detach(UcxWire* wire);
  void waitFor(ucs_status_ptr_t request, int64_t mostNs);

  static ucs_status_t onMessage(void* arg, const void* header, size_t headerBytes, void* data,
                                size_t bytes, const ucp_am_recv_param_t* param);
  static void onSent(void* request, ucs_status_t status, void* transfer);
  static void onReceived(void* request, ucs_status_t status, size_t bytes, void* transfer);
  static void onEndpointError(void* wire, ucp_ep_h endpoint, ucs_status_t status);
  ucs_status_t take(const Frame& frame, void* data, size_t bytes, uint64_t attributes);
  bool deliver(Transfer* transfer, std::byte* data);
  void sent(Transfer* transfer, ucs_status_t status);

  const Ucp& ucp_;
  ContextOptions options_;
  ucp_worker_h worker_ = nullptr;
  int eventDescriptor_ = -1;
  std::string address_;
  std::optional<Guard> guard_;  // none: TUTTI_UCX_GUARD is off
  bool hasAdmitted_ = false;
  int64_t lookedNs_ = 0;
  std::vector<Peer> peers_;  // by rank
  bool hasArrived_ = false;
  bool isDirty_ = false;              // something was sent since the last flush
  ucs_status_ptr_t flush_ = nullptr;  // under way
  std::vector<std::unique_ptr<Transfer>> transfers_;
  std::vector<Transfer*> free_;
};

class UcxWire final : public Wire {
 public:
  UcxWire(Worker& worker, MessageConnection& connection, ir::Rank peer)
      : worker_(worker), connection_(connection), peer_(peer) {}
  ~UcxWire() override;
  base::Status open(const std::string& address);

  void send(const Frame& frame, SendBuffer* buffer) override;
  void giveBack(void* token) override;

 private:
  friend class Worker;
  Worker& worker_;
  MessageConnection& connection_;
  ir::Rank peer_;
  ucp_ep_h endpoint_ = nullptr;
  bool handlesFailures_ = false;
};

}  // namespace tutti::transports::ucx
