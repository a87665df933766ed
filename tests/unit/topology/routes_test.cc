// Widest, then shortest, then spread.
#include "topology/routes.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/topology/graphs.h"

namespace tutti::topology {
namespace {

RouteTable tableOf(const Topology& topology, const std::vector<Route>& given = {}) {
  auto table = RouteTable::make(topology, given);
  EXPECT_TRUE(table.isOk()) << table.status().toString();
  return table.take();
}

std::vector<LinkIndex> find(RouteTable& table, ir::Rank from, ir::Rank to, int channel = 0,
                            int slice = 0) {
  auto links = table.find(from, to, channel, slice);
  EXPECT_TRUE(links.isOk()) << links.status().toString();
  return links.isOk() ? *links : std::vector<LinkIndex>();
}

TEST(Routes, widestThenShortest) {
  Topology topology;
  const auto a = topology.addNode({.id = "a"});
  const auto b = topology.addNode({.id = "b"});
  const auto s = topology.addNode({.id = "s", .kind = NodeKind::kSwitch});
  const auto t = topology.addNode({.id = "t", .kind = NodeKind::kSwitch});
  const auto direct = topology.addDuplex({.from = a, .to = b, .capacity = 10});
  const auto up = topology.addDuplex({.from = a, .to = s, .capacity = 50, .latencyNs = 9});
  const auto down = topology.addDuplex({.from = s, .to = b, .capacity = 20, .latencyNs = 9});
  // As wide as the way over s, and longer; and as long, and slower.
  const auto detour = topology.addDuplex({.from = s, .to = t, .capacity = 50});
  topology.addDuplex({.from = t, .to = b, .capacity = 20});
  topology.addLink({.from = a, .to = t, .capacity = 20, .latencyNs = 30});
  RouteTable table = tableOf(topology);
  EXPECT_EQ(find(table, 0, 1), (std::vector<LinkIndex>{up, down}));
  EXPECT_EQ(find(table, 1, 0), (std::vector<LinkIndex>{down + 1, up + 1}));
  (void)direct;
  (void)detour;
}

// A wide first part must not win over a shorter way that is as wide as the narrowest link of both.
TEST(Routes, shortestOfTheWidest) {
  Topology topology;
  const auto a = topology.addNode({.id = "a"});
  const auto b = topology.addNode({.id = "b"});
  const auto s = topology.addNode({.id = "s", .kind = NodeKind::kSwitch});
  const auto t = topology.addNode({.id = "t", .kind = NodeKind::kSwitch});
  topology.addDuplex({.from = a, .to = s, .capacity = 100});
  topology.addDuplex({.from = s, .to = t, .capacity = 100});
  const auto narrow = topology.addDuplex({.from = a, .to = t, .capacity = 10});
  const auto last = topology.addDuplex({.from = t, .to = b, .capacity = 10});
  RouteTable table = tableOf(topology);
  EXPECT_EQ(find(table, 0, 1), (std::vector<LinkIndex>{narrow, last}));
}

// Four spines, no two senders or lanes over the same one.
TEST(Routes, equalWaysAreSpread) {
  Topology topology;
  const auto left = topology.addNode({.id = "left", .kind = NodeKind::kSwitch});
  const auto right = topology.addNode({.id = "right", .kind = NodeKind::kSwitch});
  for (int spine = 0; spine < 4; ++spine) {
    const auto node =
        topology.addNode({.id = "spine" + std::to_string(spine), .kind = NodeKind::kSwitch});
    topology.addDuplex({.from = left, .to = node, .capacity = 10});
    topology.addDuplex({.from = right, .to = node, .capacity = 10});
  }
  for (int rank = 0; rank < 8; ++rank) {
    const auto node = topology.addNode({.id = "r" + std::to_string(rank)});
    topology.addDuplex({.from = node, .to = rank < 4 ? left : right, .capacity = 10});
  }
  RouteTable table = tableOf(topology);
  std::set<LinkIndex> bySender;
  std::set<LinkIndex> byChannel;
  for (int at = 0; at < 4; ++at) {
    bySender.insert(find(table, at, 4 + at).at(1));
    byChannel.insert(find(table, 0, 4, at).at(1));
  }
  EXPECT_EQ(bySender.size(), 4u);
  EXPECT_EQ(byChannel.size(), 4u);
}

// Ranks forward only where nothing else does: not the wide way through b, but c has no other.
TEST(Routes, avoidRanks) {
  Topology topology;
  const auto a = topology.addNode({.id = "a"});
  const auto b = topology.addNode({.id = "b"});
  const auto c = topology.addNode({.id = "c"});
  const auto d = topology.addNode({.id = "d"});
  const auto ab = topology.addDuplex({.from = a, .to = b, .capacity = 100});
  topology.addDuplex({.from = b, .to = c, .capacity = 100});
  const auto ac = topology.addDuplex({.from = a, .to = c, .capacity = 1});
  const auto bd = topology.addDuplex({.from = b, .to = d, .capacity = 5});
  RouteTable table = tableOf(topology);
  EXPECT_EQ(find(table, 0, 2), std::vector<LinkIndex>{ac});
  EXPECT_EQ(find(table, 0, 3), (std::vector<LinkIndex>{ab, bd}));
}

TEST(Routes, givenOnesComeFirst) {
  const Topology star = makeStar(3, 10);
  const std::vector<Route> given = {{0, 1, 1, {0, 5, 4, 3}}};
  RouteTable table = tableOf(star, given);
  EXPECT_EQ(find(table, 0, 1, 0, 1), (std::vector<LinkIndex>{0, 5, 4, 3}));
  EXPECT_EQ(find(table, 0, 1, 0, 0), (std::vector<LinkIndex>{0, 3}));
  EXPECT_EQ(find(table, 1, 0, 0, 1), (std::vector<LinkIndex>{2, 1}));
}

// Trees from several roots that carry the same slice of different blocks.
TEST(Routes, ofABlock) {
  const Topology star = makeStar(3, 10);
  RouteTable table = tableOf(star, {{0, 1, 0, {0, 5, 4, 3}, 2}, {0, 1, 0, {0, 1, 0, 3}}});
  EXPECT_EQ(*table.find(0, 1, 0, 0, 2), (std::vector<LinkIndex>{0, 5, 4, 3}));
  EXPECT_EQ(*table.find(0, 1, 0, 0, 1), (std::vector<LinkIndex>{0, 1, 0, 3}));
  EXPECT_EQ(*table.find(0, 1, 0, 1, 1), (std::vector<LinkIndex>{0, 3}));
}

TEST(Routes, badOnesAreNamed) {
  const Topology star = makeStar(3, 10);
  const auto errorOf = [&](std::vector<Route> given) {
    return RouteTable::make(star, given).status().toString();
  };
  EXPECT_NE(errorOf({{0, 3, 0, {}}}).find("two of 3 ranks"), std::string::npos);
  EXPECT_NE(errorOf({{0, 0, 0, {}}}).find("two of 3 ranks"), std::string::npos);
  EXPECT_NE(errorOf({{0, 1, 0, {0, 6}}}).find("names link 6 of 6"), std::string::npos);
  EXPECT_NE(errorOf({{0, 1, 0, {2}}}).find("does not start at g0"), std::string::npos);
  EXPECT_NE(errorOf({{0, 1, 2, {0}}}).find("slice 2 ends at s, not at g1"), std::string::npos);
  EXPECT_NE(errorOf({{0, 1, 0, {0, 3}}, {0, 1, 0, {0, 3}}}).find("twice"), std::string::npos);
}

TEST(Routes, noWayIsAnError) {
  Topology topology;
  topology.addNode({.id = "a"});
  topology.addNode({.id = "b"});
  topology.addLink({.from = 0, .to = 1, .capacity = 1});
  RouteTable table = tableOf(topology);
  EXPECT_EQ(find(table, 0, 1), std::vector<LinkIndex>{0});
  EXPECT_NE(table.find(1, 0, 0, 0).status().toString().find("no way from rank 1 to rank 0"),
            std::string::npos);
}

}  // namespace
}  // namespace tutti::topology
