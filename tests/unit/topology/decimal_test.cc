#include "topology/decimal.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace tutti::topology {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

TEST(Decimal, IsTakenExactly) {
  EXPECT_EQ(scaleDecimal("0.0625", 6), (Scaled{62'500, true}));
  EXPECT_EQ(scaleDecimal("300", 6), (Scaled{300'000'000, true}));
  EXPECT_EQ(scaleDecimal("0.1", 1), (Scaled{1, true}));
  EXPECT_EQ(scaleDecimal("1.5e3", 0), (Scaled{1500, true}));
  EXPECT_EQ(scaleDecimal("25E-2", 2), (Scaled{25, true}));
  EXPECT_EQ(scaleDecimal(".5", 1), (Scaled{5, true}));
  EXPECT_EQ(scaleDecimal("7.", 0), (Scaled{7, true}));
  EXPECT_EQ(scaleDecimal("-0.25", 2), (Scaled{-25, true}));
  EXPECT_EQ(scaleDecimal("0.30000000", 1), (Scaled{3, true}));
  EXPECT_EQ(scaleDecimal("000012", 0), (Scaled{12, true}));
  EXPECT_EQ(scaleDecimal("5000", -3), (Scaled{5, true}));
}

TEST(Decimal, RoundsTowardZeroAndSaysSo) {
  EXPECT_EQ(scaleDecimal("0.0000019", 6), (Scaled{1, false}));
  EXPECT_EQ(scaleDecimal("-1.9", 0), (Scaled{-1, false}));
  EXPECT_EQ(scaleDecimal("1e-9", 6), (Scaled{0, false}));
  EXPECT_EQ(scaleDecimal("0e-9", 6), (Scaled{0, true}));
}

TEST(Decimal, StaysInRange) {
  EXPECT_EQ(scaleDecimal("9223372036854775807", 0), (Scaled{kMost, true}));
  EXPECT_EQ(scaleDecimal("9223372036854775808", 0), (Scaled{kMost, false}));
  EXPECT_EQ(scaleDecimal("1e400", 6), (Scaled{kMost, false}));
  EXPECT_EQ(scaleDecimal("-1e400", 6), (Scaled{-kMost, false}));
  EXPECT_EQ(scaleDecimal("1e99999999999999999999", 6), (Scaled{kMost, false}));
  EXPECT_EQ(scaleDecimal("1e-99999999999999999999", 6), (Scaled{0, false}));
  EXPECT_EQ(scaleDecimal("0e99999999999999999999", 6), (Scaled{0, true}));
  EXPECT_EQ(scaleDecimal(std::string(1'000'000, '0') + "3", 0), (Scaled{3, true}));
  EXPECT_EQ(scaleDecimal(std::string(1'000'000, '9'), 0), (Scaled{kMost, false}));
}

TEST(Decimal, RefusesWhatIsNone) {
  for (const char* text : {"", "-", ".", "e5", "1e", "1e+", "1x", "0x10", "1.2.3", "1,5", " 1",
                           "nan", "inf", "--1", "+1"}) {
    EXPECT_FALSE(scaleDecimal(text, 0).has_value()) << text;
  }
}

TEST(Decimal, TextIsTheInverse) {
  EXPECT_EQ(decimalText(957'000, 6), "0.957");
  EXPECT_EQ(decimalText(1, 6), "0.000001");
  EXPECT_EQ(decimalText(300'000'000, 6), "300");
  EXPECT_EQ(decimalText(0, 6), "0");
  EXPECT_EQ(decimalText(50, 0), "50");
  EXPECT_EQ(decimalText(-1500, 3), "-1.5");
  for (const int64_t value :
       {int64_t{1}, int64_t{10}, int64_t{62'500}, int64_t{123'456'789}, kMost}) {
    EXPECT_EQ(scaleDecimal(decimalText(value, 6), 6), (Scaled{value, true}));
  }
}

}  // namespace
}  // namespace tutti::topology
