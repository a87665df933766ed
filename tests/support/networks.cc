#include <algorithm>
#include <random>

#include "tests/support/fabrics.h"
#include "tests/support/parts.h"

namespace tutti::tests {
namespace {

using topology::LinkKind;
using topology::NodeIndex;
using topology::Topology;

NodeIndex addHost(Topology& fabric, int number) {
  const std::string id = "host" + std::to_string(number);
  return addRank(fabric, id, id);
}

Topology hosts(std::string name, int count) {
  Topology fabric{.name = std::move(name)};
  for (int i = 0; i < count; ++i) addHost(fabric, i);
  return fabric;
}

void joinHosts(Topology& fabric, NodeIndex a, NodeIndex b, int64_t capacity) {
  join(fabric, a, b, capacity, LinkKind::kNetwork);
}

}  // namespace

Topology single() { return hosts("single", 1); }

Topology disconnected() {
  Topology fabric = hosts("disconnected", 2);
  joinHosts(fabric, 0, addSwitch(fabric, "switch"), kGigabyte);
  return fabric;
}

Topology star(const std::vector<int64_t>& capacities) {
  Topology fabric = hosts("star", static_cast<int>(capacities.size()));
  const NodeIndex hub = addSwitch(fabric, "switch");
  for (size_t i = 0; i < capacities.size(); ++i) {
    joinHosts(fabric, static_cast<NodeIndex>(i), hub, capacities[i]);
  }
  return fabric;
}

Topology ring(int ranks, int64_t capacity) { return torus({ranks}, capacity); }

Topology mesh(int ranks, int64_t capacity) {
  Topology fabric = hosts("mesh", ranks);
  for (NodeIndex b = 0; b < ranks; ++b) {
    for (NodeIndex a = 0; a < b; ++a) joinHosts(fabric, a, b, capacity);
  }
  return fabric;
}

Topology torus(const std::vector<int>& extents, int64_t capacity) {
  int ranks = 1;
  for (const int extent : extents) ranks *= extent;
  Topology fabric = hosts("torus", ranks);
  int stride = 1;
  for (const int extent : extents) {
    for (NodeIndex a = 0; a < ranks; ++a) {
      const int place = a / stride % extent;
      // Two in a row are neighbours once, not twice.
      if (extent == 1 || (extent == 2 && place == 1)) continue;
      joinHosts(fabric, a, a + ((place + 1) % extent - place) * stride, capacity);
    }
    stride *= extent;
  }
  return fabric;
}

Topology hypercube(int dimensions, int64_t capacity) {
  return torus(std::vector<int>(static_cast<size_t>(dimensions), 2), capacity);
}

Topology fatTree(int leaves, int perLeaf, int64_t capacity, int64_t uplink) {
  Topology fabric{.name = "fat tree"};
  const NodeIndex core = addSwitch(fabric, "core");
  for (int leaf = 0; leaf < leaves; ++leaf) {
    const NodeIndex at = addSwitch(fabric, "leaf" + std::to_string(leaf));
    for (int i = 0; i < perLeaf; ++i) {
      joinHosts(fabric, addHost(fabric, leaf * perLeaf + i), at, capacity);
    }
    joinHosts(fabric, at, core, uplink);
  }
  return fabric;
}

Topology twoIslands(int ranks, int64_t capacity, int64_t between) {
  Topology fabric = hosts("two islands", 2 * ranks);
  const NodeIndex islands[] = {addSwitch(fabric, "island0"), addSwitch(fabric, "island1")};
  for (NodeIndex rank = 0; rank < 2 * ranks; ++rank) {
    joinHosts(fabric, rank, islands[rank / ranks], capacity);
  }
  joinHosts(fabric, islands[0], islands[1], between);
  return fabric;
}

Topology randomFabric(uint64_t seed, const RandomFabric& options) {
  // The engine is the same everywhere; the distributions of <random> are not.
  std::mt19937_64 engine(seed);
  const auto below = [&](uint64_t limit) { return engine() % limit; };
  Topology fabric = hosts("random " + std::to_string(seed), options.ranks);
  for (int i = 0; i < options.switches; ++i) addSwitch(fabric, "switch" + std::to_string(i));
  const auto capacity = [&] {
    return static_cast<int64_t>(1 + below(static_cast<uint64_t>(options.mostCapacity))) *
           options.unit;
  };
  const auto link = [&](NodeIndex a, NodeIndex b) {
    const int64_t there = capacity();
    const int64_t back = options.isSymmetric ? there : capacity();
    fabric.addLink({.from = a, .to = b, .capacity = there, .kind = LinkKind::kNetwork});
    fabric.addLink({.from = b, .to = a, .capacity = back, .kind = LinkKind::kNetwork});
  };
  std::vector<NodeIndex> order(fabric.nodes.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<NodeIndex>(i);
  for (size_t i = 1; i < order.size(); ++i) std::swap(order[i], order[below(i + 1)]);
  for (size_t i = 1; i < order.size(); ++i) link(order[i], order[below(i)]);
  for (int i = 0; i < options.extraLinks && order.size() > 1; ++i) {
    const uint64_t a = below(order.size());
    const uint64_t b = (a + 1 + below(order.size() - 1)) % order.size();
    link(static_cast<NodeIndex>(a), static_cast<NodeIndex>(b));
  }
  return fabric;
}

}  // namespace tutti::tests
