// What packing reaches on published topologies, on odd ones and on real machines, and what it
// refuses.
#include "src/plan/pack_trees.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "src/base/errors.h"
#include "src/plan/pack_task.h"
#include "src/schedule/lower.h"
#include "src/schedule/validate.h"
#include "tests/support/fabrics.h"
#include "tests/unit/plan/pack_check.h"
#include "tests/unit/plan/print.h"
#include "topology/compose.h"
#include "topology/load.h"

namespace tutti::plan {
namespace {

using ir::Collective;
using tests::kGigabit;
using topology::kGigabyte;
using topology::Topology;

constexpr Collective kAll[] = {Collective::kAllReduce, Collective::kAllGather,
                               Collective::kReduceScatter, Collective::kBroadcast,
                               Collective::kReduce};

struct Packed {
  Topology topology;
  Bound bound;
  Packing packing;

  double share() const { return packing.achieved.value() / bound.kilobytesPerSecond.value(); }
};

Packed packed(const Topology& given, Collective collective, ir::Rank root = 0,
              const PackingOptions& options = {}) {
  Packed result{topology::contract(given).topology, {}, {}};
  auto limit = bound(result.topology, {.collective = collective, .root = root});
  EXPECT_TRUE(limit.isOk()) << limit.status().toString();
  if (!limit.isOk()) return result;
  result.bound = limit.take();
  auto packing = packTrees(result.topology, result.bound, root, options);
  EXPECT_TRUE(packing.isOk()) << packing.status().toString();
  if (packing.isOk()) result.packing = packing.take();
  return result;
}

// The validator's word on the schedules of all ranks.
base::Status prove(const Packing& packing, int ranks, ir::Rank root) {
  const bool isForest = isByRank(packing.collective);
  ir::Plan plan{.collective = packing.collective,
                .root = root,
                .algorithm = isForest ? "forest" : "trees",
                .chunkBytes = 1 << 16};
  for (const RoutedTree& routed : packing.trees) plan.trees.push_back(routed.tree);
  std::vector<ir::Schedule> schedules;
  for (ir::Rank rank = 0; rank < ranks; ++rank) {
    TUTTI_ASSIGN_OR_RETURN(ir::Schedule schedule, schedule::lower(plan, ranks, rank));
    schedules.push_back(std::move(schedule));
  }
  const ir::Call call{.collective = packing.collective, .count = 30'011, .root = root};
  return schedule::validate(schedules, call, {.interleavings = 1});
}

void expectGood(const Topology& topology, Collective collective, double share, ir::Rank root = 0) {
  SCOPED_TRACE(topology.name + ", " + std::string(ir::name(collective)));
  const Packed result = packed(topology, collective, root);
  EXPECT_GE(result.share(), share) << toString(result.packing);
  expectSound(result.topology, result.packing, result.bound);
  const size_t ranks = result.topology.ranks().size();
  EXPECT_LE(result.packing.trees.size(), isByRank(collective) ? 16 * ranks : 32);
  if (ranks > 16) return;
  const base::Status status = prove(result.packing, static_cast<int>(ranks), root);
  EXPECT_TRUE(status.isOk()) << status.toString();
}

TEST(PackTrees, publishedTopologiesComeNearTheirOptima) {
  using namespace tests;  // NOLINT(google-build-using-namespace): names of fabrics
  const std::vector<Topology> published = {dgx1v(),
                                           dgxA100(2),
                                           dgxA100(4),
                                           h100(2),
                                           h100(4),
                                           mi250(1),
                                           mi250(2, 8),
                                           mi250(2),
                                           mi300x(2),
                                           mixedBoxes(),
                                           fatTree(4, 8, 100 * kGigabyte, 400 * kGigabyte),
                                           wanTriangle()};
  for (const Topology& topology : published) {
    for (const Collective collective : kAll) {
      expectGood(topology, collective, isByRank(collective) ? 0.95 : 0.98);
    }
  }
}

TEST(PackTrees, unequalLayouts) {
  for (const Collective collective : kAll) {
    expectGood(tests::mixedPcie(false), collective, 0.98, 3);
    expectGood(tests::mixedPcie(true), collective, 0.98, 5);
    expectGood(tests::wanStar(), collective, 0.95, 23);
    expectGood(tests::twoIslands(4, 4 * kGigabit, kGigabit / 2), collective, 0.98, 7);
    expectGood(tests::star({7 * kGigabyte, 3 * kGigabyte, 5 * kGigabyte, 2 * kGigabyte}),
               collective, 0.95, 1);
    expectGood(tests::torus({3, 5}, kGigabyte), collective, 0.95, 14);
  }
}

// One machine with half the network of 15 others costs 6 %, where a ring loses half.
TEST(PackTrees, aSlowBoxCostsLittle) {
  const tests::Rails slow{.ofFirstBox = 25 * kGigabyte};
  const Packed result = packed(tests::h100(16, slow), Collective::kAllReduce);
  EXPECT_EQ(result.packing.achieved, makeRational(200 * kGigabyte, 1));
  expectSound(result.topology, result.packing, result.bound);
}

TEST(PackTrees, manyRanksKeepToFewTrees) {
  const Packed result = packed(tests::h100(64), Collective::kAllReduce);
  EXPECT_GE(result.share(), 0.98);
  EXPECT_LE(result.packing.trees.size(), 32u);
  expectSound(result.topology, result.packing, result.bound);
}

std::string dumpFolder() {
  const char* given = std::getenv("TUTTI_TEST_TOPOLOGIES");
  return given != nullptr ? given : TUTTI_SOURCE_DIR "/../shared/topologies";
}

// Recorded machines, where they stand beside the checkout: each alone, and two at one switch.
TEST(PackTrees, recordedMachines) {
  if (!std::filesystem::is_directory(dumpFolder())) GTEST_SKIP() << "no " << dumpFolder();
  const auto star = topology::parseNetwork("star");
  ASSERT_TRUE(star.isOk());
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dumpFolder())) {
    const auto loaded = topology::loadTopology(entry.path().string());
    ASSERT_TRUE(loaded.isOk()) << loaded.status().toString();
    const std::vector<const Topology*> pair(2, &loaded->topology);
    const auto composed = topology::compose(pair, *star);
    ASSERT_TRUE(composed.isOk()) << composed.status().toString();
    for (const Collective collective :
         {Collective::kAllReduce, Collective::kAllGather, Collective::kBroadcast}) {
      const double share = isByRank(collective) ? 0.95 : 0.98;
      expectGood(loaded->topology, collective, share);
      expectGood(*composed, collective, share, 1);
    }
    ++found;
  }
  EXPECT_GT(found, 0);
}

// ---- Odd fabrics --------------------------------------------------------------------------------

TEST(PackTrees, oneRankNeedsNoTree) {
  for (const Collective collective : kAll) {
    const Packed result = packed(tests::single(), collective);
    EXPECT_TRUE(result.packing.trees.empty());
    EXPECT_TRUE(result.packing.achieved.isUnlimited());
  }
}

TEST(PackTrees, twoRanks) {
  for (const Collective collective : kAll) {
    const Packed result = packed(tests::mesh(2, 10 * kGigabyte), collective);
    EXPECT_EQ(result.packing.achieved, result.bound.kilobytesPerSecond);
    expectSound(result.topology, result.packing, result.bound);
  }
}

Topology oneWayRing(int ranks) {
  Topology ring;
  for (int i = 0; i < ranks; ++i) {
    ring.addNode({.id = "r" + std::to_string(i), .kind = topology::NodeKind::kRank});
  }
  for (int i = 0; i < ranks; ++i) {
    ring.addLink({.from = i, .to = (i + 1) % ranks, .capacity = kGigabyte});
  }
  return ring;
}

TEST(PackTrees, linksOfOneDirection) {
  for (const Collective collective : {Collective::kAllGather, Collective::kReduceScatter,
                                      Collective::kBroadcast, Collective::kReduce}) {
    const Packed result = packed(oneWayRing(5), collective, 2);
    EXPECT_EQ(result.packing.achieved, result.bound.kilobytesPerSecond);
    expectSound(result.topology, result.packing, result.bound);
  }
}

// A tree of a ring of one direction would have to go up and down the same link.
TEST(PackTrees, allReduceNeedsWaysBack) {
  const Topology ring = oneWayRing(4);
  const auto limit = bound(ring, {.collective = Collective::kAllReduce});
  ASSERT_TRUE(limit.isOk());
  const auto packing = packTrees(ring, *limit, 0);
  ASSERT_FALSE(packing.isOk());
  EXPECT_EQ(packing.status().errorId(), base::kErrUnsupported) << packing.status().toString();
}

TEST(PackTrees, aCopyingSwitchIsNotCountedOn) {
  const Packed result = packed(tests::copyingSwitch(), Collective::kAllGather);
  EXPECT_EQ(result.packing.achieved, result.bound.reachable);
  expectSound(result.topology, result.packing, result.bound);
}

TEST(PackTrees, asymmetricLinks) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const Topology topology =
        tests::randomFabric(seed, {.ranks = static_cast<int>(2 + seed % 6), .isSymmetric = false});
    for (const Collective collective : kAll) {
      SCOPED_TRACE(std::string(ir::name(collective)) + ", seed " + std::to_string(seed));
      const Packed result = packed(topology, collective, 1);
      EXPECT_GE(result.packing.achieved.value(), 0.9 * result.bound.reachable.value())
          << toString(result.packing);
      expectSound(result.topology, result.packing, result.bound);
    }
  }
}

TEST(PackTrees, randomFabrics) {
  double least = 1;
  double sum = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    const Topology topology = tests::randomFabric(seed, {.ranks = static_cast<int>(2 + seed % 7)});
    const Packed result = packed(topology, Collective::kAllReduce);
    SCOPED_TRACE(seed);
    expectSound(result.topology, result.packing, result.bound);
    EXPECT_TRUE(prove(result.packing, static_cast<int>(topology.ranks().size()), 0).isOk());
    least = std::min(least, result.share());
    sum += result.share();
  }
  EXPECT_GE(least, 0.95);
  EXPECT_GE(sum, 98.0);
}

// A cable that carries one direction at a time, and a bus that all links take.
TEST(PackTrees, sharedResources) {
  Topology cable = tests::mesh(2, 10 * kGigabyte);
  cable.resources.push_back(
      {.id = "cable", .capacity = 10 * kGigabyte, .charges = {{.link = 0}, {.link = 1}}});
  Topology bus = tests::star(std::vector<int64_t>(4, 10 * kGigabyte));
  bus.resources.push_back({.id = "bus", .capacity = 12 * kGigabyte, .charges = {}});
  for (int link = 0; link < 8; ++link) bus.resources[0].charges.push_back({.link = link});
  for (const Collective collective : kAll) {
    for (const Topology* topology : {&cable, &bus}) {
      const Packed result = packed(*topology, collective);
      EXPECT_EQ(result.packing.achieved, result.bound.kilobytesPerSecond) << ir::name(collective);
      expectSound(result.topology, result.packing, result.bound);
    }
  }
}

TEST(PackTrees, isTheSameTwice) {
  for (const Collective collective : kAll) {
    for (const Topology& topology : {tests::mixedBoxes(), tests::mi250(2, 8), tests::dgx1v()}) {
      EXPECT_EQ(packed(topology, collective).packing, packed(topology, collective).packing);
    }
  }
}

// ---- Options and errors -------------------------------------------------------------------------

TEST(PackTrees, optionsAreLimits) {
  const PackingOptions one{.mostTrees = 1, .mostPerRoot = 1};
  EXPECT_EQ(packed(tests::dgx1v(), Collective::kAllReduce, 0, one).packing.trees.size(), 1u);
  EXPECT_EQ(packed(tests::dgx1v(), Collective::kBroadcast, 0, one).packing.trees.size(), 1u);
  EXPECT_EQ(packed(tests::dgx1v(), Collective::kAllGather, 0, one).packing.trees.size(), 8u);
  const PackingOptions hasty{.mostWork = 1};
  for (const Collective collective : kAll) {
    const Packed result = packed(tests::mi250(1), collective, 3, hasty);
    expectSound(result.topology, result.packing, result.bound);
  }
}

TEST(PackTrees, refusesWhatMakesNoSense) {
  const Topology star = tests::star({kGigabyte, kGigabyte, kGigabyte});
  const auto limit = bound(star, {.collective = Collective::kBroadcast});
  ASSERT_TRUE(limit.isOk());
  const auto refuses = [&](ir::Rank root, const PackingOptions& options) {
    const auto packing = packTrees(star, *limit, root, options);
    return !packing.isOk() && packing.status().errorId() == base::kErrInvalidArgument;
  };
  EXPECT_TRUE(refuses(-1, {}));
  EXPECT_TRUE(refuses(3, {}));
  EXPECT_TRUE(refuses(0, {.mostTrees = 0}));
  EXPECT_TRUE(refuses(0, {.mostTrees = 1025}));
  EXPECT_TRUE(refuses(0, {.mostPerRoot = -1}));
  EXPECT_TRUE(refuses(0, {.mostPerRoot = 65}));
  EXPECT_TRUE(refuses(0, {.enoughPermille = 1001}));
  EXPECT_TRUE(refuses(0, {.mostWork = -5}));
  const auto exchanged = bound(star, {.collective = Collective::kAllToAll});
  ASSERT_TRUE(exchanged.isOk());
  EXPECT_EQ(packTrees(star, *exchanged, 0).status().errorId(), base::kErrInvalidArgument);
}

}  // namespace
}  // namespace tutti::plan
