#include "src/comm/describe.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "src/base/config.h"
#include "src/base/host.h"
#include "src/comm/communicator.h"
#include "src/device/link_probe.h"
#include "src/device/registry.h"
#include "src/plan/plan.h"
#include "topology/host.h"
#include "topology/json.h"
#include "transports/registry.h"

namespace tutti::comm {

using nlohmann::json;

namespace {

json describeDevices() {
  json devices = json::array();
  for (const auto* backend : device::builtinBackends()) {
    std::string reason;
    const auto found = backend->probe(reason);
    for (const auto& d : found) {
      devices.push_back({{"name", d.name},
                         {"backend", std::string(backend->name())},
                         {"model", d.model},
                         {"pci", d.pci},
                         {"memory_bytes", d.memoryBytes},
                         {"usable", true}});
    }
    if (found.empty()) {
      devices.push_back({{"name", std::string(backend->name())},
                         {"backend", std::string(backend->name())},
                         {"usable", false},
                         {"reason", reason}});
    }
  }
  return devices;
}

json describeLinkProbes() {
  json probes = json::array();
  for (const auto* probe : device::builtinLinkProbes()) {
    std::string reason;
    const auto found = probe->probe(reason);
    probes.push_back({{"name", std::string(probe->name())},
                      {"devices", found.devices.size()},
                      {"links", ir::countLinks(found.links)},
                      {"notes", found.notes},
                      {"reason", reason}});
  }
  return probes;
}

json describeConfiguration() {
  json rows = json::array();
  const auto known = base::parameters();
  const auto values = base::processConfig().values();
  for (size_t i = 0; i < known.size(); ++i) {
    const bool isSecret = std::string_view(known[i].name) == "SECRET" && values[i].isSet;
    rows.push_back({{"name", std::string("TUTTI_") + known[i].name},
                    {"value", isSecret ? "(set)" : values[i].text},
                    {"origin", values[i].origin},
                    {"help", known[i].help}});
  }
  return rows;
}

json describeHost() {
  const auto host = topology::discoverHost();
  return {{"name", base::hostName()},         {"cpu", host.cpuModel},
          {"usable_cores", host.usableCores}, {"numa_nodes", host.numaNodes},
          {"l2_bytes", host.l2Bytes},         {"l3_bytes", host.l3Bytes},
          {"memory_bytes", host.memoryBytes}};
}

}  // namespace

std::string describeProcess() {
  json transports = json::array();
  for (const auto* backend : transports::builtinBackends()) {
    transports.push_back(
        {{"name", std::string(backend->name())}, {"description", backend->describe()}});
  }
  json networks = json::array();
  for (const auto* backend : allowedNetworks()) {
    networks.push_back({{"name", std::string(backend->name())}, {"note", backend->note()}});
  }
  const json all = {{"version", TUTTI_VERSION_TEXT},
                    {"host", describeHost()},
                    {"devices", describeDevices()},
                    {"link_probes", describeLinkProbes()},
                    {"transports", transports},
                    {"networks", networks},
                    {"configuration", describeConfiguration()}};
  return all.dump(2);
}

std::string Communicator::describe() {
  json ranks = json::array();
  for (ir::Rank r = 0; r < world_.size(); ++r) {
    const auto& info = world_.ranks[static_cast<size_t>(r)];
    ranks.push_back({{"rank", r},
                     {"host", info.hostName},
                     {"pid", info.pid},
                     {"device", info.device},
                     {"path", r == rank_ ? "self" : paths_->best(rank_, r).name}});
  }
  const std::lock_guard lock(plansMutex_);
  json plans = json::array();
  plans_.forEach([&](const executor::Programs& programs) {
    plans.push_back({{"call", ir::toString(programs.main.call)},
                     {"algorithm", programs.main.algorithm},
                     {"fallback", programs.fallback ? programs.fallback->algorithm : ""},
                     {"accepts_kernel_copies", programs.main.acceptsKernelCopy}});
  });
  const auto perPeer =
      sizeof(transports::FifoSlot) * ir::Limits::kChannels * ir::Limits::kFifoSlots +
      sizeof(transports::SlotHead) * ir::Limits::kNarrowChannels * ir::Limits::kFifoSlots;
  const json all = {
      {"name", config_.name},
      {"rank", rank_},
      {"size", world_.size()},
      {"device", config_.device},
      {"fabric", fabric_ == nullptr ? "" : fabric_->text()},
      {"topology",
       fabric_ == nullptr ? json() : json::parse(topology::toJson(fabric_->topology()))},
      {"plan_generation",
       {{"number", generation_.number},
        {"from_operation", generation_.from},
        {"reason", generation_.reason}}},
      {"kernel_copies", world_.canCopyPeer},
      {"ranks_per_core", world_.ranksPerCore()},
      {"ranks", ranks},
      {"plans", plans},
      {"memory",
       {{"segment_bytes", segment_->bytes()},
        {"fifo_bytes_per_peer", perPeer},
        {"board_bytes", sizeof(transports::Post) * transports::kBoardOps * ir::Limits::kPosts}}}};
  return all.dump(2);
}

}  // namespace tutti::comm
