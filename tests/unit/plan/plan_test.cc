#include "src/plan/plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "src/ir/schedule.h"
#include "tests/unit/plan/worlds.h"

namespace tutti::plan {
namespace {

using ir::Collective;
using ir::Reach;

ir::Call makeCall(Collective collective, uint64_t bytes) {
  return {.collective = collective, .count = bytes / 4};
}

std::string chosen(const ir::World& world, const ir::Call& call) {
  const auto result = plan(world, call, {});
  EXPECT_TRUE(result.isOk()) << result.status().toString();
  return result.isOk() ? result->algorithm : "";
}

TEST(Plan, isTheSameEveryTime) {
  for (const Reach reach : {Reach::kMessage, Reach::kMapped, Reach::kAddress}) {
    for (uint64_t bytes = 4; bytes <= (64u << 20); bytes *= 4) {
      const auto call = makeCall(Collective::kAllReduce, bytes);
      const auto first = plan(makeWorld(6, reach), call, {});
      const auto second = plan(makeWorld(6, reach), call, {});
      ASSERT_TRUE(first.isOk() && second.isOk());
      EXPECT_EQ(*first, *second);
    }
  }
}

TEST(Plan, smallGoesOverTheBoardAndLargeInPlace) {
  const ir::World world = makeWorld(4, Reach::kAddress, 2);
  for (const Collective collective :
       {Collective::kAllReduce, Collective::kReduce, Collective::kBroadcast, Collective::kAllGather,
        Collective::kReduceScatter, Collective::kAllToAll, Collective::kGather,
        Collective::kScatter}) {
    const auto small = plan(world, makeCall(collective, 8), {});
    ASSERT_TRUE(small.isOk());
    EXPECT_EQ(small->algorithm, "one_shot") << ir::name(collective);
    EXPECT_TRUE(small->usesBoard);
    EXPECT_EQ(small->chunkBytes, 0u);
    const auto large = plan(world, makeCall(collective, 64 << 20), {});
    ASSERT_TRUE(large.isOk());
    EXPECT_EQ(large->algorithm, "direct") << ir::name(collective);
    EXPECT_FALSE(large->fallbackAlgorithm.empty());
    EXPECT_GT(large->fallbackChunkBytes, 0u);
  }
}

TEST(Plan, boardIsNotUsedBeyondItsSize) {
  const ir::World world = makeWorld(4, Reach::kMapped);
  const uint64_t board = ir::Limits::kBoardBytes;
  for (const uint64_t bytes : {board, board + 4}) {
    for (const auto& candidate : candidates(world, makeCall(Collective::kAllGather, bytes))) {
      if (candidate.algorithm == "one_shot") {
        EXPECT_EQ(candidate.isUsable, bytes <= board);
      }
    }
    const auto result =
        plan(world, makeCall(Collective::kAllReduce, bytes), {.algorithm = "one_shot"});
    ASSERT_TRUE(result.isOk());
    EXPECT_EQ(result->usesBoard, bytes <= board);
    EXPECT_EQ(result->chunkBytes == 0, bytes <= board);
  }
}

TEST(Plan, messagesChooseByRoundsThenByBytes) {
  const ir::World world = makeWorld(16, Reach::kMessage);
  EXPECT_EQ(chosen(makeWorld(64, Reach::kMessage), makeCall(Collective::kAllReduce, 8)),
            "recursive_doubling");
  const std::string large = chosen(world, makeCall(Collective::kAllReduce, 256 << 20));
  EXPECT_NE(large, "recursive_doubling");
  EXPECT_NE(large, "one_shot");
  EXPECT_EQ(chosen(makeWorld(63, Reach::kMessage), makeCall(Collective::kAllGather, 8)), "bruck");
  for (const auto& candidate : candidates(world, makeCall(Collective::kAllReduce, 1 << 20))) {
    EXPECT_EQ(candidate.isUsable, candidate.algorithm != "direct");
  }
}

// Short calls of pat share messages, down to chunks of the length of a block; long ones do not.
TEST(Plan, patSharesMessagesAsFarAsItPays) {
  const ir::World world = makeWorld(1000, Reach::kMessage);
  const auto pat = [&](Collective collective, uint64_t bytes, uint64_t chunkBytes = 0) {
    const auto result =
        plan(world, makeCall(collective, bytes), {.algorithm = "pat", .chunkBytes = chunkBytes});
    EXPECT_TRUE(result.isOk()) << result.status().toString();
    return result.isOk() ? *result : ir::Plan();
  };
  for (const auto collective : {Collective::kAllGather, Collective::kReduceScatter}) {
    EXPECT_EQ(pat(collective, 16).chunkBytes, 128u);
    EXPECT_LT(pat(collective, 16).predictedNs, pat(collective, 16, 65536).predictedNs);
    EXPECT_GT(pat(collective, 16 << 20).chunkBytes, 2048u);
    EXPECT_LT(pat(collective, 16 << 20).predictedNs, pat(collective, 16 << 20, 128).predictedNs);
  }
}

TEST(Plan, predictedTimeGrowsWithTheBytes) {
  for (const Reach reach : {Reach::kMessage, Reach::kMapped}) {
    for (const int size : {2, 5, 16}) {
      const ir::World world = makeWorld(size, reach, 4);
      double before = 0;
      for (uint64_t bytes = 8; bytes <= (256u << 20); bytes *= 2) {
        const auto result = plan(world, makeCall(Collective::kAllReduce, bytes), {});
        ASSERT_TRUE(result.isOk());
        EXPECT_GE(result->predictedNs, before) << bytes << " among " << size;
        before = result->predictedNs;
      }
    }
  }
}

TEST(Plan, isTheFastestCandidate) {
  const ir::World world = makeWorld(7, Reach::kMapped, 2);
  for (uint64_t bytes = 8; bytes <= (64u << 20); bytes *= 8) {
    const auto call = makeCall(Collective::kReduceScatter, bytes);
    const auto result = plan(world, call, {});
    ASSERT_TRUE(result.isOk());
    for (const auto& candidate : candidates(world, call)) {
      if (candidate.isUsable) {
        EXPECT_LE(result->predictedNs, static_cast<double>(candidate.ns));
      }
    }
  }
}

TEST(Plan, ranksThatShareCoresPayForRounds) {
  const auto call = makeCall(Collective::kAllReduce, 1 << 20);
  const auto roomy = plan(makeWorld(8, Reach::kMapped, 8), call, {});
  const auto crowded = plan(makeWorld(8, Reach::kMapped, 2), call, {});
  ASSERT_TRUE(roomy.isOk() && crowded.isOk());
  EXPECT_GT(crowded->predictedNs, roomy->predictedNs + 2 * ir::CostConstants{}.switchNs);
}

TEST(Plan, kernelCopiesAreTakenWhereTheyAreFaster) {
  const auto call = makeCall(Collective::kBroadcast, 64 << 20);
  ir::World world = makeWorld(4, Reach::kMapped, 2);
  world.costs.peerCopyMemoryBytesPerSecond = 1e12;
  EXPECT_TRUE(plan(world, call, {})->acceptsKernelCopy);
  world.costs.peerCopyMemoryBytesPerSecond = 1e6;
  EXPECT_FALSE(plan(world, call, {})->acceptsKernelCopy);
  world.costs.peerCopyMemoryBytesPerSecond = 1e12;
  world.canCopyPeer = false;
  EXPECT_FALSE(plan(world, call, {})->acceptsKernelCopy);
}

TEST(Plan, oneRankIsLocal) {
  const ir::World world = makeWorld(1, Reach::kAddress);
  EXPECT_EQ(chosen(world, makeCall(Collective::kAllReduce, 8)), "local");
  EXPECT_EQ(chosen(world, makeCall(Collective::kAllGatherV, 8)), "local");
}

TEST(Plan, variableCountsOfPairsAreSendsAndReceives) {
  const ir::World world = makeWorld(4, Reach::kMapped);
  for (const Collective collective :
       {Collective::kAllToAllV, Collective::kGatherV, Collective::kScatterV}) {
    EXPECT_EQ(algorithmsFor(collective), std::vector<std::string_view>{"send_recv"});
    EXPECT_EQ(chosen(world, makeCall(collective, 1024)), "send_recv");
  }
}

// ---- a forced choice --------------------------------------------------------------------------

TEST(ForcedPlan, isTaken) {
  const ir::World world = makeWorld(4, Reach::kMapped);
  for (int value = 0; value < ir::kCollectiveCount; ++value) {
    const auto collective = static_cast<Collective>(value);
    for (const std::string_view name : algorithmsFor(collective)) {
      const auto result = plan(world, makeCall(collective, 1024), {.algorithm = std::string(name)});
      ASSERT_TRUE(result.isOk()) << result.status().toString();
      EXPECT_EQ(result->algorithm, name);
    }
  }
}

TEST(ForcedPlan, unknownNamesAreRefusedWithTheKnownOnes) {
  const auto result = plan(makeWorld(4, Reach::kMapped), makeCall(Collective::kBroadcast, 1024),
                           {.algorithm = "ring"});
  ASSERT_FALSE(result.isOk());
  EXPECT_EQ(result.status().code(), base::Code::kInvalidArgument);
  const std::string text(result.status().text());
  EXPECT_NE(text.find("\"ring\""), std::string::npos) << text;
  for (const std::string_view name : algorithmsFor(Collective::kBroadcast)) {
    EXPECT_NE(text.find(name), std::string::npos) << text;
  }
}

TEST(ForcedPlan, unusableOnesAreRefusedWithTheReason) {
  const auto textOf = [](const ir::World& world, const ir::Call& call, std::string algorithm) {
    const auto result = plan(world, call, {.algorithm = std::move(algorithm)});
    EXPECT_FALSE(result.isOk());
    return std::string(result.status().text());
  };
  const auto gather = makeCall(Collective::kAllGather, 1 << 20);
  const std::string far = textOf(makeWorld(4, Reach::kMessage), gather, "direct");
  EXPECT_NE(far.find("share memory"), std::string::npos) << far;
  EXPECT_NE(far.find("here it can be exchange, ring"), std::string::npos) << far;
  const std::string large = textOf(makeWorld(4, Reach::kMapped), gather, "one_shot");
  EXPECT_NE(large.find("8192"), std::string::npos) << large;
  const std::string odd = textOf(makeWorld(6, Reach::kMapped), gather, "recursive_doubling");
  EXPECT_NE(odd.find("power of two"), std::string::npos) << odd;
}

TEST(ForcedPlan, chunksAreBroughtIntoRange) {
  const ir::World world = makeWorld(8, Reach::kMapped);
  const auto call = makeCall(Collective::kAllReduce, 1 << 20);
  const auto chunk = [&](const char* algorithm, uint64_t bytes) {
    return plan(world, call, {.algorithm = algorithm, .chunkBytes = bytes})->chunkBytes;
  };
  EXPECT_EQ(chunk("ring", 1000), 896u);
  EXPECT_EQ(chunk("ring", 1), 128u);
  EXPECT_EQ(chunk("ring", 1 << 30), ir::Limits::kFifoSlotBytes);
  EXPECT_EQ(chunk("halving_doubling", 1 << 30), ir::Limits::kFifoSlotBytes / 4);
}

TEST(Plan, badCallsAreRefused) {
  const ir::World world = makeWorld(4, Reach::kMapped);
  EXPECT_FALSE(plan({}, makeCall(Collective::kAllReduce, 8), {}).isOk());
  EXPECT_FALSE(plan(world, {.collective = Collective::kReduce, .count = 8, .root = 4}, {}).isOk());
  EXPECT_FALSE(plan(world, {.collective = Collective::kSend, .count = 8, .root = -1}, {}).isOk());
  EXPECT_FALSE(plan(world, {.type = static_cast<ir::DataType>(77), .count = 8}, {}).isOk());
  EXPECT_TRUE(plan(world, {.count = 0}, {}).isOk());
}

TEST(Plan, allToAllDirectIsTheOnlyOneThatIsNotSafeInPlace) {
  for (int value = 0; value < ir::kCollectiveCount; ++value) {
    const auto collective = static_cast<Collective>(value);
    for (const std::string_view name : algorithmsFor(collective)) {
      EXPECT_EQ(isInPlaceSafe(collective, name),
                !(collective == Collective::kAllToAll && name == "direct"));
    }
  }
}

}  // namespace
}  // namespace tutti::plan
