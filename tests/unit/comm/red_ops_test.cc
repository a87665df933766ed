// What a tuttiRedOp_t value means on a communicator.
#include "src/comm/red_ops.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <set>

#include "src/base/errors.h"

namespace tutti::comm {
namespace {

using base::Code;
using ir::DataType;
using ir::RedOp;

TEST(RedOps, BuiltinOperatorsAreThemselves) {
  const RedOps ops;
  for (const auto op : {RedOp::kSum, RedOp::kProd, RedOp::kMax, RedOp::kMin}) {
    const auto resolved = ops.resolve(static_cast<int32_t>(op), DataType::kFloat32, 4);
    ASSERT_TRUE(resolved.isOk());
    EXPECT_EQ(resolved->op, op);
    EXPECT_FALSE(resolved->factor.isSet);
  }
}

TEST(RedOps, AveragesOfFloatsAreFactors) {
  const RedOps ops;
  const auto average = ops.resolve(static_cast<int32_t>(RedOp::kAvg), DataType::kFloat32, 8);
  ASSERT_TRUE(average.isOk());
  EXPECT_TRUE(average->factor.isSet);
  EXPECT_EQ(std::bit_cast<float>(static_cast<uint32_t>(average->factor.bits)), 0.125F);
  const auto whole = ops.resolve(static_cast<int32_t>(RedOp::kAvg), DataType::kInt32, 8);
  ASSERT_TRUE(whole.isOk());
  EXPECT_FALSE(whole->factor.isSet) << "the sum is divided at the end";
}

TEST(RedOps, AverageFactorsAreInTheTypesOwnBits) {
  EXPECT_EQ(averageFactor(DataType::kFloat64, 4).bits, std::bit_cast<uint64_t>(0.25));
  EXPECT_EQ(averageFactor(DataType::kFloat16, 4).bits, 0x3400u);
  EXPECT_EQ(averageFactor(DataType::kBfloat16, 4).bits, 0x3e80u);
  EXPECT_EQ(averageFactor(DataType::kFloat8e4m3, 4).bits, 0x28u);
  EXPECT_EQ(averageFactor(DataType::kFloat8e5m2, 4).bits, 0x34u);
}

TEST(RedOps, AUsersOperatorCarriesItsScalar) {
  RedOps ops;
  const double scalar = 2.5;
  const auto handle = ops.create(&scalar, DataType::kFloat64);
  ASSERT_TRUE(handle.isOk());
  EXPECT_GE(*handle, ir::kRedOpCount) << "no built-in operator";
  const auto resolved = ops.resolve(*handle, DataType::kFloat64, 3);
  ASSERT_TRUE(resolved.isOk());
  EXPECT_EQ(resolved->op, RedOp::kPreMulSum);
  EXPECT_EQ(std::bit_cast<double>(resolved->factor.bits), 2.5);
}

TEST(RedOps, ReadsOneElementOfTheScalar) {
  RedOps ops;
  const uint8_t scalar[2] = {3, 0xff};
  const auto handle = ops.create(scalar, DataType::kUint8);
  EXPECT_EQ(ops.resolve(*handle, DataType::kUint8, 2)->factor.bits, 3u);
}

TEST(RedOps, RefusesAnotherType) {
  RedOps ops;
  const float scalar = 2;
  const auto handle = ops.create(&scalar, DataType::kFloat32);
  const auto resolved = ops.resolve(*handle, DataType::kInt32, 2);
  ASSERT_FALSE(resolved.isOk());
  EXPECT_EQ(resolved.status().code(), Code::kInvalidArgument);
  EXPECT_NE(resolved.status().text().find("float"), std::string::npos);
}

TEST(RedOps, RefusesWhatItDidNotMake) {
  RedOps ops;
  RedOps others;
  const float scalar = 2;
  const auto foreign = others.create(&scalar, DataType::kFloat32);
  ASSERT_TRUE(ops.create(&scalar, DataType::kFloat32).isOk());
  for (const int32_t handle : {*foreign, -1, 5, 17, 0x7fffffff}) {
    EXPECT_FALSE(ops.resolve(handle, DataType::kFloat32, 2).isOk()) << handle;
    EXPECT_EQ(ops.destroy(handle).code(), Code::kInvalidArgument) << handle;
  }
}

TEST(RedOps, DestroyedOperatorsAreGoneAndTheirPlacesAreUsedAgain) {
  RedOps ops;
  const float scalar = 2;
  const auto first = ops.create(&scalar, DataType::kFloat32);
  ASSERT_TRUE(ops.destroy(*first).isOk());
  EXPECT_FALSE(ops.resolve(*first, DataType::kFloat32, 2).isOk());
  EXPECT_FALSE(ops.destroy(*first).isOk());
  const auto second = ops.create(&scalar, DataType::kFloat32);
  EXPECT_TRUE(ops.resolve(*second, DataType::kFloat32, 2).isOk());
}

TEST(RedOps, HoldsManyButNotEndlesslyMany) {
  RedOps ops;
  const float scalar = 2;
  std::set<int32_t> handles;
  for (int i = 0; i < 4096; ++i) {
    const auto handle = ops.create(&scalar, DataType::kFloat32);
    ASSERT_TRUE(handle.isOk()) << i;
    EXPECT_TRUE(handles.insert(*handle).second);
  }
  EXPECT_EQ(ops.create(&scalar, DataType::kFloat32).status().code(), Code::kInvalidUsage);
}

}  // namespace
}  // namespace tutti::comm
