#include "perf/common/element.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

namespace tutti::perf {
namespace {

const TypeInfo& named(const char* name) { return *findType(name); }

TEST(Element, TypesAreInOrderOfTheirCodes) {
  ASSERT_EQ(allTypes().size(), static_cast<size_t>(tuttiNumTypes));
  for (size_t i = 0; i < allTypes().size(); ++i) {
    EXPECT_EQ(allTypes()[i].type, static_cast<tuttiDataType_t>(i));
    EXPECT_EQ(&typeInfo(allTypes()[i].type), &allTypes()[i]);
  }
  EXPECT_EQ(findType("float16"), nullptr);
}

TEST(Element, OpsAreInOrder) {
  for (const OpInfo& op : allOps()) EXPECT_STREQ(opInfo(op.op).name, op.name);
  EXPECT_EQ(findOp("mulsum")->op, Op::kMulSum);
  EXPECT_EQ(findOp("xor"), nullptr);
}

TEST(Element, KnownEncodings) {
  EXPECT_EQ(encodeFloat(named("half"), 1.0), 0x3c00u);
  EXPECT_EQ(encodeFloat(named("half"), -2.5), 0xc100u);
  EXPECT_EQ(encodeFloat(named("half"), 65504), 0x7bffu);
  EXPECT_EQ(encodeFloat(named("half"), 1e6), 0x7c00u);  // infinity
  EXPECT_EQ(encodeFloat(named("half"), 0x1p-24), 0x0001u);
  EXPECT_EQ(encodeFloat(named("bfloat16"), 1.0), 0x3f80u);
  EXPECT_EQ(encodeFloat(named("bfloat16"), 1.0 + 0x1p-8), 0x3f80u);  // ties go to even
  EXPECT_EQ(encodeFloat(named("bfloat16"), 1.0 + 3 * 0x1p-8), 0x3f82u);
  EXPECT_EQ(encodeFloat(named("f8e4m3"), 1.0), 0x38u);
  EXPECT_EQ(encodeFloat(named("f8e4m3"), 448), 0x7eu);
  EXPECT_EQ(encodeFloat(named("f8e4m3"), 1000), 0x7eu);  // saturates
  EXPECT_EQ(encodeFloat(named("f8e4m3"), 0x1p-9), 0x01u);
  EXPECT_EQ(encodeFloat(named("f8e5m2"), 57344), 0x7bu);
  EXPECT_EQ(encodeFloat(named("f8e5m2"), -0.25), 0xb4u);
  EXPECT_EQ(encodeFloat(named("double"), 0.1), std::bit_cast<uint64_t>(0.1));
}

TEST(Element, FloatAgreesWithTheMachine) {
  const TypeInfo& type = named("float");
  for (double value = 1e-44; value < 1e38; value *= -1.2345678901) {
    const double magnitude = std::abs(value);
    if (magnitude > 3e38) break;
    const auto expected = std::bit_cast<uint32_t>(static_cast<float>(value));
    EXPECT_EQ(encodeFloat(type, value), expected) << value;
    EXPECT_EQ(decodeFloat(type, expected), static_cast<double>(static_cast<float>(value)));
  }
}

TEST(Element, EveryNarrowValueSurvives) {
  for (const char* name : {"half", "bfloat16", "f8e4m3", "f8e5m2"}) {
    const TypeInfo& type = named(name);
    for (int64_t key = -static_cast<int64_t>(type.maxBits);
         key <= static_cast<int64_t>(type.maxBits); ++key) {
      const uint64_t bits = keyToBits(type, key);
      EXPECT_EQ(encodeFloat(type, decodeFloat(type, bits)), bits) << name;
      EXPECT_EQ(orderedKey(type, bits), key);
    }
  }
}

}  // namespace
}  // namespace tutti::perf
