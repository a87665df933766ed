// Plans of the planner, simulated: no faster than the bound, close to it for long calls.
#include "src/plan/planned.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "src/schedule/lower.h"
#include "src/schedule/validate.h"
#include "src/sim/simulate.h"
#include "tests/support/fabrics.h"

namespace tutti::sim {
namespace {

using ir::Collective;
using plan::FabricPlan;
using topology::kGigabyte;

struct Simulated {
  Outcome outcome;
  double boundShare = 0;
};

ir::Call callOf(const FabricPlan& made) {
  ir::Call call;
  call.collective = made.collective;
  call.type = ir::DataType::kUint8;
  call.root = made.root;
  call.count = 1;
  call.count = made.bytes / ir::planBytes(call, made.ranks);
  return call;
}

std::vector<ir::Schedule> lowerAll(const ir::Plan& plan, int ranks) {
  std::vector<ir::Schedule> schedules;
  for (ir::Rank rank = 0; rank < ranks; ++rank) {
    auto schedule = schedule::lower(plan, ranks, rank);
    EXPECT_TRUE(schedule.isOk()) << schedule.status().toString();
    if (schedule.isOk()) schedules.push_back(std::move(*schedule));
  }
  return schedules;
}

Simulated simulated(const FabricPlan& made, std::string_view algorithm, bool mayBePaced = true) {
  auto planned = plan::planned(made, algorithm, made.bytes);
  EXPECT_TRUE(planned.isOk()) << planned.status().toString();
  if (!planned.isOk()) return {};
  planned->plan.isPaced &= mayBePaced;
  Options options;
  options.routes = planned->routes;
  const auto outcome =
      simulate(made.fabric, lowerAll(planned->plan, made.ranks), callOf(made), options);
  EXPECT_TRUE(outcome.isOk()) << algorithm << ": " << outcome.status().toString();
  if (!outcome.isOk()) return {};
  return {*outcome, outcome->algorithmGbPerS * kGigabyte / made.bound.kilobytesPerSecond.value()};
}

FabricPlan planOf(const topology::Topology& fabric, const plan::Demand& demand, uint64_t bytes) {
  auto made = plan::planFabric(fabric, demand, bytes);
  EXPECT_TRUE(made.isOk()) << made.status().toString();
  return made.isOk() ? std::move(*made) : FabricPlan{};
}

// Every candidate of every collective, trees and forests on the links that they were packed into.
TEST(Planned, candidatesKeepTheBound) {
  const std::pair<const char*, topology::Topology> fabrics[] = {
      {"unequal star", tests::star({4 * kGigabyte, 3 * kGigabyte, 2 * kGigabyte, kGigabyte})},
      {"box", tests::h100(1)},
      {"mixed boxes", tests::mixedBoxes()}};
  for (const auto& [name, fabric] : fabrics) {
    for (const Collective collective :
         {Collective::kAllReduce, Collective::kReduce, Collective::kBroadcast,
          Collective::kAllGather, Collective::kReduceScatter, Collective::kAllToAll,
          Collective::kGather, Collective::kScatter}) {
      const auto made = planOf(fabric, {.collective = collective, .root = 1}, 8 << 20);
      for (const plan::Candidate& each : made.candidates) {
        if (each.kilobytesPerSecond.num == 0) continue;
        const auto found = simulated(made, each.algorithm);
        const double planned =
            each.kilobytesPerSecond.value() / made.bound.kilobytesPerSecond.value();
        const auto what =
            std::string(name) + " " + std::string(ir::name(collective)) + " " + each.algorithm;
        // Patterns may find their ways less crowded than the load of channel 0 says.
        EXPECT_LE(found.boundShare, (each.trees > 0 ? planned : 1) * 1.0001) << what;
        EXPECT_GT(found.boundShare, 0.02 * planned) << what;
      }
    }
  }
}

// What is packed is a right schedule, whoever runs it.
TEST(Planned, treesAreRightSchedules) {
  for (const Collective collective :
       {Collective::kAllReduce, Collective::kReduce, Collective::kBroadcast, Collective::kAllGather,
        Collective::kReduceScatter}) {
    const auto made = planOf(tests::star({4 * kGigabyte, 3 * kGigabyte, 2 * kGigabyte, kGigabyte}),
                             {.collective = collective, .root = 1}, 65536);
    for (const plan::Candidate& each : made.candidates) {
      if (each.trees == 0) continue;
      const auto planned = plan::planned(made, each.algorithm, made.bytes);
      ASSERT_TRUE(planned.isOk());
      EXPECT_FALSE(planned->routes.empty());
      const auto status = schedule::validate(lowerAll(planned->plan, made.ranks), callOf(made));
      EXPECT_TRUE(status.isOk()) << ir::name(collective) << ": " << status.toString();
    }
  }
}

// Boxes of eight of which one has half the network: trees lose little, a ring half.
TEST(Planned, oneBoxWithHalfItsNetwork) {
  const auto fabric = tests::h100(16, {.ofFirstBox = 25 * kGigabyte});
  const auto made = planOf(fabric, {.collective = Collective::kAllReduce}, 1 << 30);
  EXPECT_EQ(made.candidates.front().algorithm, "trees");
  EXPECT_GE(simulated(made, "trees").boundShare, 0.95);
  EXPECT_LE(simulated(made, "ring").boundShare, 0.6);
}

// Two vendors' boxes: trees of unequal weight over links that they share evenly.
TEST(Planned, unequalTreesKeepStep) {
  const auto made = planOf(tests::mixedBoxes(), {.collective = Collective::kAllReduce}, 1 << 30);
  EXPECT_EQ(made.candidates.front().algorithm, "trees");
  const double paced = simulated(made, "trees").boundShare;
  EXPECT_GE(paced, 0.94);
  EXPECT_GE(paced, simulated(made, "trees", false).boundShare + 0.04);
}

// Trees from every rank: what is promised of long calls, within what filling the pipeline takes.
TEST(Planned, forestsKeepTheirPromise) {
  const std::pair<const char*, topology::Topology> fabrics[] = {
      {"cube mesh", tests::dgx1v()}, {"boxes", tests::h100(2)}, {"many boxes", tests::h100(6)}};
  for (const auto& [name, fabric] : fabrics) {
    for (const Collective collective : {Collective::kAllGather, Collective::kReduceScatter}) {
      const auto made = planOf(fabric, {.collective = collective}, 1 << 30);
      const plan::Candidate& choice = made.candidates.front();
      EXPECT_GT(choice.trees, 0) << name;
      const double share = simulated(made, choice.algorithm).boundShare;
      EXPECT_GE(share, 0.88) << name << ' ' << ir::name(collective) << ' ' << choice.algorithm;
      EXPECT_GE(permilleOf(choice.kilobytesPerSecond, made.bound), 950) << name;
    }
  }
}

TEST(Planned, refusesWhatIsNoCandidate) {
  const auto made = planOf(tests::h100(1), {.collective = Collective::kAllReduce}, 1 << 20);
  const auto unknown = plan::planned(made, "nope", made.bytes);
  ASSERT_FALSE(unknown.isOk());
  EXPECT_NE(unknown.status().text().find("two_shot"), std::string::npos);
  EXPECT_FALSE(plan::planned(made, "", made.bytes).isOk());
}

}  // namespace
}  // namespace tutti::sim
