// A topology as JSON that people write by hand:
//
//   {"name": "pair",
//    "nodes": [{"id": "g0", "kind": "rank"}, {"id": "g1", "kind": "rank"},
//              {"id": "s", "kind": "switch"}],
//    "links": [{"a": "g0", "b": "s", "gb_per_s": 300, "latency_us": 1},
//              {"a": "g1", "b": "s", "gb_per_s": 300, "latency_us": 1, "duplex": true}],
//    "resources": [{"id": "bus", "gb_per_s": 400, "charges": [{"a": "g0", "b": "s", "units": 1}]}]}
//
// node      id, kind (rank, switch, nic, bridge, host); host, site, vendor, model, address: texts
// link      a, b: ids; gb_per_s; latency_us (0); duplex (true): b to a is the same, too;
//           kind (device, chip, pci, socket, network, other; without it, what the ends suggest, see
//           inferKind); provenance (declared, table, measured)
// resource  id, gb_per_s, charges
// charge    a, b: the links from a to b, in this direction only; units (1) for a byte; nth: only
//           the nth of several such links, from 1
//
// Keys may stand in any order, null means left out, and every object may have a "comment". An
// unknown key is an error that names the nearest one. Numbers are taken exactly: gb_per_s to kB/s
// and latency_us to ns, rounded down with a note where a file is finer than that.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "topology/graph.h"

namespace tutti::topology {

// Errors (kErrTopologyFile) and notes begin with "fileName:line:column: ". The result has valid
// indices, ids and capacities, but its ranks need not reach each other: see check. Linear in the
// text, whatever it holds.
base::Result<Topology> parseJson(std::string_view text, std::string_view fileName,
                                 std::vector<std::string>* notes = nullptr);

// One line for each node and link. parseJson gives the same topology back, provided that check
// accepts its parts and that its texts are UTF-8.
std::string toJson(const Topology& topology);

// The kind of a link of which only the ends are known: between machines kNetwork, between a
// NIC and a switch too; inside of one by the kinds of both ends.
LinkKind inferKind(const Node& a, const Node& b);

}  // namespace tutti::topology
