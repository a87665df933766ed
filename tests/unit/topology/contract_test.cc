#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/topology/graphs.h"
#include "topology/graph.h"

namespace tutti::topology {
namespace {

Link link(NodeIndex from, NodeIndex to, int64_t capacity, int64_t latencyNs = 0,
          LinkKind kind = LinkKind::kOther) {
  return {.from = from, .to = to, .capacity = capacity, .latencyNs = latencyNs, .kind = kind};
}

using Ends = std::pair<std::string, std::string>;

// All links by the ids of their ends; there must be one at most between two nodes.
std::map<Ends, Link> linksById(const Topology& topology) {
  std::map<Ends, Link> found;
  for (const Link& each : topology.links) {
    const auto& nodes = topology.nodes;
    const Ends ends{nodes[static_cast<size_t>(each.from)].id,
                    nodes[static_cast<size_t>(each.to)].id};
    EXPECT_TRUE(found.emplace(ends, each).second) << ends.first << " " << ends.second;
  }
  return found;
}

TEST(Contract, AddsParallelLinksUp) {
  Topology topology;
  addRank(topology, "a");
  addRank(topology, "b");
  topology.addLink(link(0, 1, 3, 20, LinkKind::kPci));
  topology.addLink(link(0, 1, 4, 30, LinkKind::kDevice));
  topology.addLink(link(0, 1, 4, 10));
  topology.addLink(link(1, 0, 5));
  const Contracted made = contract(topology);
  ASSERT_EQ(made.topology.links.size(), 2u);
  EXPECT_EQ(made.topology.links[0], link(0, 1, 11, 10, LinkKind::kDevice));
  EXPECT_EQ(made.topology.links[1], link(1, 0, 5));
  EXPECT_EQ(made.origin, (std::vector<std::vector<LinkIndex>>{{1}, {3}}));
}

TEST(Contract, JoinsLinksInSeries) {
  Topology topology;
  addRank(topology, "a");
  addForwarder(topology, "x", NodeKind::kNic);
  addForwarder(topology, "y");
  addRank(topology, "b");
  topology.addDuplex(link(0, 1, 9, 1, LinkKind::kPci));
  topology.addDuplex(link(2, 1, 7, 2, LinkKind::kNetwork));
  topology.addLink(link(2, 3, 8, 4));
  topology.addLink(link(3, 2, 3, 8));
  const Contracted made = contract(topology);
  ASSERT_EQ(made.topology.nodes.size(), 2u);
  ASSERT_EQ(made.topology.links.size(), 2u);
  EXPECT_EQ(made.topology.links[0], link(0, 1, 7, 7, LinkKind::kNetwork));
  EXPECT_EQ(made.topology.links[1], link(1, 0, 3, 11, LinkKind::kNetwork));
  EXPECT_EQ(made.origin, (std::vector<std::vector<LinkIndex>>{{0, 3, 4}, {5, 2, 1}}));
}

TEST(Contract, JoinsOneDirectionWhereThereIsOne) {
  Topology topology;
  addRank(topology, "a");
  addForwarder(topology, "x");
  addRank(topology, "b");
  topology.addLink(link(0, 1, 9));
  topology.addLink(link(1, 2, 5));
  topology.addLink(link(1, 0, 4));  // only back to where it came from
  topology.addLink(link(2, 0, 1));
  const auto links = linksById(contract(topology).topology);
  ASSERT_EQ(links.size(), 2u);
  EXPECT_EQ(links.at({"a", "b"}).capacity, 5);
  EXPECT_EQ(links.at({"b", "a"}).capacity, 1);
}

TEST(Contract, DropsWhatLeadsNowhere) {
  Topology topology = makeStar(3, 10);
  const NodeIndex hub = topology.find("s");
  const NodeIndex a = addForwarder(topology, "a");
  const NodeIndex b = addForwarder(topology, "b");
  const NodeIndex c = addForwarder(topology, "c");
  addForwarder(topology, "alone");
  const NodeIndex sink = addForwarder(topology, "sink");
  topology.addDuplex(link(hub, a, 5));  // a ring that hangs on one node
  topology.addDuplex(link(a, b, 5));
  topology.addDuplex(link(b, c, 5));
  topology.addDuplex(link(c, a, 5));
  for (NodeIndex rank = 0; rank < 3; ++rank) topology.addLink(link(rank, sink, 5));
  const Contracted made = contract(topology);
  EXPECT_EQ(made.topology.nodes, makeStar(3, 10).nodes);
  EXPECT_EQ(made.topology.links.size(), 6u);
}

TEST(Contract, KeepsRanksAndSwitchesOfThree) {
  const Topology star = makeStar(3, 10);
  const Contracted made = contract(star);
  EXPECT_EQ(made.topology.nodes, star.nodes);
  EXPECT_EQ(made.topology.links.size(), star.links.size());
  Topology chain;  // a rank in the middle stays
  for (const char* id : {"a", "b", "c"}) addRank(chain, id);
  chain.addDuplex(link(0, 1, 4));
  chain.addDuplex(link(1, 2, 4));
  EXPECT_EQ(contract(chain).topology.nodes.size(), 3u);
}

// a = x = b, where the bus is crossed on both sides of x, once in each direction.
TEST(Contract, LinksInSeriesChargeWhatBothDid) {
  Topology topology;
  addRank(topology, "a");
  addForwarder(topology, "x");
  addRank(topology, "b");
  topology.addDuplex(link(0, 1, 9));
  topology.addDuplex(link(1, 2, 5));
  topology.resources.push_back({"bus", 6, {{0, 1}, {1, 1}, {2, 2}}});
  topology.resources.push_back({"unused", 6, {}});
  const Contracted made = contract(topology);
  ASSERT_EQ(made.topology.links.size(), 2u);
  ASSERT_EQ(made.topology.resources.size(), 1u);
  EXPECT_EQ(made.topology.resources[0], (Resource{"bus", 6, {{0, 3}, {1, 1}}}));
}

TEST(Contract, ParallelLinksThatChargeDifferentlyStayApart) {
  Topology topology;
  addRank(topology, "a");
  addForwarder(topology, "x");
  addRank(topology, "b");
  topology.addLink(link(0, 1, 9));
  topology.addLink(link(0, 1, 9));
  topology.addLink(link(0, 1, 9));
  topology.addLink(link(1, 2, 20));
  topology.addLink(link(2, 1, 7));
  topology.addLink(link(1, 0, 7));
  topology.resources.push_back({"bus", 6, {{1, 1}, {2, 1}}});
  const Contracted made = contract(topology);
  EXPECT_EQ(made.topology.nodes.size(), 3u) << "x cannot go: the links to it differ";
  ASSERT_EQ(made.topology.links.size(), 5u);
  EXPECT_EQ(made.topology.links[0].capacity, 9);
  EXPECT_EQ(made.topology.links[1].capacity, 18);
  EXPECT_EQ(made.topology.resources[0].charges, (std::vector<Charge>{{1, 1}}));
}

// The least that leaves `ranks` (a set of bits), over all sets of forwarders on their side.
int64_t leastCut(const Topology& topology, uint32_t ranks) {
  const std::vector<int32_t> rankOf = topology.rankOfNode();
  const size_t count = topology.nodes.size();
  int64_t least = -1;
  for (uint32_t side = 0; side < (uint32_t{1} << count); ++side) {
    bool fits = true;
    for (size_t i = 0; i < count; ++i) {
      if (rankOf[i] >= 0) fits = fits && (side >> i & 1) == (ranks >> rankOf[i] & 1);
    }
    if (!fits) continue;
    int64_t sum = 0;
    for (const Link& each : topology.links) {
      if ((side >> each.from & 1) != 0 && (side >> each.to & 1) == 0) sum += each.capacity;
    }
    least = least < 0 ? sum : std::min(least, sum);
  }
  return least;
}

Topology makeRandom(std::mt19937_64& random) {
  Topology topology;
  const int ranks = 1 + static_cast<int>(random() % 4);
  const int nodes = ranks + static_cast<int>(random() % 6);
  for (int i = 0; i < nodes; ++i) {
    const std::string id = "n" + std::to_string(i);
    i < ranks ? addRank(topology, id) : addForwarder(topology, id);
  }
  std::swap(topology.nodes.front(), topology.nodes.back());
  const int links = static_cast<int>(random() % static_cast<uint64_t>(3 * nodes));
  for (int i = 0; i < links && nodes > 1; ++i) {
    const auto from = static_cast<NodeIndex>(random() % static_cast<uint64_t>(nodes));
    const auto to = static_cast<NodeIndex>(random() % static_cast<uint64_t>(nodes));
    if (from == to) continue;
    const Link made =
        link(from, to, 1 + static_cast<int64_t>(random() % 9), static_cast<int64_t>(random() % 5));
    random() % 2 == 0 ? topology.addLink(made) : topology.addDuplex(made);
  }
  for (int r = static_cast<int>(random() % 3); r > 0; --r) {
    Resource resource{"r" + std::to_string(r), 10, {}};
    for (size_t i = 0; i < topology.links.size(); ++i) {
      if (random() % 5 != 0) continue;
      resource.charges.push_back(
          {static_cast<LinkIndex>(i), 1 + static_cast<int32_t>(random() % 2)});
    }
    topology.resources.push_back(resource);
  }
  return topology;
}

std::map<std::string, int32_t> chargesOf(const Topology& topology, LinkIndex index) {
  std::map<std::string, int32_t> units;
  for (const Resource& resource : topology.resources) {
    for (const Charge& charge : resource.charges) {
      if (charge.link == index) units[resource.id] += charge.units;
    }
  }
  return units;
}

// The origin is a way between the link's ends; its narrowest part is no wider than the link, its
// latencies are no less, and it charges what the link charges.
void expectOrigin(const Topology& before, const Contracted& made, size_t index) {
  const Link& after = made.topology.links[index];
  const std::vector<LinkIndex>& way = made.origin[index];
  ASSERT_FALSE(way.empty());
  std::string at = made.topology.nodes[static_cast<size_t>(after.from)].id;
  int64_t narrowest = kMostCapacity;
  int64_t latencyNs = 0;
  std::map<std::string, int32_t> units;
  for (const LinkIndex part : way) {
    const Link& each = before.links[static_cast<size_t>(part)];
    EXPECT_EQ(before.nodes[static_cast<size_t>(each.from)].id, at);
    at = before.nodes[static_cast<size_t>(each.to)].id;
    narrowest = std::min(narrowest, each.capacity);
    latencyNs += each.latencyNs;
    for (const auto& [resource, charged] : chargesOf(before, part)) units[resource] += charged;
  }
  EXPECT_EQ(at, made.topology.nodes[static_cast<size_t>(after.to)].id);
  EXPECT_LE(narrowest, after.capacity);
  EXPECT_GE(latencyNs, after.latencyNs);
  EXPECT_EQ(units, chargesOf(made.topology, static_cast<LinkIndex>(index)));
}

TEST(Contract, KeepsEveryCutOfRandomGraphs) {
  std::mt19937_64 random(7);
  size_t smaller = 0;
  for (int round = 0; round < 600; ++round) {
    const Topology before = makeRandom(random);
    const Contracted made = contract(before);
    const auto ranks = static_cast<uint32_t>(before.ranks().size());
    ASSERT_EQ(made.topology.ranks().size(), ranks);
    for (uint32_t set = 1; set + 1 < (uint32_t{1} << ranks); ++set) {
      ASSERT_EQ(leastCut(made.topology, set), leastCut(before, set))
          << set << "\n"
          << toString(before) << toString(made.topology);
    }
    ASSERT_EQ(made.origin.size(), made.topology.links.size());
    for (size_t i = 0; i < made.origin.size(); ++i) expectOrigin(before, made, i);
    EXPECT_EQ(contract(made.topology).topology, made.topology) << toString(before);
    EXPECT_EQ(check(made.topology).isOk(), check(before).isOk());
    smaller += made.topology.nodes.size() < before.nodes.size() ? 1 : 0;
  }
  EXPECT_GT(smaller, 100u);
}

// 128 machines of 8: a device switch, a bridge and a NIC for each device, two hosts, 8 rails.
Topology makeCluster(int machines) {
  Topology topology;
  std::vector<NodeIndex> rails;
  for (int i = 0; i < 8; ++i) rails.push_back(addForwarder(topology, "rail" + std::to_string(i)));
  for (int m = 0; m < machines; ++m) {
    const std::string prefix = "m" + std::to_string(m) + "/";
    const NodeIndex hub = addForwarder(topology, prefix + "s");
    const NodeIndex hosts[] = {addForwarder(topology, prefix + "h0", NodeKind::kHost),
                               addForwarder(topology, prefix + "h1", NodeKind::kHost)};
    topology.addDuplex(link(hosts[0], hosts[1], 20 * kGigabyte));
    for (int i = 0; i < 8; ++i) {
      const std::string number = std::to_string(i);
      const NodeIndex rank = addRank(topology, prefix + "g" + number);
      const NodeIndex bridge = addForwarder(topology, prefix + "b" + number, NodeKind::kBridge);
      const NodeIndex nic = addForwarder(topology, prefix + "n" + number, NodeKind::kNic);
      topology.addDuplex(link(rank, hub, 450 * kGigabyte));
      topology.addDuplex(link(rank, bridge, 48 * kGigabyte));
      topology.addDuplex(link(nic, bridge, 48 * kGigabyte));
      topology.addDuplex(link(bridge, hosts[i / 4], 48 * kGigabyte));
      topology.addDuplex(link(nic, rails[static_cast<size_t>(i)], 50 * kGigabyte));
    }
  }
  return topology;
}

TEST(Contract, IsFastForAThousandRanks) {
  const Topology cluster = makeCluster(128);
  const auto start = std::chrono::steady_clock::now();
  const Contracted made = contract(cluster);
  const auto spent = std::chrono::steady_clock::now() - start;
  // Of a machine remain 8 ranks, 8 bridges, the device switch and both hosts; the NICs are gone.
  EXPECT_EQ(made.topology.nodes.size(), 8 + 128 * (8 + 8 + 1 + 2));
  EXPECT_LT(spent, std::chrono::seconds(1));
  RecordProperty(
      "microseconds",
      std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(spent).count()));
}

TEST(Contract, JoinsAVeryLongChain) {
  constexpr int kLength = 20000;
  Topology topology;
  addRank(topology, "a");
  for (int i = 1; i < kLength; ++i) addForwarder(topology, "x" + std::to_string(i));
  addRank(topology, "b");
  for (int i = 0; i < kLength; ++i) topology.addDuplex(link(i, i + 1, kLength + i, 1));
  const Contracted made = contract(topology);
  ASSERT_EQ(made.topology.links.size(), 2u);
  EXPECT_EQ(made.topology.links[1], link(1, 0, kLength, kLength));
  ASSERT_EQ(made.origin[0].size(), static_cast<size_t>(kLength));
  EXPECT_EQ(made.origin[0].front(), 0);
  EXPECT_EQ(made.origin[1].front(), 2 * kLength - 1);
}

}  // namespace
}  // namespace tutti::topology
