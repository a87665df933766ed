// The fabric that joins the ranks of a communicator, where a file describes it, and what its
// collectives are planned by then.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "src/base/config.h"
#include "src/base/status.h"
#include "src/ir/call.h"
#include "src/ir/plan.h"
#include "src/ir/world.h"
#include "src/plan/plan.h"
#include "src/plan/store.h"
#include "src/plan/table.h"
#include "topology/graph.h"

namespace tutti::comm {

// Used by one thread at a time.
class Fabric {
 public:
  // From TUTTI_TOPO_FILE; with TUTTI_TOPO_NETWORK of as many machines like it as `size` ranks need.
  // Rank r is the file's rank r. Null: no file, or one of more ranks than these (a part of them,
  // from a split, has no place in it that is known), or one rank alone. Fails where the file can
  // not be used (kErrTopologyFile) or has fewer ranks. Blocks while it reads.
  static base::Result<std::unique_ptr<Fabric>> open(
      int size, const base::Config& config = base::processConfig());

  // What was measured between the hosts of a communicator, the same on all its ranks.
  static std::unique_ptr<Fabric> ofMeasured(topology::Topology topology);

  // What ranks agreed on in the course of a run, for the `generation`th time.
  static std::unique_ptr<Fabric> ofReplanned(topology::Topology topology, int generation);

  const topology::Topology& topology() const { return topology_; }

  // Of what ranks must have alike: the fabric and the planner.
  uint64_t digest() const;
  // "the fabric of box.json (8 ranks, digest 0123456789abcdef)"
  const std::string& text() const { return text_; }

  // By the decision table of the call's collective and root, which the first call makes: that plans
  // for the fabric, or finds the plan kept (store.h). The same on every rank. The collective has a
  // table (plan::hasTable).
  base::Result<ir::Plan> plan(const ir::World& world, const ir::Call& call,
                              const plan::Options& options);

 private:
  Fabric(topology::Topology topology, std::string text)
      : topology_(std::move(topology)),
        text_(std::move(text)),
        store_(plan::PlanStore::ofProcess()) {}
  base::Result<const plan::DecisionTable*> tableFor(const ir::World& world, const ir::Call& call);

  topology::Topology topology_;
  std::string text_;
  plan::PlanStore store_;
  std::map<std::pair<ir::Collective, ir::Rank>, plan::DecisionTable> tables_;
};

}  // namespace tutti::comm
