// Clusters from machines: copies of topologies, alike or not, joined by a described network.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "src/base/status.h"
#include "topology/graph.h"
#include "topology/network.h"

namespace tutti::topology {

// One machine with less of a network than it should have: `keptNics` of its NICs, evenly chosen,
// each at numerator / denominator of its speed.
struct Degraded {
  int32_t machine = 0;   // from 0, over all copies
  int32_t keptNics = 0;  // 0: all
  int64_t numerator = 1;
  int64_t denominator = 1;
  bool operator==(const Degraded&) const = default;
};

// "15=1/2" (or "15=0.5"): machine 15 at half its network speed; "15=4nics": 4 of its NICs.
base::Result<Degraded> parseDegraded(std::string_view text);

// Machine m is machines[m], and the same topology may stand there any number of times. Ids, hosts
// and resources of machine m get the prefix "m<m>/". Ranks keep the order of machines, then their
// own.
//
// The network attaches to every NIC node; to NICs that are slower than a quarter of the machine's
// fastest it does not (they are management ports), and a note says so. A NIC's own speed is that
// of its widest link into the machine. Where a machine has no NICs, every rank gets one of its own
// ("m0/gpu3/nic"), as fast as its port, and the description must say how fast that is.
//
// Errors (kErrInvalidArgument): no machines, more than 4 million nodes or links, a rate that is
// needed and missing, fewer machines than sites, a degraded machine that does not exist or is left
// without network. The result is not checked as a whole (check).
base::Result<Topology> compose(std::span<const Topology* const> machines,
                               const NetworkSpec& network, std::span<const Degraded> degraded = {},
                               std::vector<std::string>* notes = nullptr);

}  // namespace tutti::topology
