#include "topology/compose.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "src/base/errors.h"
#include "tests/unit/topology/graphs.h"

namespace tutti::topology {
namespace {

// 4 ranks at a switch, each with a NIC of 25 GB/s.
Topology makeBox(int64_t nicCapacity = 25 * kGigabyte) {
  Topology box = makeStar(4, 300 * kGigabyte);
  box.name = "box";
  for (int i = 0; i < 4; ++i) {
    const NodeIndex nic = addForwarder(box, "n" + std::to_string(i), NodeKind::kNic);
    box.addDuplex({.from = i, .to = nic, .capacity = nicCapacity, .kind = LinkKind::kPci});
  }
  box.resources.push_back({"bus", 5, {{1, 2}}});
  return box;
}

Topology makeOne() {
  Topology one{.name = "one", .nodes = {}, .links = {}, .resources = {}};
  addRank(one, "g");
  return one;
}

base::Result<Topology> tryCompose(std::vector<const Topology*> machines, std::string_view network,
                                  std::vector<Degraded> degraded = {},
                                  std::vector<std::string>* notes = nullptr) {
  auto spec = parseNetwork(network);
  if (!spec.isOk()) return spec.status();
  return compose(machines, *spec, degraded, notes);
}

Topology composed(std::vector<const Topology*> machines, std::string_view network,
                  std::vector<Degraded> degraded = {}) {
  auto made = tryCompose(std::move(machines), network, std::move(degraded));
  EXPECT_TRUE(made.isOk()) << made.status().toString();
  if (!made.isOk()) return {};
  EXPECT_TRUE(check(*made).isOk()) << check(*made).toString();
  return made.take();
}

// The capacity from one node to the other; 0: no link.
int64_t capacity(const Topology& topology, std::string_view from, std::string_view to) {
  int64_t sum = 0;
  for (const Link& link : topology.links) {
    if (link.from == topology.find(from) && link.to == topology.find(to)) sum += link.capacity;
  }
  return sum;
}

TEST(Compose, CopiesKeepTheirPartsUnderAPrefix) {
  const Topology box = makeBox();
  const Topology two = composed({&box, &box}, "star:50");
  EXPECT_EQ(two.nodes.size(), 2 * box.nodes.size() + 1);
  EXPECT_EQ(two.links.size(), 2 * box.links.size() + 16);
  EXPECT_EQ(two.ranks().size(), 8u);
  EXPECT_EQ(two.nodes[static_cast<size_t>(two.ranks()[5])].id, "m1/g1");
  EXPECT_EQ(two.nodes[static_cast<size_t>(two.find("m1/g1"))].host, "m1");
  EXPECT_EQ(two.nodes[static_cast<size_t>(two.find("network"))].host, "");
  EXPECT_EQ(capacity(two, "m1/s", "m1/g3"), 300 * kGigabyte);
  EXPECT_EQ(capacity(two, "m1/n3", "network"), 50 * kGigabyte);
  EXPECT_EQ(capacity(two, "network", "m0/n0"), 50 * kGigabyte);
  ASSERT_EQ(two.resources.size(), 2u);
  EXPECT_EQ(two.resources[1].id, "m1/bus");
  const Link& charged = two.links[static_cast<size_t>(two.resources[1].charges[0].link)];
  EXPECT_EQ(two.nodes[static_cast<size_t>(charged.to)].id, "m1/g0");
}

TEST(Compose, IsTheSameEveryTime) {
  const Topology box = makeBox();
  const Topology one = makeOne();
  EXPECT_EQ(composed({&box, &one, &box}, "star:50"), composed({&box, &one, &box}, "star:50"));
  EXPECT_NE(composed({&box, &one}, "star:50").digest(), composed({&one, &box}, "star:50").digest());
}

TEST(Compose, RailsJoinTheNicsOfOneNumber) {
  const Topology box = makeBox();
  const Topology made = composed({&box, &box, &box}, "rails");
  EXPECT_EQ(capacity(made, "m2/n3", "rail3"), 25 * kGigabyte) << "the NIC's own speed";
  EXPECT_EQ(capacity(made, "m2/n3", "rail2"), 0);
  EXPECT_EQ(made.find("rail4"), -1);
  EXPECT_EQ(made.find("core"), -1);
  EXPECT_EQ(capacity(composed({&box, &box}, "rails:up=7"), "core", "rail3"), 7 * kGigabyte);
}

TEST(Compose, FatTreesAreOversubscribed) {
  const Topology box = makeBox();
  const std::vector<const Topology*> five(5, &box);
  const Topology made = composed(five, "fat:leaf=2,over=4");
  EXPECT_EQ(capacity(made, "m3/n0", "leaf1"), 25 * kGigabyte);
  EXPECT_EQ(capacity(made, "m4/n0", "leaf2"), 25 * kGigabyte);
  EXPECT_EQ(capacity(made, "leaf0", "core"), 50 * kGigabyte) << "8 NICs of 25, 4 to 1";
  EXPECT_EQ(capacity(made, "leaf2", "core"), 25 * kGigabyte) << "one machine only";
  // As the reference has it: 4 leaves with 8 ranks of 100 each, 400 up.
  const Topology one = makeOne();
  const Topology fat = composed(std::vector<const Topology*>(32, &one), "fat:8:100:400");
  EXPECT_EQ(fat.nodes.size(), 32u + 32 + 4 + 1);
  EXPECT_EQ(capacity(fat, "core", "leaf3"), 400 * kGigabyte);
  EXPECT_EQ(capacity(fat, "m31/g", "m31/g/nic"), 100 * kGigabyte);
  EXPECT_EQ(contract(fat).topology.nodes.size(), 32u + 4 + 1);
}

TEST(Compose, SitesShareTheMachines) {
  const Topology box = makeBox();
  const std::vector<const Topology*> four(4, &box);
  const Topology made = composed(four, "wan:AB=10Gb,BC=40Gb,CA=100Gb");
  EXPECT_EQ(capacity(made, "site A", "site B"), 1'250'000);
  EXPECT_EQ(capacity(made, "site A", "site C"), 12'500'000);
  EXPECT_EQ(capacity(made, "m1/n0", "site A"), 25 * kGigabyte);
  EXPECT_EQ(capacity(made, "m3/n0", "site C"), 25 * kGigabyte);
  EXPECT_EQ(made.nodes[static_cast<size_t>(made.find("m2/g0"))].site, "B");
  EXPECT_EQ(made.nodes[static_cast<size_t>(made.find("site B"))].site, "B");
  const Topology cored = composed(four, "wan:A=1,B=2");
  EXPECT_EQ(capacity(cored, "core", "site B"), 2 * kGigabyte);
  EXPECT_EQ(capacity(cored, "site A", "site B"), 0);
}

TEST(Compose, MachinesDiffer) {
  const Topology box = makeBox();
  const Topology one = makeOne();
  const Topology made = composed({&box, &one}, "rails:50");
  EXPECT_EQ(made.ranks().size(), 5u);
  EXPECT_EQ(capacity(made, "m1/g/nic", "rail0"), 50 * kGigabyte);
  EXPECT_EQ(capacity(made, "m1/g", "m1/g/nic"), 50 * kGigabyte);
}

TEST(Compose, PortsForManagementStayOut) {
  Topology box = makeBox();
  const NodeIndex nic = addForwarder(box, "eth0", NodeKind::kNic);
  box.addDuplex({.from = 0, .to = nic, .capacity = kGigabyte});
  std::vector<std::string> notes;
  const auto made = tryCompose({&box, &box}, "star", {}, &notes);
  ASSERT_TRUE(made.isOk());
  EXPECT_EQ(capacity(*made, "m0/eth0", "network"), 0);
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_NE(notes[1].find("\"m1/eth0\""), std::string::npos) << notes[1];
}

TEST(Compose, OneMachineHasLessOfANetwork) {
  const Topology box = makeBox();
  const Topology half = composed({&box, &box}, "star:50", {{.machine = 1, .denominator = 2}});
  EXPECT_EQ(capacity(half, "m0/n1", "network"), 50 * kGigabyte);
  EXPECT_EQ(capacity(half, "m1/n1", "network"), 25 * kGigabyte);
  EXPECT_EQ(capacity(half, "network", "m1/n1"), 25 * kGigabyte);
  const Topology fewer = composed({&box, &box}, "rails:50", {{.machine = 1, .keptNics = 2}});
  EXPECT_EQ(capacity(fewer, "m1/n0", "rail0"), 50 * kGigabyte);
  EXPECT_EQ(capacity(fewer, "m1/n1", "rail1"), 0);
  EXPECT_EQ(capacity(fewer, "m1/n2", "rail2"), 50 * kGigabyte);
}

TEST(Compose, SaysWhatIsWrong) {
  const Topology box = makeBox();
  const Topology one = makeOne();
  const auto refuse = [](const base::Result<Topology>& made, const std::string& part) {
    ASSERT_FALSE(made.isOk()) << part;
    EXPECT_EQ(made.status().errorId(), base::kErrInvalidArgument);
    EXPECT_NE(made.status().text().find(part), std::string::npos) << made.status().toString();
  };
  refuse(tryCompose({}, "star"), "there is none");
  refuse(tryCompose({&box, &one}, "star"), "machine 1 (one) has no NICs");
  refuse(tryCompose({&box, &box}, "wan:AB=1,BC=1"), "3 sites for 2 machines");
  refuse(tryCompose({&box}, "star", {{.machine = 1}}), "no machine 1");
  refuse(tryCompose({&box}, "star", {{.machine = 0, .keptNics = 5}}), "cannot keep 5 NICs");
  refuse(tryCompose({&box}, "star:1Mb", {{.machine = 0, .denominator = 1'000'000}}), "1 kB/s");
  const std::vector<const Topology*> many(300'000, &box);
  refuse(tryCompose(many, "star"), "join fewer");
}

TEST(Compose, DegradedMachinesAreParsed) {
  const auto parse = [](std::string_view text) {
    const auto result = parseDegraded(text);
    EXPECT_TRUE(result.isOk()) << text;
    return result.isOk() ? *result : Degraded{};
  };
  EXPECT_EQ(parse("15=1/2"), (Degraded{.machine = 15, .numerator = 1, .denominator = 2}));
  EXPECT_EQ(parse("0=0.25"), (Degraded{.machine = 0, .numerator = 1, .denominator = 4}));
  EXPECT_EQ(parse("3=4nics"), (Degraded{.machine = 3, .keptNics = 4}));
  for (const char* text : {"", "1", "1=", "=1/2", "x=1/2", "1=2", "1=3/2", "1=0", "1=1/0", "1=0/0",
                           "1=-1/2", "1=0nics", "1=nics", "1=99999999999nics", "99999999999=1/2"}) {
    EXPECT_FALSE(parseDegraded(text).isOk()) << text;
  }
}

TEST(Compose, AThousandRanks) {
  const Topology box = makeBox();
  const Topology made = composed(std::vector<const Topology*>(256, &box), "rails:50");
  EXPECT_EQ(made.ranks().size(), 1024u);
  EXPECT_EQ(contract(made).topology.nodes.size(), 1024u + 256 + 4);
}

}  // namespace
}  // namespace tutti::topology
