// Parallel aggregated trees: right for every degree of aggregation, and as economical as they are
// said to be.
#include <map>
#include <set>

#include "tests/support/sanitized.h"
#include "tests/unit/schedule/scenario.h"

namespace tutti::schedule {
namespace {

using ir::Collective;
using ir::Limits;
using ir::Space;

constexpr Collective kAll[] = {Collective::kAllGather, Collective::kReduceScatter,
                               Collective::kAllGatherV, Collective::kReduceScatterV};

ir::Plan planOf(Collective collective, uint64_t chunkBytes) {
  ir::Plan plan;
  plan.collective = collective;
  plan.algorithm = "pat";
  plan.chunkBytes = chunkBytes;
  return plan;
}

// What one rank sends: messages and blocks, by how far away they go.
struct Sent {
  int messages = 0;
  int blocks = 0;
  bool operator==(const Sent&) const = default;
};

int blocksOf(const ir::Step& step) {
  int blocks = 0;
  for (const auto* operands : {&step.sources, &step.destinations}) {
    for (const ir::Operand& operand : *operands) {
      if (operand.space != Space::kFifo) blocks = std::max(blocks, operand.blocks);
    }
  }
  return blocks;
}

std::map<int, Sent> sentBy(const ir::Schedule& schedule, bool isUpwards) {
  std::map<int, Sent> sent;
  for (const ir::Lane& lane : schedule.lanes) {
    for (const ir::Step& step : lane.steps) {
      for (const ir::Operand& to : step.destinations) {
        if (to.space != Space::kFifo) continue;
        const int ahead = (to.rank - schedule.rank + schedule.size) % schedule.size;
        Sent& there = sent[isUpwards ? schedule.size - ahead : ahead];
        ++there.messages;
        there.blocks += blocksOf(step);
        EXPECT_LE(static_cast<uint64_t>(blocksOf(step)) * lane.chunkBytes, Limits::kFifoSlotBytes);
      }
    }
  }
  return sent;
}

int blocksOver(int distance, int size) { return (size + distance - 1) / (2 * distance); }

TEST(Pat, isRightForEveryAggregation) {
  const int largest = test::kIsSanitized ? 9 : 21;
  for (const Collective collective : kAll) {
    for (int size = 2; size <= largest; ++size) {
      for (const uint64_t run : {1, 2, 3, 4, 5, 6, 8}) {
        const uint64_t chunk = Limits::kFifoSlotBytes / run / 128 * 128;
        Scenario scenario = makeScenario(collective, "pat", size, 0, 2, chunk);
        if (size % 3 != 0) {
          for (int rank = 0; rank < size; ++rank) {
            scenario.plan.order.push_back((3 * rank + 1) % size);
          }
        }
        const bool isInPlace = run % 2 == 0;
        const auto status =
            validateScenario(scenario, std::vector<bool>(static_cast<size_t>(size), isInPlace), 1);
        ASSERT_TRUE(status.isOk()) << ir::name(collective) << " among " << size << " in runs of "
                                   << run << ": " << status.toString();
      }
    }
  }
}

// A long way takes few blocks, whatever is aggregated; all together one of each other rank.
TEST(Pat, sendsTheFewerBlocksTheFarther) {
  for (const Collective collective : kAll) {
    const bool isUpwards =
        collective == Collective::kReduceScatter || collective == Collective::kReduceScatterV;
    for (const int size : {2, 3, 7, 8, 13, 64, 100, 1023, 1024}) {
      for (const uint64_t chunk : {uint64_t{128}, uint64_t{4096}, Limits::kFifoSlotBytes}) {
        const auto schedule = lower(planOf(collective, chunk), size, size / 3);
        ASSERT_TRUE(schedule.isOk()) << schedule.status().toString();
        int all = 0;
        for (const auto& [distance, sent] : sentBy(*schedule, isUpwards)) {
          EXPECT_EQ(sent.blocks, blocksOver(distance, size)) << distance << " of " << size;
          all += sent.blocks;
        }
        EXPECT_EQ(all, size - 1);
      }
    }
  }
}

TEST(Pat, takesTheLogarithmInMessagesIfAllFits) {
  for (const Collective collective : {Collective::kAllGather, Collective::kReduceScatter}) {
    for (const int size : {2, 3, 5, 8, 31, 512, 1000, 1024}) {
      for (const uint64_t chunk : {uint64_t{0}, uint64_t{128}}) {
        const auto schedule = lower(planOf(collective, chunk), size, 1);
        ASSERT_TRUE(schedule.isOk());
        int rounds = 0;
        while ((1 << rounds) < size) ++rounds;
        const auto sent = sentBy(*schedule, collective == Collective::kReduceScatter);
        EXPECT_EQ(sent.size(), static_cast<size_t>(rounds));
        for (const auto& [distance, there] : sent) EXPECT_EQ(there.messages, 1) << distance;
      }
    }
  }
}

// Two slots' bytes of scratch at most, and none where every block is a message.
TEST(Pat, keepsScratchSmall) {
  for (const Collective collective : kAll) {
    for (const int size : {2, 3, 33, 777, 1024}) {
      for (const uint64_t chunk : {128, 256, 384, 1920, 4096, 21760, 32768, 32896, 65536}) {
        const auto schedule = lower(planOf(collective, chunk), size, 0);
        ASSERT_TRUE(schedule.isOk());
        const auto blocks = static_cast<uint64_t>(schedule->scratchBlocks);
        ASSERT_LE(blocks * chunk, 2 * Limits::kFifoSlotBytes) << size << " chunks of " << chunk;
        ASSERT_TRUE(blocks == 0 || chunk <= Limits::kFifoSlotBytes / 2);
      }
    }
  }
}

// Where blocks may differ in length they are never packed into blocks of equal length.
TEST(Pat, packsNoBlocksOfDifferentLengths) {
  for (const Collective collective : {Collective::kAllGatherV, Collective::kReduceScatterV}) {
    const auto schedule = lower(planOf(collective, 128), 12, 5);
    ASSERT_TRUE(schedule.isOk());
    EXPECT_EQ(schedule->scratchBlocks, 0);
    for (const ir::Lane& lane : schedule->lanes) {
      for (const ir::Step& step : lane.steps) EXPECT_EQ(blocksOf(step), 1);
    }
  }
}

// The same combination, in the same order, of whatever message comes first.
TEST(Pat, combinesInAFixedOrder) {
  const auto schedule = lower(planOf(Collective::kReduceScatter, Limits::kFifoSlotBytes), 8, 2);
  ASSERT_TRUE(schedule.isOk());
  const ir::Step& last = schedule->lanes.back().steps.back();
  EXPECT_TRUE(last.isFinal);
  ASSERT_EQ(last.sources.size(), 4u);
  EXPECT_EQ(last.sources[0].space, Space::kInput);
  EXPECT_EQ(last.sources[1].rank, 3);
  EXPECT_EQ(last.sources[2].rank, 4);
  EXPECT_EQ(last.sources[3].rank, 6);
}

}  // namespace
}  // namespace tutti::schedule
