// Plans on disk: what planFabric searched for is kept, so that the next process need not search.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "src/base/status.h"
#include "src/plan/fabric.h"
#include "topology/graph.h"

namespace tutti::plan {

// A directory with a file for each topology (by digest), collective, root and FabricOptions. Files
// are written beside their place and renamed into it, so readers and any number of writers see
// whole ones; what they hold is checked like a fresh plan. Whatever can not be used (damaged, cut,
// of another version, somebody else's, a link, a directory that can not be opened or written) is
// passed over with a warning and planned again: a store never fails and never changes a plan, it
// makes planning faster. Nothing is deleted; a file takes some KiB.
//
// Used by one thread at a time; any number of stores, in any number of processes, may share a
// directory.
class PlanStore {
 public:
  // Made when first written to. Empty: nothing is kept.
  explicit PlanStore(std::string directory) : directory_(std::move(directory)) {}
  // TUTTI_CACHE_DIR ("" and "off": nothing is kept), else $XDG_CACHE_HOME/tutti or ~/.cache/tutti.
  static PlanStore ofProcess();

  const std::string& directory() const { return directory_; }

  // As planFabric, and with the same result.
  base::Result<FabricPlan> plan(const topology::Topology& topology, const Demand& demand,
                                uint64_t bytes, const FabricOptions& options = {});

 private:
  struct Place {
    std::string key;   // for what it is, in words
    std::string name;  // of the file
  };
  static Place placeOf(const topology::Topology& topology, const Demand& demand,
                       const FabricOptions& options);
  std::optional<Searched> load(const Place& place, ir::Collective collective);
  void save(const Place& place, const Searched& searched);
  // Once for the directory as a whole.
  void giveUp(std::string_view why);

  std::string directory_;
};

}  // namespace tutti::plan
