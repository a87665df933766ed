#include <fmt/format.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/log.h"
#include "src/base/secure.h"
#include "transports/net_plugin/connection.h"
#include "transports/net_plugin/devices.h"

namespace tutti::transports::net_plugin {

using base::Code;
using base::Status;

namespace {

// Under way in each direction between two ranks, of at most abi::kMostRequests; and receives of a
// communicator together, so that many peers do not take too much memory.
constexpr int kMostSends = 16;
constexpr int kMostPosted = 16;
constexpr int kLeastPosted = 2;
constexpr int kAllPosted = 256;
static_assert(kMostSends <= abi::kMostRequests && kMostPosted <= abi::kMostRequests);

// Names the communicator to plugins, alike on all ranks; nobody learns the cookie from it.
uint64_t idOf(const Cookie& cookie) {
  const auto hash = base::plainHash({base::asText(cookie)});
  uint64_t id = 0;
  std::memcpy(&id, hash.data(), sizeof(id));
  return id;
}

}  // namespace

base::Result<std::unique_ptr<Port>> Port::open(const Network& network,
                                               const ContextOptions& options) {
  const Device* device =
      choose(network.devices, base::processConfig().get(base::param::kIbHca), options.rank);
  TUTTI_ASSIGN_OR_RETURN(auto session, Session::open(network, idOf(options.cookie)));
  std::unique_ptr<Port> port(new Port(std::move(session), *device, options));
  port->timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!port->timer_.isOpen()) {
    return Status(Code::kSystemError, base::kErrTransportFailed,
                  fmt::format("net plugin {}: no timer: {}", network.name, std::strerror(errno)));
  }
  TUTTI_LOG_INFO(kNet, "net plugin {}: device {}, {} Mb/s", network.name, device->name,
                 device->speed);
  return port;
}

Port::Port(std::unique_ptr<Session> session, const Device& device, const ContextOptions& options)
    : options_(options), session_(std::move(session)), device_(device) {
  wires_.resize(static_cast<size_t>(options.segment.size));
  const int most = plugin().version() < 7 ? abi::kMostRequestsV6 : abi::kMostRequests;
  mostSends_ = std::min(most, kMostSends);
  const int fair = kAllPosted / std::max(1, static_cast<int>(options.segment.size));
  posted_ = std::min(most, std::clamp(fair, kLeastPosted, kMostPosted));
}

Port::~Port() = default;

base::Result<std::unique_ptr<Connection>> Port::connect(ir::Rank peer) {
  MessageOptions options;
  options.self = options_.rank;
  options.segment = options_.segment;
  options.cookie = options_.cookie;
  options.windowBytes = options_.windowBytes;
  auto connection = std::make_unique<MessageConnection>(options);
  auto wire = std::make_unique<PluginWire>(*this, *connection, peer);
  TUTTI_RETURN_IF_ERROR(wire->listen());
  wires_[static_cast<size_t>(peer)] = wire.get();
  connection->attach(std::move(wire));
  return std::unique_ptr<Connection>(std::move(connection));
}

std::vector<std::string> Port::introductions() const {
  std::vector<std::string> handles;
  for (const PluginWire* wire : wires_)
    handles.push_back(wire == nullptr ? "" : wire->introduction());
  return handles;
}

void Port::admit(const std::vector<std::string>& introductions) {
  for (size_t rank = 0; rank < std::min(wires_.size(), introductions.size()); ++rank) {
    if (wires_[rank] != nullptr) wires_[rank]->admit(introductions[rank]);
  }
}

bool Port::progress() {
  bool hasArrived = false;
  for (PluginWire* wire : wires_) {
    if (wire != nullptr) hasArrived |= wire->progress();
  }
  if (hasArrived) pauseNs_ = kLeastPauseNs;
  return hasArrived;
}

bool Port::settle() {
  bool isSettled = true;
  for (PluginWire* wire : wires_) {
    if (wire == nullptr || wire->isSettled()) continue;
    wire->pushSends();
    isSettled &= wire->isSettled();
  }
  return isSettled;
}

bool Port::arm() {
  itimerspec time{};
  time.it_value.tv_nsec = pauseNs_;
  timerfd_settime(timer_.get(), 0, &time, nullptr);
  pauseNs_ = std::min(pauseNs_ * 2, kMostPauseNs);
  return true;
}

}  // namespace tutti::transports::net_plugin
