// Which link is to blame for what ranks saw of their messages.
#include "topology/observed.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/unit/topology/graphs.h"

namespace tutti::topology {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr Observed kUsual{.leastNs = kSecond / 10, .permille = 700};

// What passes in `seconds` at `rate` kB/s.
ObservedFlow flow(ir::Rank from, ir::Rank to, int64_t rate, double seconds = 0.9) {
  return {from, to, static_cast<uint64_t>(static_cast<double>(rate) * 1000 * seconds),
          static_cast<int64_t>(seconds * 1e9)};
}

// "g3>s" -> capacity.
std::map<std::string, int64_t> blamed(const Topology& now, const Topology& planned,
                                      const std::vector<ObservedFlow>& flows) {
  const auto changes = slowLinks(now, planned, flows, kUsual);
  EXPECT_TRUE(changes.isOk()) << changes.status().toString();
  std::map<std::string, int64_t> result;
  for (const LinkChange& change : *changes) {
    const Link& link = now.links[static_cast<size_t>(change.link)];
    result[now.nodes[static_cast<size_t>(link.from)].id + ">" +
           now.nodes[static_cast<size_t>(link.to)].id] = change.capacity;
  }
  return result;
}
std::map<std::string, int64_t> blamed(const Topology& now, const std::vector<ObservedFlow>& flows) {
  return blamed(now, now, flows);
}

using Blamed = std::map<std::string, int64_t>;

TEST(Observed, FullLinksAreAsPlannedHoweverManyShareThem) {
  const Topology star = makeStar(4, 120'000);
  std::vector<ObservedFlow> flows;
  for (int from = 0; from < 4; ++from) {
    for (int to = 0; to < 4; ++to) {
      if (from != to) flows.push_back(flow(from, to, 40'000));
    }
  }
  EXPECT_EQ(blamed(star, flows), Blamed());
  EXPECT_EQ(blamed(star, {}), Blamed());
}

// As measured between four hosts, of which the last had lost three quarters of its uplink.
TEST(Observed, ACableIsFoundThatHoldsUpAllWhoUseIt) {
  const Topology star = makeStar(4, 120'000);
  const std::vector<ObservedFlow> flows = {
      flow(3, 0, 8'000, 0.885),  flow(3, 1, 10'000, 0.696), flow(3, 2, 11'000, 0.833),
      flow(0, 3, 9'000, 1.0),    flow(1, 3, 10'000, 0.902), flow(2, 3, 10'000, 0.831),
      flow(0, 1, 32'000, 0.137), flow(2, 1, 25'000, 0.193), flow(1, 0, 45'000, 0.114),
      flow(2, 0, 56'000, 0.059), flow(0, 2, 62'000, 0.072), flow(1, 2, 56'000, 0.09)};
  EXPECT_EQ(blamed(star, flows), (Blamed{{"g3>s", 29'000}, {"s>g3", 29'000}}));
}

// As measured between four hosts, the last of which has a line of a quarter, which is full: what it
// lets through in bursts is passed on among the others.
TEST(Observed, WhatAFullLinkLetsThroughInBurstsBlamesNobodyBehindIt) {
  Topology star = makeStar(4, 240'000);
  for (Link& link : star.links) {
    if (link.from == 3 || link.to == 3) link.capacity = 60'000;
  }
  const std::vector<ObservedFlow> flows = {flow(0, 2, 46'200, 0.410), flow(1, 2, 63'300, 0.690),
                                           flow(3, 2, 31'300, 0.702), flow(2, 1, 63'900, 0.648),
                                           flow(3, 1, 30'800, 0.640), flow(1, 0, 32'200, 0.629),
                                           flow(0, 1, 37'700, 0.433), flow(2, 0, 34'400, 0.593),
                                           flow(1, 3, 31'300, 0.601), flow(2, 3, 31'500, 0.647)};
  EXPECT_EQ(blamed(star, flows), Blamed());
  // Were it not full, that would be no reason.
  std::vector<ObservedFlow> without;
  for (const ObservedFlow& each : flows) {
    if (each.from != 3 && each.to != 3) without.push_back(each);
  }
  EXPECT_FALSE(blamed(star, without).empty());
}

TEST(Observed, InARingTheCableBothNeighboursMissIsFound) {
  const Topology star = makeStar(4, 120'000);
  EXPECT_EQ(blamed(star, {flow(2, 3, 30'000), flow(3, 0, 30'500)}),
            (Blamed{{"g3>s", 30'500}, {"s>g3", 30'500}}));
}

TEST(Observed, AFlowThatIsFastClearsItsLinks) {
  const Topology star = makeStar(4, 120'000);
  // One direction of one cable: the others of both hosts' cables are known to be fast.
  EXPECT_EQ(blamed(star, {flow(2, 3, 30'000), flow(2, 1, 118'000, 0.05)}),
            (Blamed{{"s>g3", 30'000}}));
  // Two messages prove nothing.
  EXPECT_EQ(blamed(star, {flow(2, 3, 30'000), flow(2, 1, 118'000, 0.001)}),
            (Blamed{{"g2>s", 30'100}, {"s>g3", 30'100}}));
}

TEST(Observed, WhatIsQueuedForAMomentBlamesNobody) {
  const Topology star = makeStar(4, 120'000);
  EXPECT_EQ(blamed(star, {flow(2, 3, 10'000, 0.09)}), Blamed());
}

TEST(Observed, ASlowerLineIsBlamedForItsOwnCapacity) {
  Topology star = makeStar(3, 120'000);
  for (Link& link : star.links) {
    if (link.from == 2 || link.to == 2) link.capacity = 30'000;
  }
  EXPECT_EQ(blamed(star, {flow(0, 2, 29'000), flow(2, 1, 28'500)}), Blamed());
  // Of a fast line and a slow one, the slow one has to have lost less.
  EXPECT_EQ(blamed(star, {flow(0, 2, 15'000)}), (Blamed{{"s>g2", 15'000}}));
}

TEST(Observed, ALinkThatIsFasterThanBelievedGetsItsCapacityBack) {
  const Topology planned = makeStar(3, 120'000);
  const Topology now = changed(planned, {{4, 30'000}, {5, 30'000}});  // both directions of g2
  EXPECT_EQ(blamed(now, planned, {flow(2, 0, 29'000), flow(0, 2, 31'000)}), Blamed());
  EXPECT_EQ(blamed(now, planned, {flow(2, 0, 115'000, 0.1), flow(0, 2, 60'000, 0.1)}),
            (Blamed{{"g2>s", 120'000}, {"s>g2", 120'000}}));
  EXPECT_EQ(blamed(now, planned, {flow(2, 0, 37'000), flow(0, 2, 60'000, 0.01)}), Blamed());
  // Nothing gets more than it was first planned for.
  EXPECT_EQ(blamed(planned, planned, {flow(2, 0, 500'000)}), Blamed());
}

TEST(Observed, MeshesHaveOneLinkToBlame) {
  Topology mesh;
  for (int i = 0; i < 3; ++i) addRank(mesh, "g" + std::to_string(i));
  for (int a = 0; a < 3; ++a) {
    for (int b = 0; b < a; ++b) mesh.addDuplex({.from = a, .to = b, .capacity = 10'000});
  }
  EXPECT_EQ(blamed(mesh, {flow(0, 1, 9'500, 0.6), flow(1, 2, 4'000)}), (Blamed{{"g1>g2", 4'000}}));
}

TEST(Observed, ChangedLinksAreMeasured) {
  const Topology star = makeStar(2, 1000);
  const Topology slow = changed(star, {{1, 10}});
  EXPECT_EQ(slow.links[1].capacity, 10);
  EXPECT_EQ(slow.links[1].provenance, Provenance::kMeasured);
  EXPECT_EQ(slow.links[0], star.links[0]);
}

}  // namespace
}  // namespace tutti::topology
