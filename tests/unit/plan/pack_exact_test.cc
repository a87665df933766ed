// Edmonds' theorem: trees from given roots reach the cut bound exactly, on any fabric whose
// forwarders are balanced, with as many units as the numbers ask for.
#include <gtest/gtest.h>

#include <numeric>

#include "src/plan/arborescences.h"
#include "src/plan/spanning_flows.h"
#include "tests/support/fabrics.h"
#include "tests/unit/plan/pack_check.h"
#include "tests/unit/plan/print.h"

namespace tutti::plan {
namespace {

using ir::Collective;
using topology::kGigabyte;
using topology::Topology;

constexpr int32_t kMostUnits = 64;

// The packing of exact trees with up to kMostUnits (of collectives by rank: per root), and no less
// than the whole bound if it can be had.
Packing packExact(const Topology& topology, const Bound& bound, ir::Rank root) {
  const PackTask task{
      topology,
      bound,
      root,
      {.mostTrees = kMostUnits, .mostPerRoot = kMostUnits, .enoughPermille = 1000, .mostWork = 1},
      static_cast<int32_t>(topology.ranks().size())};
  const auto graph = SearchGraph::make(topology, *directionOf(bound.collective));
  EXPECT_TRUE(graph.isOk()) << graph.status().toString();
  if (!graph.isOk()) return {};
  const auto trees = findArborescences(*graph, task);
  return trees ? task.toPacking(*graph, *trees) : Packing{};
}

// Units (of collectives by rank: per root) that whole numbers ask for: with the bound p / q for
// each root in lowest terms, p over what p and all capacities have in common.
int64_t unitsFor(const Topology& topology, const Bound& bound) {
  const auto ranks = static_cast<int64_t>(topology.ranks().size());
  const int64_t roots = isByRank(bound.collective) ? ranks : 1;
  const Rational each = makeRational(bound.kilobytesPerSecond.num,
                                     static_cast<Int128>(bound.kilobytesPerSecond.den) * roots);
  int64_t common = each.num;
  for (const auto& link : topology.links) common = std::gcd(common, link.capacity);
  return each.num / common;
}

struct Tally {
  int whole = 0;  // reached the bound
  int close = 0;  // needs more units than there are
};

void expectExact(const Topology& topology, Collective collective, Tally& tally) {
  const auto found = bound(topology, {.collective = collective, .root = 1});
  ASSERT_TRUE(found.isOk()) << found.status().toString();
  const Packing packing = packExact(topology, *found, 1);
  ASSERT_FALSE(packing.trees.empty());
  expectSound(topology, packing, *found);
  if (unitsFor(topology, *found) <= kMostUnits) {
    EXPECT_EQ(packing.achieved, found->kilobytesPerSecond);
    ++tally.whole;
  } else {
    EXPECT_GT(packing.achieved.value(), 0.9 * found->kilobytesPerSecond.value());
    ++tally.close;
  }
}

TEST(PackExact, symmetricFabricsReachTheBound) {
  Tally tally;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const int ranks = static_cast<int>(2 + seed % 5);
    const auto topology = tests::randomFabric(
        seed, {.ranks = ranks, .switches = static_cast<int>(seed % 3), .mostCapacity = 6});
    for (const Collective collective : {Collective::kAllGather, Collective::kReduceScatter,
                                        Collective::kBroadcast, Collective::kReduce}) {
      SCOPED_TRACE(std::string(ir::name(collective)) + ", seed " + std::to_string(seed));
      expectExact(topology, collective, tally);
    }
  }
  EXPECT_GT(tally.whole, 700);
  EXPECT_EQ(tally.whole + tally.close, 800);
}

// Without forwarders the theorem asks for nothing.
TEST(PackExact, linksOfTwoWidthsReachTheBound) {
  Tally tally;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const auto topology = tests::randomFabric(seed, {.ranks = static_cast<int>(2 + seed % 7),
                                                     .switches = 0,
                                                     .mostCapacity = 5,
                                                     .isSymmetric = false});
    for (const Collective collective : {Collective::kAllGather, Collective::kReduce}) {
      SCOPED_TRACE(std::string(ir::name(collective)) + ", seed " + std::to_string(seed));
      expectExact(topology, collective, tally);
    }
  }
  EXPECT_GT(tally.whole, 100);
}

// Forwarders with more in than out, or less, give up capacity first: what is left may be less than
// the bound, but is sound.
TEST(PackExact, unbalancedForwardersAreTrimmed) {
  int found = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    const auto topology = tests::randomFabric(
        seed, {.ranks = static_cast<int>(2 + seed % 5), .switches = 2, .isSymmetric = false});
    for (const Collective collective : {Collective::kReduceScatter, Collective::kBroadcast}) {
      const auto limit = bound(topology, {.collective = collective});
      ASSERT_TRUE(limit.isOk());
      const Packing packing = packExact(topology, *limit, 0);
      if (packing.trees.empty()) continue;
      ++found;
      expectSound(topology, packing, *limit);
    }
  }
  EXPECT_GT(found, 150);
}

TEST(PackExact, publishedMachinesReachTheirOptima) {
  Tally tally;
  const std::vector<Topology> published = {
      tests::dgx1v(), tests::dgxA100(1), tests::dgxA100(2), tests::dgxA100(4),  tests::h100(1),
      tests::h100(2), tests::h100(4),    tests::mi250(1),   tests::mi250(2, 8), tests::mi300x(1)};
  for (const Topology& topology : published) {
    SCOPED_TRACE(topology.name);
    expectExact(topology, Collective::kAllGather, tally);
  }
  EXPECT_EQ(tally.whole, 10);
}

// Of one root's two units, one can leave over each of two links; there is no third.
TEST(PackExact, flowsAreWholeOrRefused) {
  for (const int32_t units : {1, 2, 3}) {
    SpanningFlows flows({units, 0, 0}, 4);
    flows.addCapacity(0, 1, 1);
    flows.addCapacity(0, 3, 1);
    flows.addCapacity(3, 2, 1);
    flows.addCapacity(2, 1, 1);
    flows.addCapacity(1, 2, 1);
    EXPECT_EQ(flows.start(), units <= 2) << units;
    if (units != 2) continue;
    EXPECT_EQ(flows.remove(0, 1, 1), 0);
    EXPECT_EQ(flows.split(0, 3, 2, 5), 1);
    EXPECT_EQ(flows.capacity(0, 2), 1);
    EXPECT_EQ(flows.capacity(0, 3), 0);
    EXPECT_EQ(flows.capacity(3, 2), 0);
  }
}

}  // namespace
}  // namespace tutti::plan
