// The table of templates, its errors, and what it costs to lower for many ranks.
#include "src/schedule/lower.h"

#include <gtest/gtest.h>

#include <chrono>

#include "src/plan/plan.h"
#include "tests/unit/schedule/scenario.h"

namespace tutti::schedule {
namespace {

using ir::Collective;
using ir::Space;
using ir::StepKind;

constexpr int kPowerOfTwo = 8;

template <typename Visit>
void forAllAlgorithms(int size, const Visit& visit) {
  for (int value = 0; value < ir::kCollectiveCount; ++value) {
    const auto collective = static_cast<Collective>(value);
    for (const std::string_view algorithm : loweredAlgorithms(collective, size)) {
      ir::Plan plan;
      plan.collective = collective;
      plan.algorithm = algorithm;
      plan.chunkBytes = 128;
      visit(plan);
    }
  }
}

TEST(Lower, hasATemplateForEachAlgorithmOfThePlanner) {
  for (int value = 0; value < ir::kCollectiveCount; ++value) {
    const auto collective = static_cast<Collective>(value);
    const auto planned = plan::algorithmsFor(collective);
    if (planned == std::vector<std::string_view>{"send_recv"}) {
      EXPECT_TRUE(loweredAlgorithms(collective, kPowerOfTwo).empty());
    } else {
      EXPECT_EQ(loweredAlgorithms(collective, kPowerOfTwo), planned) << ir::name(collective);
    }
  }
}

TEST(Lower, fillsInTheHead) {
  forAllAlgorithms(kPowerOfTwo, [](ir::Plan plan) {
    plan.root = 3;
    plan.acceptsKernelCopy = true;
    const auto schedule = lower(plan, kPowerOfTwo, 5);
    ASSERT_TRUE(schedule.isOk()) << schedule.status().toString();
    EXPECT_EQ(schedule->collective, plan.collective);
    EXPECT_EQ(schedule->algorithm, plan.algorithm);
    EXPECT_EQ(schedule->rank, 5);
    EXPECT_EQ(schedule->size, kPowerOfTwo);
    EXPECT_EQ(schedule->root, 3);
    EXPECT_EQ(schedule->needsPeerMemory, plan.algorithm == "direct");
    EXPECT_EQ(schedule->acceptsKernelCopy, plan.algorithm == "direct");
    EXPECT_FALSE(schedule->lanes.empty());
  });
}

TEST(Lower, textOfEachTemplateIsReadBack) {
  forAllAlgorithms(kPowerOfTwo, [](ir::Plan plan) {
    plan.root = 1;
    for (const bool usesBoard : {false, true}) {
      plan.usesBoard = usesBoard;
      const auto schedule = lower(plan, kPowerOfTwo, 2);
      ASSERT_TRUE(schedule.isOk());
      const auto read = ir::parseSchedule(ir::toString(*schedule));
      ASSERT_TRUE(read.isOk()) << read.status().toString();
      EXPECT_EQ(*read, *schedule) << ir::toString(*schedule);
    }
  });
}

TEST(Lower, oneRankAloneCopies) {
  ir::Plan plan;
  plan.algorithm = "local";
  const auto schedule = lower(plan, 1, 0);
  ASSERT_TRUE(schedule.isOk());
  EXPECT_EQ(schedule->algorithm, "local");
  ASSERT_EQ(schedule->lanes.size(), 1u);
  ASSERT_EQ(schedule->lanes[0].steps.size(), 1u);
  EXPECT_TRUE(schedule->lanes[0].steps[0].isFinal);
}

TEST(Lower, fallbackUsesMessagesOnly) {
  ir::Plan plan;
  plan.algorithm = "direct";
  plan.acceptsKernelCopy = true;
  plan.usesBoard = true;
  plan.fallbackAlgorithm = "two_shot";
  plan.fallbackChunkBytes = 4096;
  const auto schedule = lowerFallback(plan, 4, 1);
  ASSERT_TRUE(schedule.isOk());
  EXPECT_EQ(schedule->algorithm, "two_shot");
  EXPECT_FALSE(schedule->needsPeerMemory);
  EXPECT_FALSE(schedule->acceptsKernelCopy);
  for (const ir::Lane& lane : schedule->lanes) {
    EXPECT_EQ(lane.chunkBytes, 4096u);
    for (const ir::Step& step : lane.steps) {
      EXPECT_TRUE(step.kind == StepKind::kMove || step.kind == StepKind::kReduce);
      for (const ir::Operand& operand : step.sources) EXPECT_NE(operand.space, Space::kBoard);
    }
  }
}

TEST(Lower, refusesWhatThereIsNot) {
  ir::Plan plan;
  plan.algorithm = "carrier_pigeon";
  const auto unknown = lower(plan, 4, 0);
  ASSERT_FALSE(unknown.isOk());
  EXPECT_NE(unknown.status().text().find("carrier_pigeon"), std::string_view::npos);
  EXPECT_NE(unknown.status().text().find("recursive_doubling"), std::string_view::npos);

  plan.algorithm = "ring";
  EXPECT_FALSE(lower(plan, 4, 4).isOk());
  EXPECT_FALSE(lower(plan, 4, -1).isOk());
  plan.root = 4;
  EXPECT_FALSE(lower(plan, 4, 0).isOk());
  plan.root = 0;
  for (const std::vector<ir::Rank>& order :
       {std::vector<ir::Rank>{0, 1, 2}, {0, 1, 2, 2}, {0, 1, 2, 4}}) {
    plan.order = order;
    EXPECT_FALSE(lower(plan, 4, 0).isOk());
  }
  plan.order = {3, 1, 0, 2};
  EXPECT_TRUE(lower(plan, 4, 0).isOk());
}

TEST(Lower, refusesSizesAndPairsThatCanNotBe) {
  ir::Plan plan;
  plan.collective = Collective::kAllGather;
  plan.algorithm = "recursive_doubling";
  EXPECT_TRUE(lower(plan, 8, 0).isOk());
  EXPECT_FALSE(lower(plan, 6, 0).isOk());
  plan.collective = Collective::kSend;
  plan.algorithm = "fifo";
  plan.root = 2;
  EXPECT_TRUE(lower(plan, 3, 0).isOk());
  EXPECT_FALSE(lower(plan, 3, 2).isOk());  // with itself
  plan.collective = Collective::kAllToAllV;
  EXPECT_FALSE(lower(plan, 3, 0).isOk());  // src/comm sends and receives
}

TEST(Lower, manyRanksAreCheap) {
  constexpr int kSize = 1024;
  constexpr auto kLimit = std::chrono::milliseconds(200);  // generous: slow and sanitized builds
  forAllAlgorithms(kSize, [&](ir::Plan plan) {
    plan.root = 77;
    plan.usesBoard = plan.algorithm == "one_shot";
    for (const ir::Rank rank : {0, 1, 511, 1023}) {
      const auto begin = std::chrono::steady_clock::now();
      const auto schedule = lower(plan, kSize, rank);
      const auto elapsed = std::chrono::steady_clock::now() - begin;
      ASSERT_TRUE(schedule.isOk()) << schedule.status().toString();
      EXPECT_LT(elapsed, kLimit) << ir::name(plan.collective) << " " << plan.algorithm;
      size_t steps = 0;
      for (const ir::Lane& lane : schedule->lanes) steps += lane.steps.size();
      const size_t bound = plan.algorithm == "bruck" && plan.collective == Collective::kAllToAll
                               ? 8 * kSize
                               : 3 * kSize;
      EXPECT_LE(steps, bound) << ir::name(plan.collective) << " " << plan.algorithm;
    }
  });
}

}  // namespace
}  // namespace tutti::schedule
