#include "src/comm/fabric.h"

#include <fmt/format.h>

#include <mutex>
#include <vector>

#include "src/base/clock.h"
#include "src/base/errors.h"
#include "src/base/hash.h"
#include "src/base/log.h"
#include "topology/compose.h"
#include "topology/load.h"
#include "topology/network.h"

namespace tutti::comm {
namespace {

using topology::Loaded;

// Of calls that the bound and the load are counted for; what is planned is the same for all.
constexpr uint64_t kPlannedBytes = uint64_t{1} << 30;

base::Status noMultiple(const std::string& file, size_t ranks, int size) {
  return {base::Code::kInvalidUsage, base::kErrTopologyFile,
          fmt::format("{} (TUTTI_TOPO_FILE) describes machines of {} ranks, and the communicator's "
                      "{} are no multiple of that; start as many ranks as whole machines have, or "
                      "unset TUTTI_TOPO_FILE",
                      file, ranks, size)};
}

// A part of the ranks may have split off, or somebody started too few: said once.
void tooManyRanks(const std::string& file, size_t ranks, int size) {
  static std::once_flag once;
  std::call_once(once, [&] {
    TUTTI_LOG_WARN(
        "{} (TUTTI_TOPO_FILE) describes {} ranks, a communicator has {}: it plans "
        "without the file; so do others of another size",
        file, ranks, size);
  });
}

base::Status tooFewRanks(const std::string& file, size_t ranks, int size) {
  return {base::Code::kInvalidUsage, base::kErrTopologyFile,
          fmt::format("{} (TUTTI_TOPO_FILE) describes {} rank{}, the communicator has {}; name a "
                      "file with all of them, say in TUTTI_TOPO_NETWORK what joins machines like "
                      "this one (star:50, rails), or unset it",
                      file, ranks, ranks == 1 ? "" : "s", size)};
}

// As many machines as `size` ranks need.
base::Result<Loaded> joined(Loaded machine, size_t machines, const std::string& network) {
  TUTTI_ASSIGN_OR_RETURN(const auto spec, topology::parseNetwork(network));
  const std::vector<const topology::Topology*> copies(machines, &machine.topology);
  Loaded result;
  TUTTI_ASSIGN_OR_RETURN(result.topology, topology::compose(copies, spec, {}, &machine.notes));
  TUTTI_RETURN_IF_ERROR(topology::check(result.topology));
  result.notes = std::move(machine.notes);
  return result;
}

}  // namespace

base::Result<std::unique_ptr<Fabric>> Fabric::open(int size, const base::Config& config) {
  const std::string& file = config.get(base::param::kTopoFile);
  if (file.empty() || size < 2) return std::unique_ptr<Fabric>();
  auto loaded = topology::loadTopology(file);
  if (!loaded.isOk()) {
    return base::Status(base::Code::kInvalidUsage, loaded.status().errorId(),
                        fmt::format("TUTTI_TOPO_FILE: {}", loaded.status().text()));
  }
  const size_t wanted = static_cast<size_t>(size);
  const size_t ranks = loaded->topology.ranks().size();
  const std::string& network = config.get(base::param::kTopoNetwork);
  if (ranks < wanted) {
    if (network.empty()) return tooFewRanks(file, ranks, size);
    if (wanted % ranks != 0) return noMultiple(file, ranks, size);
    loaded = joined(loaded.take(), wanted / ranks, network);
    if (!loaded.isOk()) return loaded.status().withContext("TUTTI_TOPO_NETWORK");
  }
  if (ranks > wanted) {
    tooManyRanks(file, ranks, size);
    return std::unique_ptr<Fabric>();
  }
  for (const std::string& note : loaded->notes) TUTTI_LOG_INFO(kGraph, "{}", note);
  std::string text = fmt::format("the fabric of {} ({} ranks, digest {:016x})", file, size,
                                 loaded->topology.digest());
  return std::unique_ptr<Fabric>(new Fabric(std::move(loaded->topology), std::move(text)));
}

std::unique_ptr<Fabric> Fabric::ofMeasured(topology::Topology topology) {
  std::string text = fmt::format("the fabric as measured ({} ranks, digest {:016x})",
                                 topology.ranks().size(), topology.digest());
  return std::unique_ptr<Fabric>(new Fabric(std::move(topology), std::move(text)));
}

std::unique_ptr<Fabric> Fabric::ofReplanned(topology::Topology topology, int generation) {
  std::string text =
      fmt::format("the fabric as links carry it (generation {}, {} ranks, digest {:016x})",
                  generation, topology.ranks().size(), topology.digest());
  return std::unique_ptr<Fabric>(new Fabric(std::move(topology), std::move(text)));
}

uint64_t Fabric::digest() const {
  return base::hash64(topology_.digest(), static_cast<uint64_t>(plan::kPlannerVersion));
}

base::Result<const plan::DecisionTable*> Fabric::tableFor(const ir::World& world,
                                                          const ir::Call& call) {
  const ir::Rank root = ir::hasRoot(call.collective) ? call.root : 0;
  const auto found = tables_.find({call.collective, root});
  if (found != tables_.end()) return &found->second;
  const int64_t start = base::nowNs();
  const plan::Demand demand{.collective = call.collective, .root = root};
  TUTTI_ASSIGN_OR_RETURN(auto made, store_.plan(topology_, demand, kPlannedBytes));
  TUTTI_ASSIGN_OR_RETURN(auto table, plan::DecisionTable::make(world, std::move(made)));
  TUTTI_LOG_INFO(kTuning, "{}, root {}, on {}: planned in {:.1f} ms, table {:016x}",
                 ir::name(call.collective), root, text_,
                 static_cast<double>(base::nowNs() - start) * 1e-6, table.digest());
  return &tables_.emplace(std::pair(call.collective, root), std::move(table)).first->second;
}

base::Result<ir::Plan> Fabric::plan(const ir::World& world, const ir::Call& call,
                                    const plan::Options& options) {
  TUTTI_ASSIGN_OR_RETURN(const plan::DecisionTable* table, tableFor(world, call));
  return table->plan(world, call, options);
}

}  // namespace tutti::comm
