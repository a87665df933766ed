#include "transports/ofi/endpoint.h"

#include <fmt/format.h>
#include <poll.h>
#include <rdma/fi_errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "src/base/errors.h"

namespace tutti::transports::ofi {

using base::Status;

namespace {

// Enough for windows of many peers, and little enough for adapters' queues.
constexpr size_t kMostDepth = 1024;
constexpr size_t kMostAddressBytes = 256;

size_t depthOf(size_t offered) { return offered == 0 ? 128 : std::min(offered, kMostDepth); }

}  // namespace

base::Result<std::unique_ptr<Endpoint>> Endpoint::open(const Fi& fi, const fi_info& network) {
  std::unique_ptr<Endpoint> endpoint(new Endpoint(fi, network));
  TUTTI_RETURN_IF_ERROR(endpoint->start());
  return endpoint;
}

Endpoint::Endpoint(const Fi& fi, const fi_info& network)
    : fi_(fi), info_(fi.dupInfo(&network), FreeInfo{fi.freeInfo}) {}

// Members go in the order that libfabric asks for: the last opened first.
Endpoint::~Endpoint() = default;

Status Endpoint::start() {
  if (info_ == nullptr) return failure(fi_, "opening", -FI_ENOMEM);
  receiveDepth_ = depthOf(info_->rx_attr->size);
  fid_fabric* fabric = nullptr;
  if (const int e = fi_.fabric(info_->fabric_attr, &fabric, nullptr); e != 0) {
    return failure(fi_, "opening the fabric", e);
  }
  fabric_.reset(fabric);
  fid_domain* domain = nullptr;
  if (const int e = fi_domain(fabric, info_.get(), &domain, nullptr); e != 0) {
    return failure(fi_, "opening the domain", e);
  }
  domain_.reset(domain);
  fi_av_attr addresses{};
  addresses.type = info_->domain_attr->av_type;
  if (addresses.type == FI_AV_UNSPEC) addresses.type = FI_AV_TABLE;
  fid_av* peers = nullptr;
  if (const int e = fi_av_open(domain, &addresses, &peers, nullptr); e != 0) {
    return failure(fi_, "making room for addresses", e);
  }
  peers_.reset(peers);
  TUTTI_RETURN_IF_ERROR(openCompletions());
  TUTTI_RETURN_IF_ERROR(openQueues());
  return openWaiting();
}

Status Endpoint::openQueues() {
  fid_ep* endpoint = nullptr;
  if (const int e = fi_endpoint(domain_.get(), info_.get(), &endpoint, nullptr); e != 0) {
    return failure(fi_, "opening the endpoint", e);
  }
  endpoint_.reset(endpoint);
  int e = fi_ep_bind(endpoint, &peers_->fid, 0);
  if (e == 0) e = fi_ep_bind(endpoint, &completions_->fid, FI_TRANSMIT | FI_RECV);
  if (e == 0) e = fi_enable(endpoint);
  if (e != 0) return failure(fi_, "enabling the endpoint", e);
  std::array<char, kMostAddressBytes> bytes{};
  size_t count = bytes.size();
  if (e = fi_getname(&endpoint->fid, bytes.data(), &count); e != 0) {
    return failure(fi_, "finding out the endpoint's address", e);
  }
  address_.assign(bytes.data(), count);
  return {};
}

// With a descriptor where the provider has one: shm and efa, for example, have none.
Status Endpoint::openCompletions() {
  fi_cq_attr queue{};
  queue.format = FI_CQ_FORMAT_MSG;
  queue.size = receiveDepth_ + depthOf(info_->tx_attr->size);
  queue.wait_obj = FI_WAIT_FD;
  fid_cq* completions = nullptr;
  int e = fi_cq_open(domain_.get(), &queue, &completions, nullptr);
  hasEvents_ = e == 0;
  if (e != 0) {
    queue.wait_obj = FI_WAIT_NONE;
    e = fi_cq_open(domain_.get(), &queue, &completions, nullptr);
  }
  if (e != 0) return failure(fi_, "opening the completion queue", e);
  completions_.reset(completions);
  return {};
}

Status Endpoint::openWaiting() {
  const auto systemFailure = [this] { return failure(fi_, "waiting for events", -errno); };
  poll_.reset(epoll_create1(EPOLL_CLOEXEC));
  timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!poll_.isOpen() || !timer_.isOpen()) return systemFailure();
  epoll_event event{};
  event.events = EPOLLIN;
  if (epoll_ctl(poll_.get(), EPOLL_CTL_ADD, timer_.get(), &event) != 0) return systemFailure();
  // Some that take FI_WAIT_FD have no descriptor after all (udp;ofi_rxd).
  hasEvents_ =
      hasEvents_ && fi_control(&completions_->fid, FI_GETWAIT, &completionDescriptor_) == 0;
  if (!hasEvents_) return {};
  if (epoll_ctl(poll_.get(), EPOLL_CTL_ADD, completionDescriptor_, &event) != 0)
    return systemFailure();
  return {};
}

bool Endpoint::isSignalled() const {
  pollfd waited{completionDescriptor_, POLLIN, 0};
  return poll(&waited, 1, 0) == 1;
}

// `net` of libfabric 1.17 signals each completion, and takes the signal back only when fi_cq_sread
// waits (its fi_trywait does nothing): who polled the descriptor would never sleep again.
ssize_t Endpoint::readCompletions(std::span<fi_cq_msg_entry> entries) {
  constexpr int kMostMs = 1;
  if (std::exchange(isStale_, false)) {
    const ssize_t count =
        fi_cq_sread(completions_.get(), entries.data(), entries.size(), nullptr, kMostMs);
    if (count == -FI_EINTR) return -FI_EAGAIN;
    if (count != -FI_ENOSYS) return count;
  }
  return fi_cq_read(completions_.get(), entries.data(), entries.size());
}

bool Endpoint::arm(bool hasToRetry) {
  if (hasEvents_) {
    fid* waited = &completions_->fid;
    if (fi_trywait(fabric_.get(), &waited, 1) != 0) return false;
    isStale_ = isSignalled();
    if (isStale_) return false;
  }
  const bool needsTimer = !hasEvents_ || hasToRetry;
  if (!needsTimer && !isTimerSet_) return true;
  itimerspec time{};
  if (needsTimer) time.it_value.tv_nsec = pauseNs_;
  timerfd_settime(timer_.get(), 0, &time, nullptr);
  isTimerSet_ = needsTimer;
  pauseNs_ = std::min(pauseNs_ * 2, kMostPauseNs);
  return true;
}

base::Result<fi_addr_t> Endpoint::insert(std::string_view address) {
  // Providers read as many bytes as their addresses have, whatever they are given.
  if (address.size() != address_.size() && info_->addr_format != FI_ADDR_STR) {
    return failure(fi_, "taking a peer's address", -FI_EINVAL);
  }
  const std::string bytes(address);  // with a zero behind it
  fi_addr_t peer = FI_ADDR_UNSPEC;
  const int inserted = fi_av_insert(peers_.get(), bytes.c_str(), 1, &peer, 0, nullptr);
  if (inserted == 1) return peer;
  return failure(fi_, "taking a peer's address", inserted < 0 ? inserted : -FI_EINVAL);
}

base::Result<Region> Endpoint::registerMemory(void* memory, size_t bytes) {
  if (!needsRegions()) return Region();
  const uint64_t key = (info_->domain_attr->mr_mode & FI_MR_PROV_KEY) != 0 ? 0 : ++nextKey_;
  fid_mr* region = nullptr;
  int e = fi_mr_reg(domain_.get(), memory, bytes, FI_SEND | FI_RECV, 0, key, 0, &region, nullptr);
  if (e != 0) return failure(fi_, fmt::format("registering {} bytes of memory", bytes), e);
  Region owned(region);
  if (isBoundToRegions()) {
    e = fi_mr_bind(region, &endpoint_->fid, 0);
    if (e == 0) e = fi_mr_enable(region);
    if (e != 0) return failure(fi_, "enabling registered memory", e);
  }
  return owned;
}

}  // namespace tutti::transports::ofi
