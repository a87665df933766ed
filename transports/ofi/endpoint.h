// One libfabric endpoint with all that belongs to it.
#pragma once

#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "src/base/fd.h"
#include "src/base/status.h"
#include "transports/ofi/library.h"

namespace tutti::transports::ofi {

struct CloseFid {
  template <typename Object>
  void operator()(Object* object) const {
    fi_close(&object->fid);
  }
};
template <typename Object>
using Owned = std::unique_ptr<Object, CloseFid>;

// Memory that the provider knows, as long as this lives; null where it asks for none.
using Region = Owned<fid_mr>;

// What a communicator has of a network: a connectionless endpoint (FI_EP_RDM), the addresses of its
// peers and one queue of completions; in a domain of its own, so that nothing is shared between
// threads (FI_THREAD_DOMAIN). One thread at a time.
class Endpoint {
 public:
  static base::Result<std::unique_ptr<Endpoint>> open(const Fi& fi, const fi_info& network);
  ~Endpoint();

  const Fi& fi() const { return fi_; }
  const std::string& address() const { return address_; }  // the provider's, as bytes
  base::Result<fi_addr_t> insert(std::string_view address);

  // For sending from and receiving into. What was registered must be given up before the endpoint
  // is destroyed: before closeQueues() where isBoundToRegions(), else after it.
  base::Result<Region> registerMemory(void* memory, size_t bytes);
  bool needsRegions() const { return (info_->domain_attr->mr_mode & FI_MR_LOCAL) != 0; }
  bool isBoundToRegions() const { return (info_->domain_attr->mr_mode & FI_MR_ENDPOINT) != 0; }

  fid_ep* queues() const { return endpoint_.get(); }
  fid_cq* completions() const { return completions_.get(); }
  // As fi_cq_read. After arm() found nothing it may sleep in the provider, a millisecond at most.
  ssize_t readCompletions(std::span<fi_cq_msg_entry> entries);
  // After this nothing that was posted is touched any more.
  void closeQueues() { endpoint_.reset(); }

  // As Driver's. Where the provider has no descriptor for its events, or something `hasToRetry`, a
  // timer takes its place: first after tens of microseconds, in the end each millisecond.
  int eventDescriptor() const { return poll_.get(); }
  bool arm(bool hasToRetry);
  // Something happened: the timer starts afresh.
  void beBusy() { pauseNs_ = kLeastPauseNs; }

  size_t injectBytes() const { return info_->tx_attr->inject_size; }
  size_t receiveDepth() const { return receiveDepth_; }
  uint64_t tagFormat() const { return info_->ep_attr->mem_tag_format; }

 private:
  static constexpr int64_t kLeastPauseNs = 20'000;
  static constexpr int64_t kMostPauseNs = 1'000'000;

  struct FreeInfo {
    decltype(&fi_freeinfo) free;
    void operator()(fi_info* info) const { free(info); }
  };

  Endpoint(const Fi& fi, const fi_info& network);
  base::Status start();
  base::Status openCompletions();
  base::Status openQueues();
  base::Status openWaiting();
  bool isSignalled() const;

  const Fi& fi_;
  std::unique_ptr<fi_info, FreeInfo> info_;
  Owned<fid_fabric> fabric_;
  Owned<fid_domain> domain_;
  Owned<fid_av> peers_;
  Owned<fid_cq> completions_;
  Owned<fid_ep> endpoint_;
  size_t receiveDepth_ = 0;
  bool hasEvents_ = false;         // the completion queue has a descriptor,
  int completionDescriptor_ = -1;  // this one, which is libfabric's
  bool isStale_ = false;           // it is readable, and nothing has happened
  base::UniqueFd timer_;
  base::UniqueFd poll_;  // for both
  bool isTimerSet_ = false;
  int64_t pauseNs_ = kLeastPauseNs;
  uint64_t nextKey_ = 0;
  std::string address_;
};

}  // namespace tutti::transports::ofi
