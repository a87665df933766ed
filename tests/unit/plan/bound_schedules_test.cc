// No schedule beats a bound: random trees over random ways, with their load on every link and
// resource.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "src/plan/bound.h"
#include "tests/support/fabrics.h"
#include "tests/support/sanitized.h"
#include "tests/unit/plan/print.h"

namespace tutti::plan {
namespace {

using ir::Collective;
using topology::LinkIndex;
using topology::NodeIndex;
using topology::Topology;

size_t at(int32_t index) { return static_cast<size_t>(index); }

// A shortest way, ties broken at random.
std::vector<LinkIndex> way(const Topology& topology, NodeIndex from, NodeIndex to,
                           std::mt19937_64& engine) {
  std::vector<LinkIndex> order(topology.links.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<LinkIndex>(i);
  for (size_t i = 1; i < order.size(); ++i) std::swap(order[i], order[engine() % (i + 1)]);
  std::vector<LinkIndex> by(topology.nodes.size(), -1);
  std::vector<NodeIndex> open{from};
  for (size_t next = 0; next < open.size() && by[at(to)] < 0; ++next) {
    for (const LinkIndex index : order) {
      const topology::Link& link = topology.links[at(index)];
      if (link.from != open[next] || link.to == from || by[at(link.to)] >= 0) continue;
      by[at(link.to)] = index;
      open.push_back(link.to);
    }
  }
  std::vector<LinkIndex> links;
  for (NodeIndex node = to; node != from; node = topology.links[at(by[at(node)])].from) {
    links.push_back(by[at(node)]);
  }
  return links;
}

// A tree of the ranks: for each but the root its parent, the ways down and up, and how many ranks
// are below.
struct Edge {
  int32_t parent = -1;
  std::vector<LinkIndex> down, up;
  int64_t below = 1;
};

std::vector<Edge> randomTree(const Topology& topology, std::mt19937_64& engine) {
  const auto ranks = topology.ranks();
  std::vector<int32_t> order(ranks.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  for (size_t i = 2; i < order.size(); ++i) std::swap(order[i], order[1 + engine() % i]);
  std::vector<Edge> tree(ranks.size());
  for (size_t i = 1; i < order.size(); ++i) {
    const int32_t child = order[i];
    const int32_t parent = order[engine() % i];
    tree[at(child)] = {parent, way(topology, ranks[at(parent)], ranks[at(child)], engine),
                       way(topology, ranks[at(child)], ranks[at(parent)], engine)};
  }
  for (size_t i = order.size(); i-- > 1;) {
    tree[at(tree[at(order[i])].parent)].below += tree[at(order[i])].below;
  }
  return tree;
}

// M / T of a collective that sends M * down / whole and M * up / whole over the edges of a tree.
template <typename Amount>
Rational rateOf(const Topology& topology, const std::vector<Edge>& tree, int64_t whole,
                const Amount& amount) {
  std::vector<int64_t> load(topology.links.size(), 0);
  for (const Edge& edge : tree) {
    if (edge.parent < 0) continue;
    const auto [down, up] = amount(edge);
    for (const LinkIndex link : edge.down) load[at(link)] += down;
    for (const LinkIndex link : edge.up) load[at(link)] += up;
  }
  Rational rate = Rational::unlimited();
  const auto limit = [&](int64_t capacity, int64_t charged) {
    if (charged > 0) {
      rate = std::min(rate, makeRational(static_cast<Int128>(capacity) * whole, charged));
    }
  };
  for (size_t i = 0; i < load.size(); ++i) limit(topology.links[i].capacity, load[i]);
  for (const topology::Resource& resource : topology.resources) {
    int64_t charged = 0;
    for (const auto& charge : resource.charges) charged += charge.units * load[at(charge.link)];
    limit(resource.capacity, charged);
  }
  return rate;
}

void addResources(Topology& topology, std::mt19937_64& engine) {
  for (uint64_t count = engine() % 3; count > 0; --count) {
    topology::Resource& resource = topology.resources.emplace_back();
    resource.id = "resource" + std::to_string(count);
    resource.capacity = static_cast<int64_t>(1 + engine() % 40) * topology::kGigabyte;
    const uint64_t share = 1 + engine() % 4;  // few links or all of them
    for (size_t i = 0; i < topology.links.size(); ++i) {
      if (engine() % share != 0) continue;
      const auto units = static_cast<int32_t>(1 + engine() % 3);
      resource.charges.push_back({static_cast<LinkIndex>(i), units});
    }
  }
}

struct Best {
  Collective collective;
  Rational allowed;
  Rational seen{0, 1};
};

TEST(Bound, noTreeIsFaster) {
  constexpr int kFabrics = test::kIsSanitized ? 100 : 400;
  int reached = 0;
  for (uint64_t seed = 0; seed < kFabrics; ++seed) {
    std::mt19937_64 engine(seed);
    Topology topology = tests::randomFabric(seed, {.ranks = static_cast<int>(2 + seed % 5),
                                                   .switches = static_cast<int>(seed / 5 % 4),
                                                   .extraLinks = static_cast<int>(seed / 7 % 6),
                                                   .isSymmetric = seed % 3 != 0});
    for (size_t i = 0; i < topology.nodes.size(); ++i) {
      topology.nodes[i].host = "host" + std::to_string(i % 3);
    }
    if (seed % 4 != 0) addResources(topology, engine);
    const auto ranks = static_cast<int64_t>(topology.ranks().size());
    std::vector<Best> bests;
    for (const auto collective :
         {Collective::kAllReduce, Collective::kBroadcast, Collective::kReduce,
          Collective::kAllGather, Collective::kReduceScatter, Collective::kGather,
          Collective::kScatter, Collective::kAllToAll}) {
      const auto found = bound(topology, {.collective = collective});
      ASSERT_TRUE(found.isOk()) << found.status().toString();
      EXPECT_LE(found->reachable, found->kilobytesPerSecond) << ir::name(collective) << seed;
      bests.push_back({collective, found->kilobytesPerSecond});
    }
    for (int round = 0; round < 60; ++round) {
      const auto tree = randomTree(topology, engine);
      for (Best& best : bests) {
        const auto amount = [&](const Edge& edge) -> std::pair<int64_t, int64_t> {
          const int64_t others = ranks - edge.below;
          switch (best.collective) {
            case Collective::kAllReduce: return {ranks, ranks};
            case Collective::kBroadcast: return {ranks, 0};
            case Collective::kReduce: return {0, ranks};
            case Collective::kAllGather: return {others, edge.below};
            case Collective::kReduceScatter: return {edge.below, others};
            case Collective::kGather: return {0, edge.below};
            case Collective::kScatter: return {edge.below, 0};
            default: return {edge.below * others, edge.below * others};
          }
        };
        best.seen = std::max(best.seen, rateOf(topology, tree, ranks, amount));
      }
    }
    for (const Best& best : bests) {
      EXPECT_LE(best.seen, best.allowed) << ir::name(best.collective) << " of fabric " << seed;
      reached += best.seen == best.allowed ? 1 : 0;
    }
  }
  // One tree is often enough: the bounds are not just large.
  EXPECT_GT(reached, kFabrics * 5 / 2);
  std::printf("bounds that a single tree reaches: %d of %d\n", reached, 8 * kFabrics);
}

}  // namespace
}  // namespace tutti::plan
