#include "src/plan/fabric.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "src/base/errors.h"
#include "src/plan/crowd.h"
#include "tests/support/fabrics.h"
#include "tests/unit/plan/print.h"

namespace tutti::plan {
namespace {

using ir::Collective;
using topology::kGigabyte;

constexpr uint64_t kLong = uint64_t{1} << 30;

FabricPlan planned(const topology::Topology& fabric, const Demand& demand, uint64_t bytes = kLong) {
  auto plan = planFabric(fabric, demand, bytes);
  EXPECT_TRUE(plan.isOk()) << plan.status().toString();
  return plan.isOk() ? std::move(*plan) : FabricPlan{};
}

const Candidate& find(const FabricPlan& plan, std::string_view algorithm) {
  static const Candidate kNone;
  const auto found =
      std::find_if(plan.candidates.begin(), plan.candidates.end(),
                   [&](const Candidate& each) { return each.algorithm == algorithm; });
  return found == plan.candidates.end() ? kNone : *found;
}

// Worked by hand in the literature on unequal stars: a ring loses a third, trees nothing.
TEST(Fabric, SlowHostCostsTreesNothing) {
  constexpr int64_t kMegabit = kGigabyte / 8000;
  const auto fabric =
      tests::star({2000 * kMegabit, 2000 * kMegabit, 2000 * kMegabit, 500 * kMegabit});
  const FabricPlan plan = planned(fabric, {.collective = Collective::kAllReduce});
  EXPECT_EQ(plan.bound.kilobytesPerSecond, makeRational(500 * kMegabit, 1));
  EXPECT_EQ(find(plan, "ring").kilobytesPerSecond, makeRational(1000 * kMegabit, 3));
  EXPECT_EQ(templateOf(plan.candidates.front()), "trees");
  EXPECT_GE(permilleOf(plan.candidates.front().kilobytesPerSecond, plan.bound), 980);
}

TEST(Fabric, RingIsEnoughWhereItReachesTheBound) {
  const FabricPlan plan = planned(tests::h100(1), {.collective = Collective::kAllGather});
  EXPECT_EQ(permilleOf(plan.candidates.front().kilobytesPerSecond, plan.bound), 1000);
  EXPECT_EQ(find(plan, "forest").algorithm, "");
}

// The slow line is measured as a little more than it is, and seven streams into every line would be
// a little faster on paper.
TEST(Fabric, FewStreamsMeetOnALineWhereThatCostsLittle) {
  const int64_t line = kGigabyte / 20;
  const auto fabric = tests::star({line, line, line, line, line, line, line, line * 101 / 200});
  const FabricPlan plan = planned(fabric, {.collective = Collective::kAllReduce});
  EXPECT_EQ(plan.candidates.front().algorithm, "double_tree");
  EXPECT_EQ(plan.candidates.front().crowd.streams, 4);
  EXPECT_EQ(find(plan, "level_chain").crowd.streams, 7);
  EXPECT_GT(find(plan, "level_chain").kilobytesPerSecond,
            plan.candidates.front().kilobytesPerSecond);

  const auto equal = tests::star(std::vector<int64_t>(8, line));
  const FabricPlan gather = planned(equal, {.collective = Collective::kAllGather});
  EXPECT_EQ(find(gather, "exchange").crowd, (Crowd{7, 0}));
  EXPECT_EQ(find(gather, "ring").crowd, (Crowd{1, 0}));
  EXPECT_EQ(gather.candidates.front().crowd, (Crowd{3, 0}));
}

// Three hosts could each fill the slow one's line: nothing but losses holds them back.
TEST(Fabric, OneStreamAtATimeFillsASlowLine) {
  const int64_t line = kGigabyte / 4;
  const Demand demand{.collective = Collective::kAllGather};
  const FabricPlan slow = planned(tests::star({line, line, line, line / 4}), demand);
  EXPECT_EQ(find(slow, "exchange").crowd, (Crowd{3, 3}));
  EXPECT_EQ(find(slow, "exchange").kilobytesPerSecond, find(slow, "ring").kilobytesPerSecond);
  EXPECT_EQ(find(slow, "ring").crowd.streams, 1);
  EXPECT_EQ(choiceOf(slow.candidates, 64 << 20)->crowd.streams, 1);

  const FabricPlan equal = planned(tests::star({line, line, line, line}), demand);
  EXPECT_EQ(choiceOf(equal.candidates, 64 << 20)->crowd, (Crowd{3, 0}));
}

TEST(Fabric, WhatCrowdsLose) {
  const Rational rate = makeRational(1000, 1);
  EXPECT_EQ(crowded(rate, {}), rate);
  EXPECT_EQ(crowded(rate, {4, 0}), rate);
  EXPECT_EQ(crowded(rate, {5, 0}), makeRational(980, 1));
  EXPECT_EQ(crowded(rate, {16, 0}), makeRational(760, 1));
  EXPECT_EQ(crowded(rate, {500, 500}), makeRational(760, 1));
  EXPECT_EQ(crowded(rate, {1, 1}), rate);
  EXPECT_EQ(crowded(rate, {3, 3}), makeRational(980, 1));
  EXPECT_EQ(crowded(rate, {6, 6}), makeRational(950, 1));
  EXPECT_EQ(crowded(rate, {7, 6}), makeRational(940, 1));
  EXPECT_EQ(crowded(Rational::unlimited(), {9, 9}), Rational::unlimited());
}

// Ranks of a ring network in another order: the search has to find the neighbours.
TEST(Fabric, RingFindsItsOrder) {
  topology::Topology shuffled;
  const std::vector<int> places = {0, 5, 2, 7, 4, 1, 6, 3};
  for (int i = 0; i < 8; ++i) {
    shuffled.addNode({.id = "r" + std::to_string(i), .kind = topology::NodeKind::kRank});
  }
  for (size_t i = 0; i < 8; ++i) {
    shuffled.addDuplex({.from = places[i], .to = places[(i + 1) % 8], .capacity = kGigabyte});
  }
  const FabricPlan plan = planned(shuffled, {.collective = Collective::kReduceScatter});
  EXPECT_EQ(find(plan, "ring").kilobytesPerSecond, makeRational(8 * kGigabyte, 7));
}

TEST(Fabric, ShortCallsTakeFewSteps) {
  const auto fabric = tests::h100(1);
  const FabricPlan small = planned(fabric, {.collective = Collective::kAllReduce}, 1024);
  const FabricPlan large = planned(fabric, {.collective = Collective::kAllReduce}, kLong);
  EXPECT_LT(small.candidates.front().maxDepth, 3);
  EXPECT_GT(large.candidates.front().kilobytesPerSecond,
            small.candidates.front().kilobytesPerSecond);
  for (const FabricPlan* plan : {&small, &large}) {
    for (size_t i = 1; i < plan->candidates.size(); ++i) {
      EXPECT_FALSE(plan->candidates[i].reason.empty());
      if (plan->candidates[i].kilobytesPerSecond.num == 0) continue;
      EXPECT_GE(plan->candidates[i].ns, plan->candidates[i - 1].ns);
    }
  }
}

TEST(Fabric, NothingBeatsTheBound) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const auto fabric = tests::randomFabric(
        seed, {.ranks = static_cast<int>(2 + seed % 6), .isSymmetric = seed % 3 != 0});
    for (const Collective collective :
         {Collective::kAllReduce, Collective::kReduce, Collective::kBroadcast,
          Collective::kAllGather, Collective::kReduceScatter, Collective::kAllToAll,
          Collective::kGather, Collective::kScatter}) {
      const FabricPlan plan = planned(fabric, {.collective = collective, .root = 1});
      for (const Candidate& each : plan.candidates) {
        EXPECT_LE(each.kilobytesPerSecond, plan.bound.kilobytesPerSecond)
            << ir::name(collective) << " " << each.algorithm << ", seed " << seed;
      }
    }
  }
}

TEST(Fabric, OneBoxWithHalfItsNetwork) {
  const auto fabric = tests::h100(16, {.ofFirstBox = 25 * kGigabyte});
  const FabricPlan plan = planned(fabric, {.collective = Collective::kAllReduce});
  EXPECT_EQ(plan.bound.kilobytesPerSecond, makeRational(200 * kGigabyte, 1));
  EXPECT_EQ(plan.candidates.front().algorithm, "trees");
  EXPECT_GE(permilleOf(plan.candidates.front().kilobytesPerSecond, plan.bound), 980);
  EXPECT_LT(permilleOf(find(plan, "ring").kilobytesPerSecond, plan.bound), 600);
}

// Two levels: over every rail at once, with all phases overlapped. Where boxes are alike that is
// near the bound at any length, and far ahead of what crosses the network with every message.
TEST(Fabric, LevelsWinWhereHostsAreFarApart) {
  const auto fabric = tests::h100(16);
  for (const Collective collective :
       {Collective::kAllReduce, Collective::kBroadcast, Collective::kReduce}) {
    const FabricPlan plan = planned(fabric, {.collective = collective, .root = 5}, 16 << 20);
    EXPECT_EQ(plan.candidates.front().algorithm, "level_tree") << ir::name(collective);
    EXPECT_EQ(plan.candidates.front().trees, 16);
    EXPECT_GE(permilleOf(find(plan, "level_chain").kilobytesPerSecond, plan.bound), 930);
    EXPECT_LT(2 * find(plan, "level_tree").ns, find(plan, "halving_doubling").ns +
                                                   find(plan, "scatter_all_gather").ns +
                                                   find(plan, "chain").ns);
  }
  const FabricPlan broadcast = planned(fabric, {.collective = Collective::kBroadcast});
  EXPECT_EQ(permilleOf(find(broadcast, "level_chain").kilobytesPerSecond, broadcast.bound), 1000);
  EXPECT_EQ(find(broadcast, "trees").algorithm, "");
  const FabricPlan gather = planned(tests::h100(2), {.collective = Collective::kAllGather});
  EXPECT_GE(permilleOf(find(gather, "level_chain").kilobytesPerSecond, gather.bound), 960);
}

// On rails a box reaches other devices of another box only through their neighbours.
TEST(Fabric, TreesNeedWaysThatPassNoRank) {
  const FabricPlan plan = planned(tests::h100(2), {.collective = Collective::kAllReduce});
  EXPECT_EQ(find(plan, "double_tree").kilobytesPerSecond.num, 0);
  EXPECT_NE(find(plan, "double_tree").reason.find("only through"), std::string::npos);
}

// Dealing out and exchanging use different links, one after the other: half the rate of each.
TEST(Fabric, PhasesTakeTurns) {
  const FabricPlan plan =
      planned(tests::star({8, 8, 8, 8, 8}), {.collective = Collective::kBroadcast});
  // The root sends 4 quarters, then the others 3 quarters each.
  EXPECT_EQ(find(plan, "scatter_all_gather").kilobytesPerSecond, makeRational(32, 7));
  EXPECT_EQ(templateOf(plan.candidates.front()), "trees");
}

TEST(Fabric, OneRankCopies) {
  const FabricPlan plan = planned(tests::single(), {.collective = Collective::kAllReduce});
  EXPECT_EQ(plan.candidates.front().algorithm, "local");
}

TEST(Fabric, IsTheSameTwice) {
  const auto fabric = tests::mixedBoxes();
  const Demand demand{.collective = Collective::kAllReduce};
  EXPECT_EQ(planned(fabric, demand), planned(fabric, demand));
}

TEST(Fabric, DisconnectedIsAnError) {
  const auto plan = planFabric(tests::disconnected(), {}, kLong);
  EXPECT_FALSE(plan.isOk());
}

}  // namespace
}  // namespace tutti::plan
