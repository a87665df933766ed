// Multiplicative weights and the exact bound of all_reduce: two methods, one answer.
#include "src/plan/second_opinion.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "src/base/errors.h"
#include "src/plan/bound.h"
#include "src/plan/pack_trees.h"
#include "tests/support/fabrics.h"
#include "tests/support/sanitized.h"
#include "topology/compose.h"
#include "topology/load.h"
#include "topology/network.h"

namespace tutti::plan {
namespace {

using topology::kGigabyte;
using topology::Topology;

Opinion get(const Topology& topology, const OpinionOptions& options = {}) {
  const auto opinion = secondOpinion(topology, options);
  EXPECT_TRUE(opinion.isOk()) << opinion.status().toString();
  return opinion.isOk() ? *opinion : Opinion{};
}

double boundOf(const Topology& topology) {
  const auto exact = bound(topology, {});
  EXPECT_TRUE(exact.isOk() && exact->isExact) << topology.name;
  return exact.isOk() ? exact->kilobytesPerSecond.value() : 0;
}

// The bound lies between both sides, and these are within the gap.
void expectAgreement(const Topology& topology, int32_t gapPermille = 20) {
  SCOPED_TRACE(topology.name);
  const double exact = boundOf(topology);
  const Opinion opinion = get(topology, {.gapPermille = gapPermille});
  EXPECT_LE(opinion.atLeast, exact);
  EXPECT_GE(opinion.atMost, exact);
  EXPECT_TRUE(opinion.isClose) << opinion.trees << " trees";
  EXPECT_GE(opinion.atLeast, opinion.atMost * (1000 - gapPermille) / 1000);
}

TEST(SecondOpinion, agreesOnPublishedMachines) {
  using namespace tests;  // NOLINT(google-build-using-namespace): names of fabrics
  for (const Topology& topology : {dgx1v(), dgxA100(1), dgxA100(2), dgxA100(4), h100(2), h100(4),
                                   mi250(1), mi250(2, 8), mi250(2), mi300x(1), mi300x(2),
                                   mixedBoxes(), fatTree(4, 8, 100 * kGigabyte, 400 * kGigabyte)}) {
    expectAgreement(topology);
  }
}

TEST(SecondOpinion, agreesOnUnequalLayouts) {
  using namespace tests;  // NOLINT(google-build-using-namespace): names of fabrics
  for (const Topology& topology :
       {star({4, 4, 4, 1}), star({20, 20, 20, 20, 2, 2, 2, 2}), twoIslands(2, 8, 1),
        ring(7, kGigabyte), mesh(2, kGigabyte), torus({3, 5}, kGigabyte), hypercube(5, kGigabyte),
        wanTriangle(), wanStar(), mixedPcie(false), mixedPcie(true)}) {
    expectAgreement(topology);
  }
}

TEST(SecondOpinion, agreesOnRandomFabrics) {
  const uint64_t rounds = test::kIsSanitized ? 60 : 300;
  for (uint64_t seed = 0; seed < rounds; ++seed) {
    const tests::RandomFabric options{.ranks = static_cast<int>(2 + seed % 11),
                                      .switches = static_cast<int>(seed / 5 % 5),
                                      .extraLinks = static_cast<int>(seed / 7 % 13),
                                      .mostCapacity = seed % 3 == 0 ? 1'000'003 : 12,
                                      .unit = seed % 2 == 0 ? kGigabyte : 1};
    SCOPED_TRACE(seed);
    expectAgreement(tests::randomFabric(seed, options));
    if (HasFailure()) return;
  }
}

TEST(SecondOpinion, comesAsCloseAsAsked) {
  expectAgreement(tests::dgx1v(), 1);
  expectAgreement(tests::mi250(1), 4);
  EXPECT_LT(get(tests::dgx1v(), {.gapPermille = 100}).trees,
            get(tests::dgx1v(), {.gapPermille = 2}).trees);
}

TEST(SecondOpinion, aSlowBoxAndManyRanks) {
  expectAgreement(tests::h100(8));
  if (test::kIsSanitized) return;
  expectAgreement(tests::h100(16, {.ofFirstBox = 25 * kGigabyte}), 40);
  expectAgreement(tests::dgxA100(32));
}

// Recorded machines, where they stand beside the checkout: each alone, and two at one switch.
TEST(SecondOpinion, agreesOnRecordedMachines) {
  const char* given = std::getenv("TUTTI_TEST_TOPOLOGIES");
  const std::string folder = given != nullptr ? given : TUTTI_SOURCE_DIR "/../shared/topologies";
  if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << "no " << folder;
  const auto star = topology::parseNetwork("star");
  ASSERT_TRUE(star.isOk());
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto loaded = topology::loadTopology(entry.path().string());
    ASSERT_TRUE(loaded.isOk()) << loaded.status().toString();
    expectAgreement(loaded->topology);
    const std::vector<const Topology*> pair(2, &loaded->topology);
    const auto composed = topology::compose(pair, *star);
    ASSERT_TRUE(composed.isOk()) << composed.status().toString();
    expectAgreement(*composed);
  }
}

// No packing can carry more than the upper side says, and one that is good enough not much less
// than the lower one.
TEST(SecondOpinion, enclosesPackings) {
  for (const Topology& topology : {tests::dgx1v(), tests::mi250(2, 8), tests::mixedBoxes()}) {
    const auto exact = bound(topology, {});
    ASSERT_TRUE(exact.isOk());
    const auto packing = packTrees(topology, *exact, 0);
    ASSERT_TRUE(packing.isOk()) << packing.status().toString();
    const Opinion opinion = get(topology);
    EXPECT_LE(packing->achieved.value(), opinion.atMost) << topology.name;
    EXPECT_GE(packing->achieved.value(), 0.95 * opinion.atLeast) << topology.name;
  }
}

// A cable that carries one direction at a time, and a bus that all links take.
TEST(SecondOpinion, countsSharedResources) {
  Topology cable = tests::mesh(2, 10 * kGigabyte);
  cable.resources.push_back(
      {.id = "cable", .capacity = 10 * kGigabyte, .charges = {{.link = 0}, {.link = 1}}});
  const Opinion half = get(cable);
  EXPECT_LE(half.atLeast, 5 * kGigabyte);
  EXPECT_GE(half.atMost, 5 * kGigabyte);
  EXPECT_TRUE(half.isClose);
  Topology bus = tests::star(std::vector<int64_t>(4, 10 * kGigabyte));
  bus.resources.push_back({.id = "bus", .capacity = 12 * kGigabyte, .charges = {}});
  for (int link = 0; link < 8; ++link) bus.resources[0].charges.push_back({.link = link});
  // Three edges of two links each, both ways.
  const Opinion shared = get(bus);
  EXPECT_LE(shared.atLeast, kGigabyte);
  EXPECT_GE(shared.atMost, kGigabyte);
  EXPECT_TRUE(shared.isClose);
}

TEST(SecondOpinion, ofOneRankIsUnlimited) {
  const Opinion opinion = get(tests::single());
  EXPECT_TRUE(std::isinf(opinion.atLeast));
  EXPECT_TRUE(opinion.isClose);
  EXPECT_EQ(opinion.trees, 0);
}

TEST(SecondOpinion, stopsWhereItIsTold) {
  const Opinion opinion = get(tests::mi250(2), {.gapPermille = 1, .mostTrees = 7});
  EXPECT_EQ(opinion.trees, 7);
  EXPECT_FALSE(opinion.isClose);
  EXPECT_LE(opinion.atLeast, boundOf(tests::mi250(2)));
  EXPECT_GE(opinion.atMost, boundOf(tests::mi250(2)));
}

TEST(SecondOpinion, saysWhereItDoesNotApply) {
  const auto oneWay = secondOpinion(tests::copyingSwitch());
  ASSERT_FALSE(oneWay.isOk());
  EXPECT_EQ(oneWay.status().errorId(), base::kErrUnsupported);
  EXPECT_NE(oneWay.status().text().find("two directions"), std::string_view::npos);
  EXPECT_FALSE(secondOpinion(tests::disconnected()).isOk());
  for (const OpinionOptions& options :
       {OpinionOptions{.gapPermille = 0}, {.gapPermille = 1000}, {.mostTrees = -1}}) {
    const auto refused = secondOpinion(tests::dgx1v(), options);
    ASSERT_FALSE(refused.isOk());
    EXPECT_EQ(refused.status().code(), base::Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace tutti::plan
