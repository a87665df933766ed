// Small topologies for tests.
#pragma once

#include <string>

#include "topology/graph.h"

namespace tutti::topology {

inline NodeIndex addRank(Topology& topology, std::string id) {
  return topology.addNode({.id = std::move(id)});
}

inline NodeIndex addForwarder(Topology& topology, std::string id,
                              NodeKind kind = NodeKind::kSwitch) {
  return topology.addNode({.id = std::move(id), .kind = kind});
}

// Ranks g0, g1, ... around the switch "s".
inline Topology makeStar(int ranks, int64_t capacity) {
  Topology star{.name = "star", .nodes = {}, .links = {}, .resources = {}};
  for (int i = 0; i < ranks; ++i) addRank(star, "g" + std::to_string(i));
  const NodeIndex hub = addForwarder(star, "s");
  for (int i = 0; i < ranks; ++i) {
    star.addDuplex({.from = i, .to = hub, .capacity = capacity, .latencyNs = 500});
  }
  return star;
}

}  // namespace tutti::topology
