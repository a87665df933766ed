#include "src/cli/fabric_input.h"

#include <fmt/format.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cctype>
#include <cstdio>

#include "src/base/errors.h"
#include "topology/compose.h"
#include "topology/load.h"
#include "topology/network.h"

namespace tutti::cli {
namespace {

void printNotes(const std::vector<std::string>& notes) {
  for (const std::string& note : notes) fmt::print(stderr, "{}\n", note);
}

// Case and separators do not count.
std::string plain(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  return result;
}

base::Result<topology::Topology> join(const FabricInput& input,
                                      const std::vector<topology::Topology>& machines) {
  std::vector<const topology::Topology*> all;
  for (const topology::Topology& machine : machines) {
    all.insert(all.end(), static_cast<size_t>(input.copies), &machine);
  }
  TUTTI_ASSIGN_OR_RETURN(const auto network,
                         topology::parseNetwork(input.network.empty() ? "star" : input.network));
  std::vector<topology::Degraded> degraded;
  for (const std::string& text : input.degraded) {
    TUTTI_ASSIGN_OR_RETURN(auto one, topology::parseDegraded(text));
    degraded.push_back(one);
  }
  std::vector<std::string> notes;
  auto joined = topology::compose(all, network, degraded, &notes);
  printNotes(notes);
  return joined;
}

}  // namespace

std::shared_ptr<FabricInput> addFabricInput(CLI::App& command) {
  auto input = std::make_shared<FabricInput>();
  command
      .add_option("FILE", input->files,
                  "Topologies: JSON, NCCL or hwloc XML; one or more machines of a cluster")
      ->required();
  command.add_option("--copies", input->copies, "Machines of each file")
      ->check(CLI::Range(1, 65536));
  command.add_option("--network", input->network,
                     "What joins several machines: star:50, rails:50, fat:8:50:400, "
                     "wan:AB=10Gb,BC=40Gb (GB/s)");
  command.add_option("--degrade", input->degraded,
                     "A machine with less of a network: 15=1/2, 15=4nics");
  return input;
}

base::Result<topology::Topology> loadFabric(const FabricInput& input) {
  std::vector<topology::Topology> machines;
  for (const std::string& file : input.files) {
    TUTTI_ASSIGN_OR_RETURN(auto loaded, topology::loadTopology(file));
    printNotes(loaded.notes);
    machines.push_back(std::move(loaded.topology));
  }
  const bool isAlone = machines.size() == 1 && input.copies == 1 && input.network.empty();
  if (!isAlone) {
    TUTTI_ASSIGN_OR_RETURN(machines.front(), join(input, machines));
  }
  TUTTI_RETURN_IF_ERROR(topology::check(machines.front()));
  return std::move(machines.front());
}

std::optional<ir::Collective> parseCollective(const std::string& text) {
  for (int i = 0; i < ir::kCollectiveCount; ++i) {
    const auto collective = static_cast<ir::Collective>(i);
    if (plain(ir::name(collective)) == plain(text)) return collective;
  }
  return std::nullopt;
}

}  // namespace tutti::cli
