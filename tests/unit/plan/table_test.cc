#include "src/plan/table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "src/ir/schedule.h"
#include "src/schedule/lower.h"
#include "src/schedule/validate.h"
#include "tests/support/fabrics.h"
#include "tests/unit/plan/worlds.h"

namespace tutti::plan {
namespace {

using ir::Collective;
using ir::Reach;

constexpr Collective kCollectives[] = {Collective::kAllReduce, Collective::kReduce,
                                       Collective::kBroadcast, Collective::kAllGather,
                                       Collective::kReduceScatter};

topology::Topology unequalStar() {
  return tests::star({8'000'000, 8'000'000, 8'000'000, 2'000'000});
}

DecisionTable tableOf(const topology::Topology& fabric, const Demand& demand, Reach reach) {
  auto made = planFabric(fabric, demand, 1 << 30);
  EXPECT_TRUE(made.isOk()) << made.status().toString();
  const int ranks = made->ranks;
  auto table = DecisionTable::make(makeWorld(ranks, reach), made.take());
  EXPECT_TRUE(table.isOk()) << table.status().toString();
  return table.take();
}

ir::Call callOf(const Demand& demand, uint64_t count) {
  return {.collective = demand.collective,
          .type = ir::DataType::kInt32,
          .count = count,
          .root = demand.root};
}

TEST(Table, RowsAreTheFastestCandidates) {
  for (const Collective collective : kCollectives) {
    const DecisionTable table = tableOf(unequalStar(), {collective}, Reach::kMessage);
    ASSERT_EQ(table.rows().size(), 30u);
    EXPECT_EQ(table.rows().front().bytes, 8u);
    EXPECT_EQ(table.rows().back().bytes, uint64_t{4} << 30);
    for (const auto& row : table.rows()) {
      EXPECT_FALSE(row.isByWorld);
      for (const Candidate& each : table.made().candidates) {
        EXPECT_GE(predictedNs(each, row.bytes), row.ns - row.ns / kCloseCall)
            << row.bytes << ' ' << each.algorithm;
      }
    }
  }
}

// By hand: over a network a message takes 10 us and its links 1 us each; one_shot is one, with two
// further posts of 0.5 us, and the slow rank's link of 2 GB/s takes three times 8 B at 98 % of its
// rate, for three streams meet there.
TEST(Table, ShortCallsTakeFewStepsAndLongOnesTrees) {
  const DecisionTable table = tableOf(unequalStar(), {Collective::kAllReduce}, Reach::kMessage);
  EXPECT_EQ(table.rowFor(0).algorithm, "one_shot");
  EXPECT_EQ(table.rowFor(8).ns, 10'000 + 2 * 1000 + 2 * 500 + 13);
  EXPECT_EQ(table.rowFor(UINT64_MAX).algorithm, "double_tree");
  EXPECT_EQ(&table.rowFor(8191), &table.rowFor(4096));
  EXPECT_NE(&table.rowFor(8192), &table.rowFor(4096));
}

// Posts are none of the fabric's business.
TEST(Table, WhatFitsAPostStaysWithTheWorldWhereAllAreMapped) {
  const DecisionTable table = tableOf(unequalStar(), {Collective::kAllReduce}, Reach::kMapped);
  const ir::World world = makeWorld(4, Reach::kMapped);
  for (const auto& row : table.rows()) {
    EXPECT_EQ(row.isByWorld, row.bytes <= ir::Limits::kBoardBytes);
  }
  const ir::Call call = callOf({Collective::kAllReduce}, 10);
  EXPECT_EQ(*table.plan(world, call, {}), *plan(world, call, {}));
}

TEST(Table, DigestTellsTablesApart) {
  std::set<uint64_t> digests;
  for (const Collective collective : kCollectives) {
    digests.insert(tableOf(unequalStar(), {collective}, Reach::kMessage).digest());
  }
  const Demand broadcast{.collective = Collective::kBroadcast, .root = 1};
  digests.insert(tableOf(unequalStar(), broadcast, Reach::kMessage).digest());
  const auto otherFabric = tests::star({8'000'000, 8'000'000, 8'000'000, 2'000'001});
  digests.insert(tableOf(otherFabric, broadcast, Reach::kMessage).digest());
  digests.insert(tableOf(unequalStar(), broadcast, Reach::kMapped).digest());
  EXPECT_EQ(digests.size(), 8u);
  EXPECT_EQ(tableOf(unequalStar(), broadcast, Reach::kMapped),
            tableOf(unequalStar(), broadcast, Reach::kMapped));
}

TEST(Table, RefusesWhatDoesNotFit) {
  const auto made = [](Collective collective) {
    return *planFabric(unequalStar(), {collective}, 1 << 20);
  };
  EXPECT_FALSE(
      DecisionTable::make(makeWorld(5, Reach::kMapped), made(Collective::kAllReduce)).isOk());
  EXPECT_FALSE(
      DecisionTable::make(makeWorld(4, Reach::kMapped), made(Collective::kAllToAll)).isOk());
  const DecisionTable table = tableOf(unequalStar(), {Collective::kBroadcast}, Reach::kMessage);
  const ir::World world = makeWorld(4, Reach::kMessage);
  EXPECT_FALSE(table.plan(world, callOf({Collective::kBroadcast, 9}, 100), {}).isOk());
  Options options;
  options.algorithm = "quantum";
  EXPECT_FALSE(table.plan(world, callOf({Collective::kBroadcast}, 100), options).isOk());
}

// Lowered for all ranks and proved.
void expectValid(const DecisionTable& table, const ir::World& world, const ir::Call& call,
                 const Options& options) {
  const auto plan = table.plan(world, call, options);
  ASSERT_TRUE(plan.isOk()) << plan.status().toString();
  EXPECT_LE(plan->chunkBytes, ir::Limits::kFifoSlotBytes);
  std::vector<ir::Schedule> schedules;
  for (ir::Rank rank = 0; rank < world.size(); ++rank) {
    auto schedule = schedule::lower(*plan, world.size(), rank);
    ASSERT_TRUE(schedule.isOk()) << schedule.status().toString();
    schedules.push_back(schedule.take());
  }
  for (const bool isInPlace : {false, true}) {
    schedule::ValidateOptions validated;
    validated.isInPlace.assign(schedules.size(), isInPlace);
    validated.interleavings = isInPlace ? 1 : 2;
    const auto status = schedule::validate(schedules, call, validated);
    EXPECT_TRUE(status.isOk()) << ir::toString(call) << ", " << ir::toString(*plan) << ": "
                               << status.toString();
  }
}

TEST(Table, EveryPlanIsProved) {
  const std::vector<topology::Topology> fabrics = {unequalStar(), tests::dgx1v(),
                                                   tests::mixedPcie(false)};
  for (const auto& fabric : fabrics) {
    const int ranks = static_cast<int>(fabric.ranks().size());
    for (const Collective collective : kCollectives) {
      const Demand demand{.collective = collective, .root = ir::hasRoot(collective) ? 1 : 0};
      for (const Reach reach : {Reach::kMessage, Reach::kMapped}) {
        const ir::World world = makeWorld(ranks, reach);
        const DecisionTable table = tableOf(fabric, demand, reach);
        for (const uint64_t count : std::vector<uint64_t>{0, 1, 37, 5003, 200'003}) {
          expectValid(table, world, callOf(demand, count), {});
        }
        for (const Candidate& each : table.made().candidates) {
          for (const uint64_t chunk :
               {uint64_t{0}, uint64_t{1}, uint64_t{5000}, uint64_t{1} << 40}) {
            Options options{.algorithm = each.algorithm, .chunkBytes = chunk};
            expectValid(table, world, callOf(demand, chunk == 1 ? 3001 : 50'003), options);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace tutti::plan
