#include "tests/support/fabrics.h"
#include "tests/support/parts.h"

namespace tutti::tests {
namespace {

using topology::LinkKind;
using topology::NodeIndex;
using topology::NodeKind;
using topology::Topology;

// Three sites of eight machines; returns the switches of the sites.
std::vector<NodeIndex> addSites(Topology& fabric) {
  std::vector<NodeIndex> sites;
  for (const char* site : {"a", "b", "c"}) {
    const NodeIndex hub = addSwitch(fabric, std::string("site-") + site);
    fabric.nodes[static_cast<size_t>(hub)].site = site;
    for (int i = 0; i < 8; ++i) {
      const std::string id = site + std::to_string(i);
      const NodeIndex rank = addRank(fabric, id, id);
      fabric.nodes[static_cast<size_t>(rank)].site = site;
      join(fabric, rank, hub, 400 * kGigabit, LinkKind::kNetwork);
    }
    sites.push_back(hub);
  }
  return sites;
}

void joinSites(Topology& fabric, NodeIndex a, NodeIndex b, int64_t capacity) {
  constexpr int64_t kOneWayNs = 10'000'000;
  fabric.addDuplex({.from = a,
                    .to = b,
                    .capacity = capacity,
                    .latencyNs = kOneWayNs,
                    .kind = LinkKind::kNetwork});
}

// A machine with `perSwitch` devices at each of two PCIe switches and a NIC at the first; returns
// the NIC.
NodeIndex addPcieHost(Topology& fabric, const std::string& host, int perSwitch, bool hasPairLinks) {
  constexpr int64_t kPcie = 24 * kGigabyte;
  const NodeIndex memory = addForwarder(fabric, NodeKind::kHost, host + ".cpu", host);
  NodeIndex first = -1;
  for (int i = 0; i < 2; ++i) {
    const NodeIndex bridge =
        addForwarder(fabric, NodeKind::kBridge, host + ".pcie" + std::to_string(i), host);
    if (i == 0) first = bridge;
    join(fabric, bridge, memory, kPcie, LinkKind::kPci);
    NodeIndex previous = -1;
    for (int j = 0; j < perSwitch; ++j) {
      const NodeIndex device =
          addRank(fabric, host + ".gpu" + std::to_string(i * perSwitch + j), host);
      join(fabric, device, bridge, kPcie, LinkKind::kPci);
      if (hasPairLinks && previous >= 0) {
        join(fabric, previous, device, 100 * kGigabyte, LinkKind::kDevice);
      }
      previous = device;
    }
  }
  const NodeIndex nic = addForwarder(fabric, NodeKind::kNic, host + ".nic", host);
  join(fabric, nic, first, 25 * kGigabyte, LinkKind::kPci);
  return nic;
}

}  // namespace

Topology copyingSwitch() {
  Topology fabric{.name = "copying switch"};
  const NodeIndex a = addRank(fabric, "a", "a");
  const NodeIndex b = addRank(fabric, "b", "b");
  const NodeIndex c = addRank(fabric, "c", "c");
  const NodeIndex w = addSwitch(fabric, "w");
  const auto link = [&](NodeIndex from, NodeIndex to, int64_t gigabytes) {
    fabric.addLink({.from = from,
                    .to = to,
                    .capacity = gigabytes * kGigabyte,
                    .latencyNs = latencyNs(LinkKind::kNetwork),
                    .kind = LinkKind::kNetwork});
  };
  link(a, w, 100);
  link(w, b, 100);
  link(w, c, 100);
  link(b, c, 100);
  link(c, b, 100);
  link(b, a, 1000);
  link(c, a, 1000);
  return fabric;
}

Topology mixedPcie(bool hasPairLinks) {
  Topology fabric{.name = "mixed pcie hosts"};
  const NodeIndex a = addPcieHost(fabric, "a", 1, false);
  const NodeIndex b = addPcieHost(fabric, "b", 2, hasPairLinks);
  join(fabric, a, b, 25 * kGigabyte, LinkKind::kNetwork);
  return fabric;
}

Topology wanTriangle() {
  Topology fabric{.name = "wan triangle"};
  const auto sites = addSites(fabric);
  joinSites(fabric, sites[0], sites[1], 10 * kGigabit);
  joinSites(fabric, sites[1], sites[2], 40 * kGigabit);
  joinSites(fabric, sites[2], sites[0], 100 * kGigabit);
  return fabric;
}

Topology wanStar() {
  Topology fabric{.name = "wan star"};
  const auto sites = addSites(fabric);
  const NodeIndex core = addSwitch(fabric, "core");
  joinSites(fabric, sites[0], core, 10 * kGigabit);
  joinSites(fabric, sites[1], core, 40 * kGigabit);
  joinSites(fabric, sites[2], core, 100 * kGigabit);
  return fabric;
}

}  // namespace tutti::tests
