#include "transports/ucx/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "src/base/clock.h"
#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/log.h"

namespace tutti::transports::ucx {

using base::Code;
using base::Status;

namespace {

constexpr unsigned kMessageId = 0;
// A peer that left without reading is not waited for longer than this.
constexpr int64_t kMostCloseNs = 200'000'000;
// Credit bounds what is under way, so receivers need not be asked first (UCX's rendezvous): of 32
// KiB over loopback TCP that took four times as long.
constexpr uint32_t kMostEager = static_cast<uint32_t>(ir::Limits::kFifoSlotBytes);
constexpr int64_t kLookEveryNs = 100'000'000;
constexpr char kDoorMark = '@';    // between UCX's address and where it listens
constexpr int kMostProgress = 64;  // calls in a row, so that what arrived is worked on

void warnOfOpenPorts() {
  TUTTI_LOG_WARN(
      "the kernel takes no filters for UCX's TCP ports: whoever can connect to them can end this "
      "process or write to its memory; keep strangers off the network");
}

}  // namespace

base::Result<std::unique_ptr<Worker>> Worker::open(const Ucp& ucp, const ContextOptions& options) {
  std::unique_ptr<Worker> worker(new Worker(ucp, options));
  TUTTI_RETURN_IF_ERROR(worker->start());
  return worker;
}

Status Worker::start() {
  peers_.resize(static_cast<size_t>(options_.segment.size));
  TUTTI_ASSIGN_OR_RETURN(ucp_context_h context, ucx::context(ucp_));
  TUTTI_RETURN_IF_ERROR(listen(context));
  ucp_am_handler_param_t handler{};
  handler.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS |
                       UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG;
  handler.id = kMessageId;
  handler.flags = UCP_AM_FLAG_WHOLE_MSG;
  handler.cb = onMessage;
  handler.arg = this;
  if (const auto s = ucp_.workerSetAmRecvHandler(worker_, &handler); s != UCS_OK) {
    return failure(ucp_, "receiving active messages", s);
  }
  if (const auto s = ucp_.workerGetEfd(worker_, &eventDescriptor_); s != UCS_OK) {
    return failure(ucp_, "waiting for events", s);
  }
  return {};
}

Status Worker::listen(ucp_context_h context) {
  static std::mutex oneAtATime;
  const std::lock_guard lock(oneAtATime);
  if (base::processConfig().get(base::param::kUcxGuard)) guard_.emplace();
  ucp_worker_params_t params{};
  params.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
  params.thread_mode = UCS_THREAD_MODE_SERIALIZED;
  if (const auto s = ucp_.workerCreate(context, &params, &worker_); s != UCS_OK) {
    return failure(ucp_, "making a worker", s);
  }
  ucp_address_t* address = nullptr;
  size_t bytes = 0;
  if (const auto s = ucp_.workerGetAddress(worker_, &address, &bytes); s != UCS_OK) {
    return failure(ucp_, "finding out the worker's address", s);
  }
  address_ = toHex({reinterpret_cast<const char*>(address), bytes});
  if (guard_) {
    SocketEnds hosts;
    for (const std::string& host : options_.peerHosts) hosts.merge(parseList(host));
    if (!guard_->shut({reinterpret_cast<const char*>(address), bytes}, hosts)) warnOfOpenPorts();
    address_ += fmt::format("{}{}", kDoorMark, listOf(guard_->doors()));
  }
  ucp_.workerReleaseAddress(worker_, address);
  return {};
}

Worker::~Worker() {
  if (worker_ == nullptr) return;
  if (!hasAdmitted_) admit(SocketEnds{});
  waitFor(flush_, kMostCloseNs);
  ucp_.workerDestroy(worker_);
}

base::Result<std::unique_ptr<Connection>> Worker::connect(ir::Rank peer, std::string_view text) {
  const size_t mark = std::min(text.find(kDoorMark), text.size());
  std::string address;
  if (!fromHex(text.substr(0, mark), address)) {
    return Status(Code::kInternalError, base::kErrInternal,
                  fmt::format("rank {} sent a malformed ucx address", peer));
  }
  MessageOptions options;
  options.self = options_.rank;
  options.segment = options_.segment;
  options.cookie = options_.cookie;
  options.windowBytes = options_.windowBytes;
  auto connection = std::make_unique<MessageConnection>(options);
  auto wire = std::make_unique<UcxWire>(*this, *connection, peer);
  TUTTI_RETURN_IF_ERROR(wire->open(address));
  peers_[static_cast<size_t>(peer)] = {connection.get(), wire.get(),
                                       parseList(text.substr(std::min(mark + 1, text.size())))};
  connection->attach(std::move(wire));
  return std::unique_ptr<Connection>(std::move(connection));
}

std::vector<std::string> Worker::introductions() const {
  std::vector<SocketEnds> doors;
  for (const Peer& peer : peers_) doors.push_back(peer.doors);
  std::vector<std::string> texts;
  for (const SocketEnds& ends : introductionsTo(doors)) texts.push_back(listOf(ends));
  return texts;
}

void Worker::admit(const std::vector<std::string>& introductions) {
  SocketEnds ends;
  for (const std::string& text : introductions) ends.merge(parseList(text));
  admit(ends);
}

void Worker::admit(const SocketEnds& introduced) {
  hasAdmitted_ = true;
  if (guard_ && !guard_->admit(introduced)) warnOfOpenPorts();
}

void Worker::look() {
  const int64_t now = base::nowNs();
  if (now - lookedNs_ < kLookEveryNs) return;
  lookedNs_ = now;
  if (!guard_->look()) warnOfOpenPorts();
}

// Here and nowhere else UCX reads what came over its connections.
unsigned Worker::advance() {
  if (!hasAdmitted_) admit(SocketEnds{});
  return ucp_.workerProgress(worker_);
}

bool Worker::progress() {
  hasArrived_ = false;
  if (guard_ && guard_->isWaiting()) look();
  for (int i = 0; i < kMostProgress && advance() != 0; ++i) {
  }
  return hasArrived_;
}

// Long messages are fetched by their receiver. The flush for the others ends once they are with the
// network, which for TCP is the kernel.
bool Worker::settle() {
  bool isSending = false;
  for (const Peer& peer : peers_) {
    isSending |= peer.connection != nullptr && peer.connection->isSending();
  }
  if (isSending) {
    advance();
    return false;
  }
  if (flush_ != nullptr) {
    advance();
    if (ucp_.requestCheckStatus(flush_) == UCS_INPROGRESS) return false;
    ucp_.requestFree(flush_);
    flush_ = nullptr;
  }
  if (!isDirty_) return true;
  isDirty_ = false;
  ucp_request_param_t param{};
  const ucs_status_ptr_t request = ucp_.workerFlush(worker_, &param);
  // What failed to leave is known to its connection.
  if (!UCS_PTR_IS_PTR(request)) return true;
  flush_ = request;
  return false;
}

bool Worker::arm() { return ucp_.workerArm(worker_) == UCS_OK; }

Worker::Transfer* Worker::take() {
  if (free_.empty()) {
    auto& made = transfers_.emplace_back(std::make_unique<Transfer>());
    made->worker = this;
    return made.get();
  }
  Transfer* transfer = free_.back();
  free_.pop_back();
  return transfer;
}

void Worker::release(Transfer* transfer) {
  if (transfer->held != nullptr) ucp_.amDataRelease(worker_, transfer->held);
  transfer->held = nullptr;
  transfer->wire = nullptr;
  transfer->buffer = nullptr;
  free_.push_back(transfer);
}

// What is still under way must not call it any more.
void Worker::detach(UcxWire* wire) {
  for (Peer& peer : peers_) {
    if (peer.wire == wire) peer = {};
  }
  for (const auto& transfer : transfers_) {
    if (transfer->wire == wire) transfer->wire = nullptr;
  }
}

void Worker::waitFor(ucs_status_ptr_t request, int64_t mostNs) {
  if (!UCS_PTR_IS_PTR(request)) return;
  const int64_t until = base::nowNs() + mostNs;
  while (ucp_.requestCheckStatus(request) == UCS_INPROGRESS) {
    if (base::nowNs() > until) break;
    advance();
  }
  ucp_.requestFree(request);
}

ucs_status_t Worker::onMessage(void* arg, const void* header, size_t headerBytes, void* data,
                               size_t bytes, const ucp_am_recv_param_t* param) {
  Frame frame;
  if (headerBytes != sizeof(frame)) return UCS_OK;
  std::memcpy(static_cast<void*>(&frame), header, sizeof(frame));
  return static_cast<Worker*>(arg)->take(frame, data, bytes, param->recv_attr);
}

// Strangers are dropped here: they do not know the cookie.
ucs_status_t Worker::take(const Frame& frame, void* data, size_t bytes, uint64_t attributes) {
  const auto from = static_cast<size_t>(frame.from);
  if (frame.from < 0 || from >= peers_.size() || peers_[from].connection == nullptr ||
      !isSame(frame.cookie, options_.cookie) || frame.bytes != bytes) {
    return UCS_OK;
  }
  hasArrived_ = true;
  Transfer* transfer = take();
  transfer->frame = frame;
  transfer->wire = peers_[from].wire;
  if ((attributes & UCP_AM_RECV_ATTR_FLAG_DATA) != 0) {
    // UCX takes back itself what is not wanted.
    if (!deliver(transfer, static_cast<std::byte*>(data))) return UCS_OK;
    transfer->held = data;
    return UCS_INPROGRESS;
  }
  if (transfer->memory.size() < bytes) transfer->memory.resize(bytes);
  if ((attributes & UCP_AM_RECV_ATTR_FLAG_RNDV) == 0) {
    if (bytes > 0) std::memcpy(transfer->memory.data(), data, bytes);
    deliver(transfer, transfer->memory.data());
    return UCS_OK;
  }
  ucp_request_param_t param{};
  param.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
  param.cb.recv_am = onReceived;
  param.user_data = transfer;
  const auto request = ucp_.amRecvData(worker_, data, transfer->memory.data(), bytes, &param);
  if (!UCS_PTR_IS_PTR(request)) onReceived(nullptr, UCS_PTR_STATUS(request), bytes, transfer);
  return UCS_INPROGRESS;
}

void Worker::onReceived(void* request, ucs_status_t status, size_t, void* argument) {
  auto* transfer = static_cast<Transfer*>(argument);
  Worker& worker = *transfer->worker;
  if (request != nullptr) worker.ucp_.requestFree(request);
  if (status != UCS_OK) {
    if (transfer->wire != nullptr) onEndpointError(transfer->wire, nullptr, status);
    return worker.release(transfer);
  }
  worker.hasArrived_ = true;
  worker.deliver(transfer, transfer->memory.data());
}

bool Worker::deliver(Transfer* transfer, std::byte* data) {
  UcxWire* wire = transfer->wire;
  if (wire != nullptr && wire->connection_.arrived(transfer->frame, data, transfer)) return true;
  release(transfer);
  return false;
}

void Worker::onSent(void* request, ucs_status_t status, void* argument) {
  auto* transfer = static_cast<Transfer*>(argument);
  transfer->worker->ucp_.requestFree(request);
  transfer->worker->sent(transfer, status);
}

void Worker::sent(Transfer* transfer, ucs_status_t status) {
  if (UcxWire* wire = transfer->wire; wire != nullptr) {
    if (status != UCS_OK) onEndpointError(wire, nullptr, status);
    wire->connection_.sent(transfer->buffer);
  }
  release(transfer);
}

void Worker::onEndpointError(void* argument, ucp_ep_h, ucs_status_t status) {
  auto& wire = *static_cast<UcxWire*>(argument);
  wire.connection_.failed({Code::kRemoteError, base::kErrTransportFailed,
                           fmt::format("rank {} is unreachable: {}", wire.peer_,
                                       wire.worker_.ucp_.statusString(status))});
}

// With peer failure handling where some transport that reaches the peer has it.
Status UcxWire::open(const std::string& address) {
  ucp_ep_params_t params{};
  params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                      UCP_EP_PARAM_FIELD_ERR_HANDLER;
  params.address = reinterpret_cast<const ucp_address_t*>(address.data());
  params.err_mode = UCP_ERR_HANDLING_MODE_PEER;
  params.err_handler.cb = Worker::onEndpointError;
  params.err_handler.arg = this;
  auto status = worker_.ucp_.epCreate(worker_.worker_, &params, &endpoint_);
  handlesFailures_ = status == UCS_OK;
  if (!handlesFailures_) {
    params.err_mode = UCP_ERR_HANDLING_MODE_NONE;
    status = worker_.ucp_.epCreate(worker_.worker_, &params, &endpoint_);
  }
  if (status == UCS_OK) return {};
  endpoint_ = nullptr;
  return {Code::kSystemError, base::kErrTransportFailed,
          fmt::format("rank {} is unreachable: UCX: {}", peer_, worker_.ucp_.statusString(status))};
}

// Whoever goes has settled before (Driver::settle), so nothing is lost by closing with force, which
// alone is sure to end: UCX allows it where it handles failures of peers.
UcxWire::~UcxWire() {
  worker_.detach(this);
  if (endpoint_ == nullptr) return;
  ucp_request_param_t param{};
  param.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
  param.flags = handlesFailures_ ? UCP_EP_CLOSE_FLAG_FORCE : 0;
  worker_.waitFor(worker_.ucp_.epClose(endpoint_, &param), kMostCloseNs);
}

void UcxWire::send(const Frame& frame, SendBuffer* buffer) {
  Worker::Transfer* transfer = worker_.take();
  transfer->frame = frame;
  transfer->wire = this;
  transfer->buffer = buffer;
  worker_.isDirty_ = true;
  ucp_request_param_t param{};
  param.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
  if (frame.bytes <= kMostEager) {
    param.op_attr_mask |= UCP_OP_ATTR_FIELD_FLAGS;
    param.flags = UCP_AM_SEND_FLAG_EAGER;
  }
  param.cb.send = Worker::onSent;
  param.user_data = transfer;
  const std::byte* data = buffer == nullptr ? nullptr : buffer->data;
  const auto request = worker_.ucp_.amSend(endpoint_, kMessageId, &transfer->frame,
                                           sizeof(transfer->frame), data, frame.bytes, &param);
  if (!UCS_PTR_IS_PTR(request)) worker_.sent(transfer, UCS_PTR_STATUS(request));
}

void UcxWire::giveBack(void* token) { worker_.release(static_cast<Worker::Transfer*>(token)); }

}  // namespace tutti::transports::ucx
