// The bounds against every cut and every partition of small fabrics.
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "src/plan/bound.h"
#include "tests/support/fabrics.h"
#include "tests/unit/plan/bound_brute.h"
#include "tests/unit/plan/print.h"

namespace tutti::plan {
namespace {

using ir::Collective;
using topology::Topology;

constexpr uint64_t kRounds = 300;

// Up to 6 ranks and 3 switches; every third with capacities that differ much.
Topology smallFabric(uint64_t seed, bool isSymmetric) {
  return tests::randomFabric(seed, {.ranks = static_cast<int>(2 + seed % 5),
                                    .switches = static_cast<int>(seed / 5 % 4),
                                    .extraLinks = static_cast<int>(seed / 7 % 9),
                                    .mostCapacity = seed % 3 == 0 ? 1'000'003 : 12,
                                    .unit = seed % 2 == 0 ? topology::kGigabyte : 1,
                                    .isSymmetric = isSymmetric});
}

std::vector<int32_t> allRanks(const Fabric& fabric) {
  std::vector<int32_t> ranks(static_cast<size_t>(fabric.ranks));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

std::vector<int64_t> randomWeights(uint64_t seed, int32_t ranks) {
  std::mt19937_64 engine(seed);
  std::vector<int64_t> weights;
  for (int32_t i = 0; i < ranks; ++i) weights.push_back(static_cast<int64_t>(engine() % 5));
  weights[engine() % weights.size()] += 1;
  return weights;
}

int64_t capacityOf(const Topology& topology, const std::vector<topology::LinkIndex>& links) {
  int64_t sum = 0;
  for (const auto link : links) sum += topology.links[static_cast<size_t>(link)].capacity;
  return sum;
}

Rational times(const Rational& value, int64_t num, int64_t den) {
  return makeRational(static_cast<Int128>(value.num) * num, static_cast<Int128>(value.den) * den);
}

Bound boundOf(const Topology& topology, const Demand& demand) {
  const auto result = bound(topology, demand);
  EXPECT_TRUE(result.isOk()) << result.status().toString();
  return result.isOk() ? *result : Bound{};
}

// The formulas themselves, also where switches are not balanced.
TEST(BoundFormulas, agreeWithAllCutsAndPartitions) {
  for (uint64_t seed = 0; seed < 2 * kRounds; ++seed) {
    const Fabric fabric = makeFabric(smallFabric(seed, seed < kRounds));
    const auto ranks = allRanks(fabric);
    const std::vector<int64_t> equal(ranks.size(), 1);
    const auto weights = randomWeights(seed, fabric.ranks);
    const uint32_t all = (1u << fabric.ranks) - 1;
    EXPECT_EQ(gatherLimit(fabric, equal, ranks).value, bruteGather(fabric, equal, all)) << seed;
    EXPECT_EQ(gatherLimit(fabric, weights, ranks).value, bruteGather(fabric, weights, all)) << seed;
    const auto root = static_cast<int32_t>(seed % ranks.size());
    EXPECT_EQ(gatherLimit(fabric, weights, std::vector<int32_t>{root}).value,
              bruteGather(fabric, weights, 1u << root))
        << seed;
    EXPECT_EQ(broadcastLimit(fabric, root).value, bruteBroadcast(fabric, root)) << seed;
    EXPECT_EQ(partitionLimit(fabric).value, brutePartition(fabric)) << seed;
  }
}

// Large capacities are computed in 128 bits.
TEST(BoundFormulas, scaleWithTheCapacities) {
  constexpr int64_t kScale = int64_t{1} << 50;
  for (uint64_t seed = 1; seed < kRounds; seed += 6) {  // at most 12 kB/s a link
    Fabric fabric = makeFabric(smallFabric(seed, false));
    const Rational small = partitionLimit(fabric).value;
    for (auto& link : fabric.links) {
      link.forward *= kScale;
      link.backward *= kScale;
    }
    EXPECT_EQ(partitionLimit(fabric).value, times(small, kScale, 1)) << seed;
  }
}

TEST(Bound, agreesWithAllCutsOnSymmetricFabrics) {
  for (uint64_t seed = 0; seed < kRounds; ++seed) {
    const Topology topology = smallFabric(seed, true);
    const Fabric fabric = makeFabric(topology);
    const std::vector<int64_t> equal(static_cast<size_t>(fabric.ranks), 1);
    const uint32_t all = (1u << fabric.ranks) - 1;
    const auto gathered = boundOf(topology, {.collective = Collective::kAllGather});
    EXPECT_EQ(gathered.kilobytesPerSecond, bruteGather(fabric, equal, all)) << seed;
    const auto scattered = boundOf(topology, {.collective = Collective::kReduceScatter});
    EXPECT_EQ(scattered.kilobytesPerSecond, gathered.kilobytesPerSecond) << seed;
    const auto root = static_cast<int32_t>(seed % equal.size());
    const auto sent = boundOf(topology, {.collective = Collective::kBroadcast, .root = root});
    EXPECT_EQ(sent.kilobytesPerSecond, bruteBroadcast(fabric, root)) << seed;
    const auto reduced = boundOf(topology, {.collective = Collective::kReduce, .root = root});
    EXPECT_EQ(reduced.kilobytesPerSecond, sent.kilobytesPerSecond) << seed;
    const auto all2 = boundOf(topology, {});
    EXPECT_EQ(all2.kilobytesPerSecond, brutePartition(fabric)) << seed;
    EXPECT_GE(all2.kilobytesPerSecond, times(gathered.kilobytesPerSecond, 1, 2)) << seed;
    for (const Bound& each : {gathered, scattered, sent, reduced, all2}) {
      EXPECT_TRUE(each.isExact);
      EXPECT_EQ(each.reachable, each.kilobytesPerSecond);
    }
  }
}

// The witness proves the bound: what its links carry is what must cross.
TEST(Bound, namesTheLinksThatLimit) {
  for (uint64_t seed = 0; seed < 2 * kRounds; ++seed) {
    const Topology topology = smallFabric(seed, seed < kRounds);
    const auto ranks = static_cast<int64_t>(topology.ranks().size());
    for (const auto collective : {Collective::kAllGather, Collective::kReduceScatter,
                                  Collective::kBroadcast, Collective::kAllReduce}) {
      const Bound found = boundOf(topology, {.collective = collective});
      SCOPED_TRACE(testing::Message() << seed << ": " << explain(topology, found));
      const Rational carried{capacityOf(topology, found.links), 1};
      int64_t members = 0;
      for (const auto& part : found.parts) members += static_cast<int64_t>(part.size());
      ASSERT_EQ(members, ranks);
      if (collective == Collective::kAllReduce) {
        const auto parts = static_cast<int64_t>(found.parts.size());
        // A link between the surroundings of two parts may be in both cuts.
        EXPECT_LE(carried, times(found.kilobytesPerSecond, 2 * (parts - 1), 1));
        EXPECT_GE(carried, found.kilobytesPerSecond);
      } else if (found.parts.size() == static_cast<size_t>(ranks) && ranks > 2) {
        EXPECT_EQ(carried, times(found.kilobytesPerSecond, ranks - 1, 1));
      } else {
        const bool isReversed = collective == Collective::kReduceScatter;
        const auto side = static_cast<int64_t>(found.parts[isReversed ? 1 : 0].size());
        const bool isBroadcast = collective == Collective::kBroadcast;
        EXPECT_EQ(carried,
                  times(found.kilobytesPerSecond, isBroadcast ? 1 : side, isBroadcast ? 1 : ranks));
      }
    }
  }
}

TEST(Bound, isBetweenWhatIsProvenWithoutSymmetry) {
  int exact = 0;
  for (uint64_t seed = 0; seed < kRounds; ++seed) {
    const Topology topology = smallFabric(seed, false);
    const Fabric fabric = makeFabric(topology);
    const std::vector<int64_t> equal(static_cast<size_t>(fabric.ranks), 1);
    const uint32_t all = (1u << fabric.ranks) - 1;
    for (const auto collective :
         {Collective::kAllGather, Collective::kBroadcast, Collective::kAllReduce}) {
      const Bound found = boundOf(topology, {.collective = collective});
      EXPECT_LE(found.reachable, found.kilobytesPerSecond) << seed;
      // Of capacities of a few kB/s nothing may be left.
      EXPECT_GT(found.reachable.num, seed % 2 == 0 ? 0 : -1) << seed;
      EXPECT_EQ(found.isExact, found.reachable == found.kilobytesPerSecond);
      exact += found.isExact ? 1 : 0;
    }
    EXPECT_LE(boundOf(topology, {.collective = Collective::kAllGather}).kilobytesPerSecond,
              bruteGather(fabric, equal, all));
    EXPECT_LE(boundOf(topology, {.collective = Collective::kAllReduce}).kilobytesPerSecond,
              std::min(brutePartition(fabric), brutePartition(reversed(fabric))));
    // All-reduce can be done as a reduction and a broadcast, so it cannot be faster than either.
    EXPECT_LE(boundOf(topology, {}).reachable,
              boundOf(topology, {.collective = Collective::kBroadcast}).kilobytesPerSecond);
  }
  EXPECT_GT(exact, static_cast<int>(kRounds));
}

TEST(Bound, gatherAndScatterAreFlowsOnAnyFabric) {
  for (uint64_t seed = 0; seed < kRounds; ++seed) {
    const Topology topology = smallFabric(seed, false);
    const Fabric fabric = makeFabric(topology);
    const auto root = static_cast<int32_t>(seed % static_cast<uint64_t>(fabric.ranks));
    const auto weights = randomWeights(seed, fabric.ranks);
    const Demand demand{.collective = Collective::kGatherV, .root = root, .weights = weights};
    const Bound gathered = boundOf(topology, demand);
    EXPECT_EQ(gathered.kilobytesPerSecond, bruteGather(fabric, weights, 1u << root)) << seed;
    EXPECT_TRUE(gathered.isExact);
    const Bound scattered = boundOf(topology, {Collective::kScatterV, root, 0, weights});
    EXPECT_EQ(scattered.kilobytesPerSecond, bruteGather(reversed(fabric), weights, 1u << root))
        << seed;
    const auto peer = (root + 1) % fabric.ranks;
    std::vector<int64_t> alone(weights.size(), 0);
    alone[static_cast<size_t>(root)] = 1;
    const Bound sent = boundOf(topology, {Collective::kSend, root, peer, {}});
    EXPECT_EQ(sent.kilobytesPerSecond, bruteGather(fabric, alone, 1u << peer)) << seed;
  }
}

TEST(Bound, balancedFabricsAreBalancedAndFit) {
  for (uint64_t seed = 0; seed < kRounds; ++seed) {
    const Fabric fabric = makeFabric(smallFabric(seed, false));
    const Fabric trimmed = balanced(fabric);
    EXPECT_TRUE(isBalanced(trimmed)) << seed;
    for (size_t i = 0; i < fabric.links.size(); ++i) {
      EXPECT_GE(trimmed.links[i].forward, 0);
      EXPECT_GE(trimmed.links[i].backward, 0);
      EXPECT_LE(trimmed.links[i].forward, fabric.links[i].forward);
      EXPECT_LE(trimmed.links[i].backward, fabric.links[i].backward);
    }
  }
}

}  // namespace
}  // namespace tutti::plan
