// How a communicator comes to be: join, exchange, connect, agree.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "src/base/clock.h"
#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/host.h"
#include "src/base/log.h"
#include "src/comm/communicator.h"
#include "src/comm/probe.h"
#include "src/device/registry.h"
#include "topology/host.h"

namespace tutti::comm {

using base::Code;
using base::Status;
using nlohmann::json;

namespace {

constexpr const char* kVersion = TUTTI_VERSION_TEXT;

// What the choice of an algorithm depends on beside World: ranks that differ in it would run
// different schedules.
std::string sharedSettings(const Algorithms& algorithms) {
  const auto& config = base::processConfig();
  const auto& algorithm = config.get(base::param::kAlgo);
  return fmt::format(
      "TUTTI_ALGO={} TUTTI_CHUNK={} TUTTI_PROBE={} TUTTI_REPLAN={} "
      "TUTTI_REPLAN_DRILL={} {}",
      algorithm.empty() ? "(unset)" : algorithm, config.get(base::param::kChunk),
      config.get(base::param::kProbe) ? 1 : 0, config.get(base::param::kReplan),
      config.at(base::param::kReplanDrill).text, algorithms.text());
}

executor::WaitPolicy waitPolicy(double ranksPerCore) {
  executor::WaitPolicy policy;
  if (ranksPerCore > 1.0) {
    // Whoever is waited for may need this core.
    policy.spinNs = 0;
    policy.yieldNs = 200'000;
  }
  const auto& config = base::processConfig();
  if (config.get(base::param::kSpinUs) >= 0) {
    policy.spinNs = static_cast<uint64_t>(config.get(base::param::kSpinUs)) * 1000;
  }
  if (config.get(base::param::kYieldUs) >= 0) {
    policy.yieldNs = static_cast<uint64_t>(config.get(base::param::kYieldUs)) * 1000;
  }
  return policy;
}

}  // namespace

base::Result<std::unique_ptr<Communicator>> Communicator::create(
    const InitArgs& args, const std::atomic<bool>* isAborted) {
  const base::LogRankScope logRank(args.rank);
  const int64_t start = base::nowNs();
  auto communicator = std::unique_ptr<Communicator>(new Communicator);
  communicator->rank_ = args.rank;
  communicator->config_ = args.config;
  TUTTI_RETURN_IF_ERROR(communicator->join(args, isAborted));
  // Peers that wait for this rank must hear of a failure, or they wait for the timeout.
  const auto guard = [&](Status status) {
    if (!status.isOk()) communicator->control_->announceAbort(status.toString());
    return status;
  };
  auto algorithms = Algorithms::open(args.rank, args.size);
  TUTTI_RETURN_IF_ERROR(guard(algorithms.status()));
  communicator->algorithms_ = algorithms.take();
  auto fabric = Fabric::open(args.size);
  TUTTI_RETURN_IF_ERROR(guard(fabric.status()));
  communicator->fabric_ = fabric.take();
  TUTTI_RETURN_IF_ERROR(guard(communicator->openSegment()));
  communicator->paths_.emplace(args.rank);
  communicator->paths_->openLocal(communicator->transportOptions());
  TUTTI_RETURN_IF_ERROR(guard(communicator->exchange()));
  TUTTI_RETURN_IF_ERROR(guard(communicator->paths_->openNetworks(
      *communicator->control_, communicator->transportOptions())));
  TUTTI_RETURN_IF_ERROR(guard(communicator->connect()));
  TUTTI_RETURN_IF_ERROR(guard(communicator->paths_->introduce(*communicator->control_)));
  TUTTI_RETURN_IF_ERROR(guard(communicator->greet()));
  TUTTI_RETURN_IF_ERROR(guard(communicator->agree()));
  communicator->startEngine();
  TUTTI_RETURN_IF_ERROR(guard(communicator->probe()));
  TUTTI_RETURN_IF_ERROR(guard(communicator->watchLinks()));
  communicator->logSummary(static_cast<double>(base::nowNs() - start) * 1e-9);
  return communicator;
}

Status Communicator::join(const InitArgs& args, const std::atomic<bool>* isAborted) {
  const auto& name = config_.device;
  auto device = device::openDevice(name.empty() ? "host" : name, device::builtinBackends());
  if (!device.isOk()) return device.status();
  device_ = device.take();
  config_.device = device_->describe().name;
  bootstrap::JoinOptions options;
  options.ids = args.ids;
  options.rank = args.rank;
  options.size = args.size;
  options.timeout = config_.timeout;
  options.isAborted = isAborted;
  TUTTI_ASSIGN_OR_RETURN(control_, bootstrap::ControlPlane::join(options));
  return {};
}

Status Communicator::openSegment() {
  const auto token = control_->deriveToken("segment");
  TUTTI_ASSIGN_OR_RETURN(segment_,
                         transports::OwnSegment::create(rank_, control_->size(), token.data()));
  return {};
}

transports::ContextOptions Communicator::transportOptions() const {
  const auto token = control_->deriveToken("segment");
  const auto networkToken = control_->deriveToken("network");
  transports::ContextOptions options;
  options.rank = rank_;
  options.segment = segment_->view();
  options.segmentShare = segment_->share();
  std::memcpy(options.token, token.data(), sizeof(options.token));
  options.allowCopy = !base::processConfig().get(base::param::kCmaDisable);
  options.windowBytes = base::processConfig().get(base::param::kNetWindow);
  std::copy_n(networkToken.begin(), options.cookie.size(), options.cookie.begin());
  return options;
}

Status Communicator::exchange() {
  json mine = {{"host", base::hostIdentity()},
               {"hostName", base::hostName()},
               {"machine", topology::hasCoreQuota() ? "" : base::machineIdentity()},
               {"process", base::processStartTime(getpid()).value_or(0) * 0x100000000 +
                               static_cast<uint64_t>(getpid())},
               {"pid", getpid()},
               {"device", device_->describe().name},
               {"version", kVersion},
               {"isDeviceExclusive", device_->describe().isExclusive},
               {"settings", sharedSettings(algorithms_)},
               {"fabric", fabric_ == nullptr ? "" : fmt::format("{:016x}", fabric_->digest())},
               {"fabricText", fabric_ == nullptr ? "no fabric" : fabric_->text()},
               {"cores", topology::usableCores()},
               {"coreSet", topology::coreSetDigest()}};
  mine["transports"] = paths_->introduction();
  const auto text = mine.dump(-1, ' ', false, json::error_handler_t::replace);
  TUTTI_ASSIGN_OR_RETURN(const auto all, control_->allGather(text));
  std::vector<std::string> settings;
  std::vector<std::pair<std::string, std::string>> fabrics;
  for (ir::Rank rank = 0; rank < static_cast<ir::Rank>(all.size()); ++rank) {
    const json theirs = json::parse(all[static_cast<size_t>(rank)], nullptr, false);
    if (theirs.is_discarded() || !theirs.is_object()) return foreignVersion(rank, "a description");
    ir::RankInfo info;
    info.host = theirs.value("host", "");
    info.hostName = theirs.value("hostName", "");
    info.machine = theirs.value("machine", "");
    info.process = theirs.value("process", uint64_t{0});
    info.pid = theirs.value("pid", 0);
    info.device = theirs.value("device", "");
    info.version = theirs.value("version", "");
    info.isDeviceExclusive = theirs.value("isDeviceExclusive", false);
    info.cores = theirs.value("cores", 1);
    info.coreSet = theirs.value("coreSet", uint64_t{0});
    if (info.version != kVersion) return foreignVersion(rank, "version " + info.version);
    settings.push_back(theirs.value("settings", ""));
    fabrics.emplace_back(theirs.value("fabric", ""), theirs.value("fabricText", ""));
    world_.ranks.push_back(std::move(info));
    if (!paths_->learn(theirs.value("transports", json()))) {
      return foreignVersion(rank, "a description of its transports");
    }
  }
  for (ir::Rank rank = 1; rank < world_.size(); ++rank) {
    if (settings[static_cast<size_t>(rank)] == settings[0]) continue;
    return {Code::kInvalidUsage, base::kErrSettingMismatch,
            fmt::format("{} has {}, and {} has {}; set them alike on all ranks", describeRank(0),
                        settings[0], describeRank(rank), settings[static_cast<size_t>(rank)])};
  }
  TUTTI_RETURN_IF_ERROR(compareFabrics(fabrics));
  if (const auto both = world_.ranksOfOneDevice()) {
    return {Code::kInvalidUsage, base::kErrDuplicateDevice,
            fmt::format("{} and {} both use device {}, which only one of them can; give each a "
                        "device of its own (TUTTI_DEVICE, --devices)",
                        describeRank(both->first), describeRank(both->second),
                        world_.ranks[static_cast<size_t>(both->first)].device)};
  }
  return {};
}

// Digest and description, by rank.
Status Communicator::compareFabrics(
    const std::vector<std::pair<std::string, std::string>>& all) const {
  for (ir::Rank rank = 1; rank < world_.size(); ++rank) {
    const auto& [digest, text] = all[static_cast<size_t>(rank)];
    if (digest == all[0].first) continue;
    return {Code::kInvalidUsage, base::kErrSettingMismatch,
            fmt::format("{} has {}, and {} has {}; TUTTI_TOPO_FILE (or NCCL_TOPO_FILE) must give "
                        "all ranks the same",
                        describeRank(0), all[0].second, describeRank(rank), text)};
  }
  return {};
}

Status Communicator::connect() {
  const int size = world_.size();
  world_.reach.assign(static_cast<size_t>(size) * static_cast<size_t>(size), ir::Reach::kNone);
  for (ir::Rank a = 0; a < size; ++a) {
    for (ir::Rank b = 0; b < size; ++b) {
      world_.reach[static_cast<size_t>(a * size + b)] =
          a == b ? ir::Reach::kAddress : paths_->best(a, b).reach;
    }
  }
  connections_.resize(static_cast<size_t>(size));
  world_.canCopyPeer = true;
  for (ir::Rank peer = 0; peer < size; ++peer) {
    if (peer == rank_) continue;
    const Path path = paths_->best(rank_, peer);
    if (!path.isOpen()) {
      const std::string tried = paths_->names();
      return {Code::kSystemError, base::kErrNoTransport,
              fmt::format("no transport connects {} and {}; tried: {}. Ranks on one host must see "
                          "each other's processes (one pid namespace); check TUTTI_TRANSPORTS",
                          describeRank(rank_), describeRank(peer),
                          tried.empty() ? "none is allowed" : tried)};
    }
    auto connection = paths_->connect(peer);
    if (!connection.isOk()) {
      return connection.status().withContext(
          fmt::format("connecting {} over {}", describeRank(peer), path.name));
    }
    connections_[static_cast<size_t>(peer)] = connection.take();
    world_.canCopyPeer &= connections_[static_cast<size_t>(peer)]->canCopy();
  }
  warnOfPlainText();
  return {};
}

void Communicator::warnOfPlainText() const {
  ir::Rank peer = 0;
  const std::string name = paths_->plainNetwork(peer);
  if (name.empty()) return;
  TUTTI_LOG_WARN(
      "TUTTI_ENCRYPT=1, but data goes to {} over {}, which does not encrypt; TUTTI_NET=tcp does",
      describeRank(peer), name);
}

// Networks make their connections at the first message, and need both ends for that. Where it takes
// long, it goes on with the first call.
Status Communicator::greet() {
  constexpr int64_t kMostNs = 5'000'000'000;
  std::vector<transports::Remote*> remotes;
  for (const auto& connection : connections_) {
    auto* remote = connection == nullptr ? nullptr : connection->remote();
    if (remote == nullptr) continue;
    remote->greet();
    remotes.push_back(remote);
  }
  const auto drivers = paths_->drivers();
  const int64_t until = base::nowNs() + kMostNs;
  bool isDone = remotes.empty();
  while (!isDone && base::nowNs() < until) {
    isDone = true;
    bool hasMoved = false;
    for (auto* driver : drivers) {
      hasMoved |= driver->progress();
      isDone &= driver->settle();
    }
    for (auto* remote : remotes) {
      isDone &= remote->isHeardOf();
      if (!remote->failure().isOk()) return remote->failure();
    }
    if (auto status = externalFailure(); !status.isOk()) return status;
    if (!hasMoved && !isDone) std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return {};
}

// The second exchange: everybody is connected, and everybody sees the same World.
Status Communicator::agree() {
  TUTTI_ASSIGN_OR_RETURN(const auto copies, control_->allGather(world_.canCopyPeer ? "1" : "0"));
  world_.canCopyPeer =
      std::all_of(copies.begin(), copies.end(), [](const auto& value) { return value == "1"; });
  TUTTI_ASSIGN_OR_RETURN(const auto digests,
                         control_->allGather(fmt::format("{:016x}", world_.digest())));
  for (ir::Rank rank = 1; rank < world_.size(); ++rank) {
    if (digests[static_cast<size_t>(rank)] == digests[0]) continue;
    return {Code::kInvalidUsage, base::kErrLibraryMismatch,
            fmt::format("{} and {} see the ranks and their links differently; check that "
                        "TUTTI_TRANSPORTS, TUTTI_SHM_DISABLE and TUTTI_HOSTID agree",
                        describeRank(0), describeRank(rank))};
  }
  return {};
}

void Communicator::startEngine() {
  executor::EngineOptions options;
  options.rank = rank_;
  options.size = world_.size();
  options.segment = segment_->view();
  for (const auto& connection : connections_) options.connections.push_back(connection.get());
  options.drivers = paths_->drivers();
  options.device = device_.get();
  options.isOneProcess = std::all_of(world_.reach.begin(), world_.reach.end(),
                                     [](auto reach) { return reach == ir::Reach::kAddress; });
  options.canCopyPeers = world_.canCopyPeer;
  options.wait = waitPolicy(world_.ranksPerCore());
  options.timeout = config_.timeout;
  options.externalFailure = [this] { return externalFailure(); };
  options.describeRank = [this](ir::Rank rank) { return describeRank(rank); };
  engine_ = std::make_unique<executor::Engine>(std::move(options));
}

// A file that describes the fabric says more than a short measurement.
Status Communicator::probe() {
  if (!base::processConfig().get(base::param::kProbe) || fabric_ != nullptr) return {};
  if (world_.isAllMapped()) return {};
  Probe probe(*this);
  TUTTI_ASSIGN_OR_RETURN(auto topology, probe.run());
  fabric_ = Fabric::ofMeasured(std::move(topology));
  measured_ = probe.kept();
  return {};
}

void Communicator::logSummary(double seconds) const {
  if (rank_ != 0) return;
  std::vector<std::string> hosts;
  for (const auto& info : world_.ranks) hosts.push_back(info.host);
  std::sort(hosts.begin(), hosts.end());
  const auto hostCount = std::unique(hosts.begin(), hosts.end()) - hosts.begin();
  TUTTI_LOG_INFO(kInit,
                 "communicator{}{}: {} ranks on {} host{}, {:.2g} per core; {}; kernel copies {}; "
                 "ready in {:.1f} ms",
                 config_.name.empty() ? "" : " ", config_.name, world_.size(), hostCount,
                 hostCount == 1 ? "" : "s", world_.ranksPerCore(), paths_->text(),
                 world_.canCopyPeer ? "allowed" : "off", seconds * 1e3);
}

}  // namespace tutti::comm
