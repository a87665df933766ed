#include "src/plan/bound.h"

#include <gtest/gtest.h>

#include <chrono>

#include "src/base/errors.h"
#include "tests/support/fabrics.h"
#include "tests/support/sanitized.h"
#include "tests/unit/plan/print.h"

namespace tutti::plan {
namespace {

using ir::Collective;
using tests::kGigabit;
using topology::kGigabyte;
using topology::Topology;

Bound get(const Topology& topology, const Demand& demand) {
  const auto result = bound(topology, demand);
  EXPECT_TRUE(result.isOk()) << result.status().toString();
  return result.isOk() ? *result : Bound{};
}

Rational rate(const Topology& topology, Collective collective) {
  const Bound found = get(topology, {.collective = collective});
  EXPECT_TRUE(found.isExact) << topology.name;
  EXPECT_EQ(found.reachable, found.kilobytesPerSecond) << topology.name;
  EXPECT_FALSE(found.links.empty()) << topology.name;
  return found.kilobytesPerSecond;
}

Rational gigabytes(int64_t num, int64_t den = 1) { return makeRational(num * kGigabyte, den); }

// ---- Known optima -------------------------------------------------------------------------------

struct Known {
  Topology topology;
  int64_t num, den;              // x*, GB/s a rank: the optimum of all_gather is ranks times this
  int64_t reduceNum, reduceDen;  // all_reduce, GB/s
};

// Optima of published topologies. Those of dgxA100 x 1, 2, 4 and mi250 x 1, 2, 8 + 8 were also
// found by ForestColl's own program.
std::vector<Known> knownOptima() {
  using namespace tests;  // NOLINT(google-build-using-namespace): names of fabrics
  return {
      {dgx1v(), 150, 7, 600, 7},
      {dgxA100(1), 300, 7, 1200, 7},
      {dgxA100(2), 65, 3, 520, 3},
      {dgxA100(4), 25, 3, 400, 3},
      {dgxA100(16), 5, 3, 320, 3},
      {dgxA100(128), 25, 127, 12800, 127},
      {h100(1), 450, 7, 1800, 7},
      {h100(2), 100, 3, 800, 3},
      {h100(4), 500, 31, 8000, 31},
      {h100(128), 50, 127, 25600, 127},
      {mi250(1), 150, 7, 1200, 7},
      {mi250(2, 8), 13, 1, 128, 1},
      {mi250(2), 166, 15, 2656, 15},
      {mi300x(1), 64, 1, 256, 1},
      {mi300x(2), 166, 5, 1328, 5},
      {fatTree(4, 8, 100 * kGigabyte, 400 * kGigabyte), 100, 31, 1600, 31},
  };
}

// A thousand ranks follow the same code as a hundred.
bool isTooLarge(const Topology& topology) {
  return test::kIsSanitized && topology.ranks().size() > 200;
}

TEST(Bound, knownOptimaAreExact) {
  for (const Known& known : knownOptima()) {
    if (isTooLarge(known.topology)) continue;
    const auto ranks = static_cast<int64_t>(known.topology.ranks().size());
    const Rational gathered = gigabytes(known.num * ranks, known.den);
    EXPECT_EQ(rate(known.topology, Collective::kAllGather), gathered) << known.topology.name;
    EXPECT_EQ(rate(known.topology, Collective::kReduceScatter), gathered) << known.topology.name;
    EXPECT_EQ(rate(known.topology, Collective::kAllReduce),
              gigabytes(known.reduceNum, known.reduceDen))
        << known.topology.name;
  }
}

TEST(Bound, aSlowBoxCostsAllGatherHalfAndAllReduceLittle) {
  const Topology healthy = tests::h100(16);
  EXPECT_EQ(rate(healthy, Collective::kAllGather), gigabytes(1280, 3));
  EXPECT_EQ(rate(healthy, Collective::kAllReduce), gigabytes(640, 3));
  for (const int boxes : {16, 128}) {
    if (test::kIsSanitized && boxes > 16) continue;
    for (const auto& rails :
         {tests::Rails{.ofFirstBox = 25 * kGigabyte}, tests::Rails{.nicsOfFirstBox = 4}}) {
      const Topology degraded = tests::h100(boxes, rails);
      EXPECT_EQ(rate(degraded, Collective::kAllGather),
                gigabytes(boxes == 16 ? 640 : 25600, boxes == 16 ? 3 : 127));
      EXPECT_EQ(rate(degraded, Collective::kAllReduce), gigabytes(200));
      const Bound found = get(degraded, {});
      ASSERT_EQ(found.parts.size(), 2u);
      EXPECT_EQ(found.parts[0], (std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6, 7}));
    }
  }
}

// x gigabits, as kB/s.
Rational gigabits(int64_t num, int64_t den) { return makeRational(num * kGigabit, den); }

TEST(Bound, unequalStars) {
  const auto star = [](std::vector<int64_t> halves) {
    for (int64_t& each : halves) each *= kGigabit / 2;
    return tests::star(halves);
  };
  EXPECT_EQ(rate(star({4, 4, 4, 1}), Collective::kAllGather), gigabits(2, 3));
  EXPECT_EQ(rate(star({4, 4, 4, 1}), Collective::kAllReduce), gigabits(1, 2));
  EXPECT_EQ(rate(star({4, 4, 4, 4, 4, 4, 4, 1}), Collective::kAllReduce), gigabits(1, 2));
  EXPECT_EQ(rate(star({4, 4, 4, 3}), Collective::kAllReduce), gigabits(5, 4));
  EXPECT_EQ(rate(star({20, 20, 20, 20, 2, 2, 2, 2}), Collective::kAllReduce), gigabits(1, 1));
  EXPECT_EQ(get(star({4, 4, 4, 3}), {}).parts.size(), 4u);
  EXPECT_EQ(get(star({4, 1, 4, 4}), {}).parts, (std::vector<std::vector<int32_t>>{{0, 2, 3}, {1}}));
}

TEST(Bound, unequalLayouts) {
  const Topology islands = tests::twoIslands(2, 4 * kGigabit, kGigabit / 2);
  EXPECT_EQ(rate(islands, Collective::kAllGather), gigabits(1, 1));
  EXPECT_EQ(rate(islands, Collective::kAllReduce), gigabits(1, 2));
  EXPECT_EQ(get(islands, {}).parts, (std::vector<std::vector<int32_t>>{{0, 1}, {2, 3}}));
  // Site a has 10 Gb/s to b and 100 to c; site b has 10 + 40; as a star a has 10.
  EXPECT_EQ(rate(tests::wanTriangle(), Collective::kAllReduce), gigabits(50, 1));
  EXPECT_EQ(rate(tests::wanStar(), Collective::kAllReduce), gigabits(10, 1));
  EXPECT_EQ(rate(tests::wanTriangle(), Collective::kBroadcast), gigabits(50, 1));
  // 24 of the 25 GB/s of each NIC can be used by two ranks behind one PCIe switch.
  EXPECT_EQ(rate(tests::mixedPcie(false), Collective::kBroadcast), gigabytes(24));
  EXPECT_EQ(rate(tests::mixedBoxes(), Collective::kAllReduce), gigabytes(3992, 15));
}

TEST(Bound, regularNetworks) {
  const int64_t b = 10 * kGigabyte;
  EXPECT_EQ(rate(tests::ring(7, b), Collective::kAllGather), gigabytes(2 * 10 * 7, 6));
  EXPECT_EQ(rate(tests::ring(7, b), Collective::kAllReduce), gigabytes(10 * 7, 6));
  EXPECT_EQ(rate(tests::torus({3, 4}, b), Collective::kAllReduce), gigabytes(2 * 10 * 12, 11));
  EXPECT_EQ(rate(tests::hypercube(4, b), Collective::kAllGather), gigabytes(4 * 10 * 16, 15));
  EXPECT_EQ(rate(tests::mesh(5, b), Collective::kAllReduce), gigabytes(10 * 5, 2));
  EXPECT_EQ(rate(tests::mesh(5, b), Collective::kBroadcast), gigabytes(40));
  EXPECT_EQ(rate(tests::mesh(5, b), Collective::kGather), gigabytes(50));
}

// ---- Asymmetric fabrics -------------------------------------------------------------------------

TEST(Bound, aSwitchThatWouldHaveToCopyIsNotCountedOn) {
  const Topology topology = tests::copyingSwitch();
  const Bound found = get(topology, {.collective = Collective::kAllGather});
  EXPECT_EQ(found.kilobytesPerSecond, gigabytes(300));
  EXPECT_EQ(found.reachable, gigabytes(225));
  EXPECT_FALSE(found.isExact);
  EXPECT_NE(explain(topology, found).find("at least 225 GB/s can be reached"), std::string::npos)
      << explain(topology, found);
}

// Each host sends 1 and receives 10: the switch forwards what 4 hosts send, and copies nothing.
TEST(Bound, slowUplinksLimitWhatIsDelivered) {
  Topology topology;
  for (int i = 0; i < 4; ++i) topology.addNode({.id = "h" + std::to_string(i)});
  const auto hub = topology.addNode({.id = "hub", .kind = topology::NodeKind::kSwitch});
  for (topology::NodeIndex i = 0; i < 4; ++i) {
    topology.addLink({.from = i, .to = hub, .capacity = kGigabyte});
    topology.addLink({.from = hub, .to = i, .capacity = 10 * kGigabyte});
  }
  EXPECT_EQ(rate(topology, Collective::kAllGather), gigabytes(4, 3));
  EXPECT_EQ(rate(topology, Collective::kReduceScatter), gigabytes(4, 3));
  EXPECT_EQ(rate(topology, Collective::kAllReduce), gigabytes(2, 3));
  EXPECT_EQ(rate(topology, Collective::kBroadcast), gigabytes(1));
  const Bound found = get(topology, {.collective = Collective::kAllGather});
  EXPECT_EQ(found.links, (std::vector<topology::LinkIndex>{0, 2, 4, 6}));
  EXPECT_EQ(get(topology, {.collective = Collective::kReduce}).kilobytesPerSecond, gigabytes(1));
}

TEST(Bound, aRingOfOneDirection) {
  Topology topology;
  for (int i = 0; i < 5; ++i) topology.addNode({.id = "h" + std::to_string(i)});
  for (topology::NodeIndex i = 0; i < 5; ++i) {
    topology.addLink({.from = i, .to = (i + 1) % 5, .capacity = kGigabyte});
  }
  EXPECT_EQ(rate(topology, Collective::kAllGather), gigabytes(5, 4));
  const Bound found = get(topology, {});
  EXPECT_EQ(found.kilobytesPerSecond, gigabytes(5, 8));
  EXPECT_EQ(found.reachable, (Rational{0, 1}));
  EXPECT_FALSE(found.isExact);
}

// ---- Weights, roots, pairs ----------------------------------------------------------------------

TEST(Bound, weightsAreSharesOfTheVector) {
  const Topology topology = tests::star({kGigabyte, kGigabyte, kGigabyte});
  const auto weighted = [&](std::vector<int64_t> weights) {
    return get(topology, {.collective = Collective::kAllGatherV, .weights = std::move(weights)})
        .kilobytesPerSecond;
  };
  EXPECT_EQ(weighted({7, 7, 7}), gigabytes(3, 2));
  EXPECT_EQ(weighted({1, 0, 0}), gigabytes(1));  // a broadcast
  EXPECT_EQ(weighted({1, 1, 0}), gigabytes(1));  // rank 2 receives everything
  EXPECT_EQ(weighted({2, 1, 1}), gigabytes(4, 3));
  EXPECT_EQ(weighted({1'000'000'007, 1, 999'999'937}),
            makeRational(Int128{kGigabyte} * 1'999'999'945, 1'999'999'944));
  EXPECT_TRUE(weighted({0, 0, 0}).isUnlimited());
  // More than 64 bits for the exact fraction: a little above it, and still called exact.
  const int64_t much = (int64_t{1} << 58) + 1;
  const Bound huge = get(
      topology, {.collective = Collective::kAllGatherV, .weights = {much, much + 10, much - 24}});
  EXPECT_NEAR(huge.kilobytesPerSecond.value(), 1.5 * kGigabyte, 1);
  EXPECT_TRUE(huge.isExact);
}

TEST(Bound, rootsAndPairs) {
  const Topology topology = tests::star({kGigabyte, 2 * kGigabyte, 3 * kGigabyte, 4 * kGigabyte});
  const auto of = [&](Collective collective, int32_t root, int32_t peer = 0) {
    return get(topology, {.collective = collective, .root = root, .peer = peer}).kilobytesPerSecond;
  };
  EXPECT_EQ(of(Collective::kBroadcast, 3), gigabytes(1));
  EXPECT_EQ(of(Collective::kReduce, 3), gigabytes(1));
  EXPECT_EQ(of(Collective::kGather, 3), gigabytes(4));  // three blocks of a quarter each, one at 1
  EXPECT_EQ(of(Collective::kScatter, 0), gigabytes(4, 3));
  EXPECT_EQ(of(Collective::kSend, 1, 3), gigabytes(2));
  EXPECT_EQ(of(Collective::kRecv, 2, 3), gigabytes(3));
  EXPECT_TRUE(of(Collective::kSend, 2, 2).isUnlimited());
  const Bound exchanged = get(topology, {.collective = Collective::kAllToAll});
  EXPECT_EQ(exchanged.kilobytesPerSecond, gigabytes(4, 3));
  EXPECT_EQ(exchanged.reachable.num, 0);
  EXPECT_FALSE(exchanged.isExact);
}

TEST(Bound, allToAllBetweenHosts) {
  // 16 ranks, 8 x 8 pairs of blocks over 200 GB/s; a rank alone would have 15 blocks at 325.
  const Bound found = get(tests::dgxA100(2), {.collective = Collective::kAllToAll});
  EXPECT_EQ(found.kilobytesPerSecond, gigabytes(200 * 16, 64));
  EXPECT_EQ(found.links.size(), 8u);
}

// ---- Resources ----------------------------------------------------------------------------------

void charge(Topology& topology, std::string id, int64_t capacity,
            const std::vector<topology::LinkIndex>& links, int32_t units = 1) {
  topology::Resource& resource = topology.resources.emplace_back();
  resource.id = std::move(id);
  resource.capacity = capacity;
  for (const auto link : links) resource.charges.push_back({link, units});
}

TEST(Bound, aHalfDuplexLink) {
  Topology topology = tests::mesh(2, 10 * kGigabyte);
  charge(topology, "cable", 10 * kGigabyte, {0, 1});
  EXPECT_EQ(get(topology, {}).kilobytesPerSecond, gigabytes(5));
  EXPECT_EQ(get(topology, {.collective = Collective::kBroadcast}).kilobytesPerSecond,
            gigabytes(10));
  EXPECT_EQ(get(topology, {.collective = Collective::kAllGather}).kilobytesPerSecond,
            gigabytes(10));
  EXPECT_EQ(get(topology, {}).resources, std::vector<std::string>{"cable"});
}

TEST(Bound, aSharedBus) {
  Topology topology = tests::star(std::vector<int64_t>(4, 10 * kGigabyte));
  charge(topology, "bus", 12 * kGigabyte, {0, 1, 2, 3, 4, 5, 6, 7});
  // Every message between two of four ranks takes the bus twice.
  EXPECT_EQ(get(topology, {}).kilobytesPerSecond, gigabytes(12, 12));
  EXPECT_EQ(get(topology, {.collective = Collective::kAllGather}).kilobytesPerSecond,
            gigabytes(12, 6));
  EXPECT_EQ(get(topology, {.collective = Collective::kBroadcast}).kilobytesPerSecond,
            gigabytes(12, 6));
  EXPECT_EQ(get(topology, {.collective = Collective::kAllToAll}).kilobytesPerSecond,
            gigabytes(12, 6));
  const Bound found = get(topology, {});
  EXPECT_TRUE(found.isExact);
  EXPECT_EQ(found.links.size(), 8u);
  EXPECT_NE(explain(topology, found).find("\"bus\" of 12 GB/s"), std::string::npos)
      << explain(topology, found);
}

TEST(Bound, unitsAndWaysAroundAResource) {
  // Two ways between two ranks: 10 over memory that is charged twice and has 12, 3 beside it.
  Topology topology = tests::mesh(2, 3 * kGigabyte);
  const auto memory = topology.addNode({.id = "memory", .kind = topology::NodeKind::kHost});
  const auto first = topology.addDuplex({.from = 0, .to = memory, .capacity = 10 * kGigabyte});
  topology.addDuplex({.from = memory, .to = 1, .capacity = 10 * kGigabyte});
  charge(topology, "dram", 12 * kGigabyte, {first, first + 1}, 2);
  EXPECT_EQ(get(topology, {.collective = Collective::kBroadcast}).kilobytesPerSecond, gigabytes(9));
  // 2 (F - 3) each way.
  EXPECT_EQ(get(topology, {}).kilobytesPerSecond, gigabytes(6));
}

TEST(Bound, aResourceWithRoomChangesNothing) {
  Topology topology = tests::dgxA100(2);
  std::vector<topology::LinkIndex> links;
  for (size_t i = 0; i < topology.links.size(); ++i) links.push_back(static_cast<int32_t>(i));
  const Bound without = get(topology, {});
  charge(topology, "everything", topology::kMostCapacity, links, 3);
  EXPECT_EQ(get(topology, {}), without);
}

// ---- Bad input and edges ------------------------------------------------------------------------

TEST(Bound, oneRankIsUnlimited) {
  for (const auto collective : {Collective::kAllReduce, Collective::kAllGather,
                                Collective::kBroadcast, Collective::kAllToAll}) {
    const Bound found = get(tests::single(), {.collective = collective});
    EXPECT_TRUE(found.kilobytesPerSecond.isUnlimited() && found.reachable.isUnlimited());
    EXPECT_TRUE(found.isExact && found.parts.empty() && found.links.empty());
    EXPECT_NE(explain(tests::single(), found).find("nothing has to move"), std::string::npos);
  }
}

void expectRefused(const Topology& topology, const Demand& demand, std::string_view word) {
  const auto result = bound(topology, demand);
  ASSERT_FALSE(result.isOk()) << word;
  EXPECT_EQ(result.status().code(), base::Code::kInvalidArgument);
  EXPECT_NE(result.status().errorId(), 0);
  EXPECT_NE(result.status().toString().find(word), std::string::npos) << result.status().toString();
}

TEST(Bound, refusesWhatMakesNoSense) {
  expectRefused(tests::disconnected(), {}, "no way");
  expectRefused(Topology{}, {}, "rank");
  const Topology star = tests::star({kGigabyte, kGigabyte, kGigabyte});
  expectRefused(star, {.collective = Collective::kBroadcast, .root = 3}, "root 3");
  expectRefused(star, {.collective = Collective::kBroadcast, .root = -1}, "root -1");
  expectRefused(star, {.collective = Collective::kSend, .root = 0, .peer = 3}, "peer 3");
  expectRefused(star, {.collective = Collective::kAllToAllV}, "all_to_all_v");
  expectRefused(star, {.weights = {1, 1, 1}}, "all_reduce takes no weights");
  expectRefused(star, {.collective = Collective::kAllGather, .weights = {1, 1}}, "2 weights");
  expectRefused(star, {.collective = Collective::kAllGather, .weights = {1, 1, -1}}, "rank 2");
  expectRefused(star, {.collective = Collective::kAllGather, .weights = {1ll << 60, 1, 0}}, "more");
  expectRefused(tests::mesh(40, topology::kMostCapacity), {}, "capacities");
}

TEST(Bound, explainsInWords) {
  const Topology boxes = tests::h100(16, {.ofFirstBox = 25 * kGigabyte});
  EXPECT_EQ(
      explain(boxes, get(boxes, {})),
      "all_reduce: at most 200 GB/s. Between ranks 0-7 and ranks 8-127, these links limit you: "
      "16 network links of 25 GB/s (box0.gpu0.nic to rail0, rail0 to box0.gpu0.nic, "
      "box0.gpu1.nic to rail1, ...)");
  const Topology ring = tests::ring(9, kGigabyte);
  EXPECT_EQ(explain(ring, get(ring, {})),
            "all_reduce: at most 1.125 GB/s. Between 9 parts (rank 0; rank 1; rank 2; rank 3; rank "
            "4; rank 5; and 3 more), these links limit you: 18 network links of 1 GB/s (host0 to "
            "host1, host1 to host0, host1 to host2, ...)");
}

// ---- Time ---------------------------------------------------------------------------------------

TEST(Bound, isQuick) {
  // The limits leave room for sanitizers on a busy machine; a quick core takes a hundredth.
  const struct {
    Topology topology;
    double seconds;
  } kCases[] = {{tests::dgxA100(8), 2},
                {tests::dgxA100(128), 30},
                {tests::h100(128, {.ofFirstBox = 25 * kGigabyte}), 30},
                {tests::ring(1024, kGigabyte), 30},
                {tests::torus({32, 32}, kGigabyte), 30},
                {tests::star(std::vector<int64_t>(1024, kGigabyte)), 30}};
  for (const auto& each : kCases) {
    if (isTooLarge(each.topology)) continue;
    for (const auto collective :
         {Collective::kAllGather, Collective::kBroadcast, Collective::kAllReduce}) {
      const auto start = std::chrono::steady_clock::now();
      get(each.topology, {.collective = collective});
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      std::printf("%-16s %5zu ranks  %-12s %8.1f ms\n", each.topology.name.c_str(),
                  each.topology.ranks().size(), std::string(ir::name(collective)).c_str(),
                  took.count() * 1e3);
      EXPECT_LT(took.count(), each.seconds) << each.topology.name;
    }
  }
}

}  // namespace
}  // namespace tutti::plan
