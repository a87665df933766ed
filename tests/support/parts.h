// Short words for writing fabrics down. Private to this folder.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "topology/graph.h"

namespace tutti::tests {

inline topology::NodeIndex addRank(topology::Topology& fabric, std::string id, std::string host,
                                   std::string vendor = {}) {
  return fabric.addNode({.id = std::move(id),
                         .kind = topology::NodeKind::kRank,
                         .host = std::move(host),
                         .vendor = std::move(vendor)});
}

inline topology::NodeIndex addForwarder(topology::Topology& fabric, topology::NodeKind kind,
                                        std::string id, std::string host = {}) {
  return fabric.addNode({.id = std::move(id), .kind = kind, .host = std::move(host)});
}

inline topology::NodeIndex addSwitch(topology::Topology& fabric, std::string id,
                                     std::string host = {}) {
  return addForwarder(fabric, topology::NodeKind::kSwitch, std::move(id), std::move(host));
}

// Rough figures; nothing in the bounds depends on them.
inline int64_t latencyNs(topology::LinkKind kind) {
  switch (kind) {
    case topology::LinkKind::kNetwork: return 1000;
    case topology::LinkKind::kPci: return 500;
    default: return 300;
  }
}

inline void join(topology::Topology& fabric, topology::NodeIndex a, topology::NodeIndex b,
                 int64_t capacity, topology::LinkKind kind) {
  fabric.addDuplex(
      {.from = a, .to = b, .capacity = capacity, .latencyNs = latencyNs(kind), .kind = kind});
}

}  // namespace tutti::tests
