#include "src/cli/topology_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/device/link_probe.h"
#include "topology/compose.h"
#include "topology/discover.h"
#include "topology/network.h"

namespace tutti::cli {
namespace {

using topology::Loaded;
using topology::Topology;

base::Status usage(std::string text) {
  return {base::Code::kInvalidUsage, base::kErrToolUsage, std::move(text)};
}

base::Result<std::vector<Loaded>> loadAll(const TopologyOptions& options) {
  std::vector<Loaded> loaded;
  if (options.files.empty()) {
    const auto links = device::findDeviceLinks(device::builtinLinkProbes());
    TUTTI_ASSIGN_OR_RETURN(Loaded here, topology::discoverTopology(base::processConfig(), links));
    loaded.push_back(std::move(here));
  }
  for (const std::string& file : options.files) {
    TUTTI_ASSIGN_OR_RETURN(Loaded machine, topology::loadTopology(file));
    loaded.push_back(std::move(machine));
  }
  return loaded;
}

// "16 x h100, rails, 50 GB/s for each NIC"
std::string nameOf(const std::vector<Loaded>& loaded, int copies,
                   const topology::NetworkSpec& network) {
  std::string name;
  for (const Loaded& machine : loaded) {
    const std::string count = copies == 1 ? "" : fmt::format("{} x ", copies);
    name += fmt::format("{}{}{}", name.empty() ? "" : " + ", count, machine.topology.name);
  }
  return fmt::format("{}, {}", name, topology::toString(network));
}

base::Result<Loaded> join(std::vector<Loaded> loaded, const TopologyOptions& options) {
  TUTTI_ASSIGN_OR_RETURN(const topology::NetworkSpec network,
                         topology::parseNetwork(options.network));
  std::vector<topology::Degraded> degraded;
  for (const std::string& text : options.degraded) {
    TUTTI_ASSIGN_OR_RETURN(const topology::Degraded each, topology::parseDegraded(text));
    degraded.push_back(each);
  }
  Loaded joined;
  std::vector<const Topology*> machines;
  for (const Loaded& machine : loaded) {
    machines.insert(machines.end(), static_cast<size_t>(options.copies), &machine.topology);
    joined.notes.insert(joined.notes.end(), machine.notes.begin(), machine.notes.end());
  }
  TUTTI_ASSIGN_OR_RETURN(joined.topology,
                         topology::compose(machines, network, degraded, &joined.notes));
  joined.topology.name = nameOf(loaded, options.copies, network);
  TUTTI_RETURN_IF_ERROR(topology::check(joined.topology).withContext(joined.topology.name));
  return joined;
}

}  // namespace

void addTopologyOptions(CLI::App& command, TopologyOptions& options) {
  command.add_option("FILE", options.files,
                     "Topologies: JSON, NCCL's or hwloc's XML. Without: this machine");
  command.add_option("--copies", options.copies, "Machines of each file")
      ->check(CLI::Range(1, 1'000'000));
  command.add_option("--network", options.network,
                     "What joins the machines: star:50, rails:50, fat:leaf=8,over=2, "
                     "wan:AB=10Gb,BC=40Gb (GB/s of a NIC; without: its own)");
  command.add_option("--degrade", options.degraded,
                     "A machine with less of a network: 15=1/2 or 15=4nics");
}

base::Result<Loaded> makeTopology(const TopologyOptions& options) {
  TUTTI_ASSIGN_OR_RETURN(std::vector<Loaded> loaded, loadAll(options));
  if (!options.network.empty()) return join(std::move(loaded), options);
  if (loaded.size() > 1 || options.copies > 1) {
    return usage(fmt::format("{} machines need a network to join them: --network star:50",
                             loaded.size() * static_cast<size_t>(options.copies)));
  }
  if (!options.degraded.empty()) {
    return usage("--degrade is for a machine on a network: --network star:50");
  }
  return std::move(loaded[0]);
}

}  // namespace tutti::cli
