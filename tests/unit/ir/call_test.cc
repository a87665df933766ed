#include "src/ir/call.h"

#include <gtest/gtest.h>

#include "src/ir/plan.h"

namespace tutti::ir {
namespace {

TEST(Call, signatureDiffersWhereCallsDoNotMatch) {
  const Call call{.collective = Collective::kReduce, .count = 7, .root = 2};
  Call other = call;
  EXPECT_EQ(signature(call), signature(other));
  other.count = 8;
  EXPECT_NE(signature(call), signature(other));
  other = call;
  other.root = 1;
  EXPECT_NE(signature(call), signature(other));
  other = call;
  other.op = RedOp::kMax;
  EXPECT_NE(signature(call), signature(other));
  other = call;
  other.type = DataType::kInt32;
  EXPECT_NE(signature(call), signature(other));
  other = call;
  other.collective = Collective::kBroadcast;
  EXPECT_NE(signature(call), signature(other));
}

TEST(Call, signatureLeavesOutWhatDoesNotMatter) {
  const Call gather{.collective = Collective::kAllGather, .op = RedOp::kSum, .count = 7, .root = 0};
  EXPECT_EQ(
      signature(gather),
      signature({.collective = Collective::kAllGather, .op = RedOp::kMax, .count = 7, .root = 3}));
  EXPECT_EQ(signature({.collective = Collective::kSend, .count = 7, .root = 1}),
            signature({.collective = Collective::kRecv, .count = 7, .root = 0}));
}

TEST(Call, planBytesIsTheLargerBuffer) {
  EXPECT_EQ(planBytes({.collective = Collective::kAllReduce, .count = 10}, 4), 40u);
  EXPECT_EQ(planBytes({.collective = Collective::kAllGather, .count = 10}, 4), 160u);
  EXPECT_EQ(planBytes({.collective = Collective::kAllGatherV, .count = 10}, 4), 40u);
  EXPECT_EQ(planBytes({.collective = Collective::kSend, .count = 10}, 4), 40u);
}

TEST(Call, textIsForPeople) {
  EXPECT_EQ(toString(Call{.collective = Collective::kAllReduce, .count = 1024}),
            "all_reduce of 1024 float, sum");
  EXPECT_EQ(
      toString(Call{
          .collective = Collective::kBroadcast, .type = DataType::kInt8, .count = 7, .root = 3}),
      "broadcast of 7 int8 from rank 3");
}

TEST(Plan, textIsForPeople) {
  Plan plan;
  plan.algorithm = "direct";
  plan.fallbackAlgorithm = "two_shot";
  plan.fallbackChunkBytes = 65536;
  plan.predictedNs = 12340;
  EXPECT_EQ(toString(plan),
            "all_reduce: direct over peer memory, else two_shot in 64 KiB chunks; 12.3 us");
  plan.fallbackAlgorithm.clear();
  plan.algorithm = "one_shot";
  plan.usesBoard = true;
  EXPECT_EQ(toString(plan), "all_reduce: one_shot on the board; 12.3 us");
}

}  // namespace
}  // namespace tutti::ir
