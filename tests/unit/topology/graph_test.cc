#include "topology/graph.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "src/base/errors.h"
#include "tests/unit/topology/graphs.h"

namespace tutti::topology {
namespace {

TEST(Graph, RanksAreTheNodesOfThatKindInOrder) {
  Topology topology;
  addForwarder(topology, "s");
  addRank(topology, "a");
  addForwarder(topology, "n", NodeKind::kNic);
  addRank(topology, "b");
  EXPECT_EQ(topology.ranks(), (std::vector<NodeIndex>{1, 3}));
  EXPECT_EQ(topology.rankOfNode(), (std::vector<int32_t>{-1, 0, -1, 1}));
  EXPECT_EQ(topology.find("b"), 3);
  EXPECT_EQ(topology.find("c"), -1);
}

TEST(Graph, DuplexIsTwoLinks) {
  const Topology star = makeStar(3, 7);
  ASSERT_EQ(star.links.size(), 6u);
  EXPECT_EQ(star.links[2].from, 1);
  EXPECT_EQ(star.links[3].from, 3);
  EXPECT_EQ(star.links[3].to, 1);
  EXPECT_EQ(star.links[3].capacity, 7);
  const Adjacency adjacent = adjacency(star);
  EXPECT_EQ(adjacent.out[3], (std::vector<LinkIndex>{1, 3, 5}));
  EXPECT_EQ(adjacent.in[3], (std::vector<LinkIndex>{0, 2, 4}));
  EXPECT_EQ(adjacent.in[1], (std::vector<LinkIndex>{3}));
}

Topology makeRich() {
  Topology topology = makeStar(2, 300 * kGigabyte);
  topology.nodes[0].host = "h";
  topology.resources.push_back({"bus", 50, {{0, 1}, {1, 2}}});
  return topology;
}

TEST(Graph, EverythingButTheNameChangesTheDigest) {
  const Topology original = makeRich();
  Topology renamed = original;
  renamed.name = "other";
  EXPECT_EQ(renamed.digest(), original.digest());
  EXPECT_FALSE(renamed == original);

  using Change = std::function<void(Topology&)>;
  const std::vector<Change> changes = {
      [](Topology& t) { t.nodes[0].id = "x"; },
      [](Topology& t) { t.nodes[0].kind = NodeKind::kNic; },
      [](Topology& t) { t.nodes[0].host = "i"; },
      [](Topology& t) { std::swap(t.nodes[0].host, t.nodes[0].site); },
      [](Topology& t) { t.nodes[0].vendor = "v"; },
      [](Topology& t) { t.nodes[0].model = "v"; },
      [](Topology& t) { t.nodes[0].address = "v"; },
      [](Topology& t) { std::swap(t.nodes[0], t.nodes[1]); },
      [](Topology& t) { t.links[0].from = 1; },
      [](Topology& t) { t.links[0].to = 1; },
      [](Topology& t) { ++t.links[0].capacity; },
      [](Topology& t) { ++t.links[0].latencyNs; },
      [](Topology& t) { t.links[0].kind = LinkKind::kPci; },
      [](Topology& t) { t.links[0].provenance = Provenance::kMeasured; },
      [](Topology& t) { t.links.pop_back(); },
      [](Topology& t) { t.resources[0].id = "b"; },
      [](Topology& t) { ++t.resources[0].capacity; },
      [](Topology& t) { ++t.resources[0].charges[0].units; },
      [](Topology& t) { t.resources[0].charges[0].link = 3; },
      [](Topology& t) { t.resources[0].charges.pop_back(); },
      [](Topology& t) { t.resources.clear(); }};
  std::set<uint64_t> digests{original.digest()};
  for (const Change& change : changes) {
    Topology changed = original;
    change(changed);
    EXPECT_FALSE(changed == original) << digests.size();
    EXPECT_TRUE(digests.insert(changed.digest()).second) << "change " << digests.size();
  }
}

// The same on every machine and in every release: files are named by it.
TEST(Graph, TheDigestIsKnown) { EXPECT_EQ(makeRich().digest(), 846002331917788904u); }

TEST(Graph, CapacitiesForPeople) {
  EXPECT_EQ(gigabytesText(50 * kGigabyte), "50");
  EXPECT_EQ(gigabytesText(957'000), "0.957");
  EXPECT_EQ(gigabytesText(2'500), "0.0025");
  EXPECT_EQ(gigabytesText(1), "0.000001");
  EXPECT_EQ(gigabytesText(346'666'667), "346.7");
  EXPECT_EQ(gigabytesText(9'999'960), "10");
  EXPECT_EQ(gigabytesText(12'345'678), "12.35");
  EXPECT_EQ(gigabytesText(0), "0");
  EXPECT_EQ(gigabytesText(kMostCapacity), "10000000");
  EXPECT_EQ(gigabytesText(100 * kGigabyte), "100");
}

TEST(Graph, TextHasALineForEachNodeAndLink) {
  const std::string text = toString(makeRich());
  EXPECT_NE(text.find("rank g0 rank=0 host=h\n  -> s 300 GB/s other 500 ns\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("switch s\n  -> g0 300"), std::string::npos) << text;
  EXPECT_NE(text.find("resource bus 0.00005 GB/s, charged by 2 links\n"), std::string::npos)
      << text;
}

void expectRefused(const std::function<void(Topology&)>& spoil, const std::string& part) {
  Topology topology = makeRich();
  ASSERT_TRUE(check(topology).isOk()) << check(topology).toString();
  spoil(topology);
  const base::Status status = check(topology);
  ASSERT_FALSE(status.isOk()) << part;
  EXPECT_EQ(status.errorId(), base::kErrTopology);
  EXPECT_NE(status.text().find(part), std::string::npos) << status.toString();
}

TEST(Check, NamesWhatIsWrong) {
  expectRefused([](Topology& t) { t.nodes[1].id.clear(); }, "node 1 has no id");
  expectRefused([](Topology& t) { t.nodes[1].id = "g0"; }, "\"g0\"");
  expectRefused([](Topology& t) { t.links[1].to = 3; }, "link 1 goes from node 2 to node 3");
  expectRefused([](Topology& t) { t.links[1].from = -1; }, "node -1");
  expectRefused([](Topology& t) { t.links[0].to = 0; }, "\"g0\" leads to itself");
  expectRefused([](Topology& t) { t.links[0].capacity = 0; }, "\"g0\" to \"s\"");
  expectRefused([](Topology& t) { t.links[0].capacity = kMostCapacity + 1; }, "capacity");
  expectRefused([](Topology& t) { t.links[0].latencyNs = -1; }, "latency");
  expectRefused([](Topology& t) { t.links[0].latencyNs = kMostLatencyNs + 1; }, "latency");
  expectRefused([](Topology& t) { t.resources[0].id.clear(); }, "resource 0 has no id");
  expectRefused([](Topology& t) { t.resources.push_back(t.resources[0]); }, "\"bus\"");
  expectRefused([](Topology& t) { t.resources[0].capacity = 0; }, "\"bus\"");
  expectRefused([](Topology& t) { t.resources[0].charges[1].link = 4; }, "charged by link 4");
  expectRefused([](Topology& t) { t.resources[0].charges[1].link = 0; }, "charged twice");
  expectRefused([](Topology& t) { t.resources[0].charges[1].units = 0; }, "0 units");
  expectRefused([](Topology& t) { t = {}; }, "no rank");
  expectRefused([](Topology& t) { t.nodes[0].kind = t.nodes[1].kind = NodeKind::kNic; }, "no rank");
}

TEST(Check, NamesTwoRanksWithoutAWay) {
  expectRefused([](Topology& t) { t.links.resize(2); },
                "no way from rank 0 (\"g0\") to rank 1 (\"g1\")");
  // One direction is missing: g1 hears, and cannot answer.
  expectRefused([](Topology& t) { std::swap(t.links[2].from, t.links[2].to); },
                "no way from rank 1 (\"g1\") to rank 0 (\"g0\")");
  expectRefused([](Topology& t) { std::swap(t.links[0].from, t.links[0].to); },
                "no way from rank 0 (\"g0\") to rank 1 (\"g1\")");
}

TEST(Check, OneRankAloneIsFine) {
  Topology topology;
  addRank(topology, "only");
  EXPECT_TRUE(check(topology).isOk());
}

TEST(Names, AreThoseOfTheFiles) {
  EXPECT_EQ(name(NodeKind::kRank), "rank");
  EXPECT_EQ(name(NodeKind::kHost), "host");
  EXPECT_EQ(name(LinkKind::kDevice), "device");
  EXPECT_EQ(name(LinkKind::kOther), "other");
  EXPECT_EQ(name(Provenance::kMeasured), "measured");
}

}  // namespace
}  // namespace tutti::topology
