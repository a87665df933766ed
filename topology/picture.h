// Topologies as people see them: a matrix of paths, and drawings.
#pragma once

#include <string>
#include <vector>

#include "topology/graph.h"

namespace tutti::topology {

// The worst that a path comes across; the lower, the nearer.
enum class PathKind : uint8_t {
  kSelf,    // X
  kDevice,  // DEV: only links between devices and their switches
  kChip,    // CHIP: and links inside of a package
  kOther,   // OTH: and links of unknown kind
  kPix,     // PIX: PCI, over one bridge at most
  kPxb,     // PXB: PCI, over several bridges
  kPhb,     // PHB: through one host, that is, a processor
  kSys,     // SYS: between hosts of one machine
  kNet,     // NET: over the network
  kVia,     // VIA: only through other ranks
  kNone,    // -: there is no way
};

std::string_view name(PathKind kind);  // "DEV"

struct Path {
  PathKind kind = PathKind::kNone;
  int64_t capacity = 0;  // of its narrowest link, in kB/s
  bool operator==(const Path&) const = default;
};

// From `from`, a rank or NIC, to every node: the nearest kind by which there is a path, and the
// widest path of that kind. O(links log nodes).
std::vector<Path> bestPaths(const Topology& topology, NodeIndex from);

// The paths from ranks to ranks and NICs as tables, with a legend. Kinds and GB/s stand in one
// table if it fits 100 columns, else in two. Of more than 32 ranks or NICs the first 32.
std::string toMatrix(const Topology& topology);

// For Graphviz: hosts are clusters.
std::string toDot(const Topology& topology);

// A drawing to look at in a browser, on white. Hosts are panels, layered from their processors over
// bridges and ranks to the NICs, which face the network between two rows of panels. Where machines
// are many, those that are alike are drawn once.
std::string toSvg(const Topology& topology);

}  // namespace tutti::topology
