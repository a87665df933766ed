#include "perf/common/text.h"

#include <gtest/gtest.h>

#include <cstdio>

namespace tutti::perf {
namespace {

TEST(ParseSize, ReadsUnitsInEitherCase) {
  EXPECT_EQ(parseSize("0"), 0u);
  EXPECT_EQ(parseSize("8"), 8u);
  EXPECT_EQ(parseSize("1k"), 1024u);
  EXPECT_EQ(parseSize("32M"), size_t{32} << 20);
  EXPECT_EQ(parseSize("4G"), size_t{4} << 30);
  EXPECT_EQ(parseSize("2t"), size_t{2} << 40);
  EXPECT_EQ(parseSize("1.5K"), 1536u);
  EXPECT_EQ(parseSize(".5K"), 512u);
}

TEST(RanksOf, NamesOneOrARow) {
  EXPECT_EQ(ranksOf(3, 1), "rank 3");
  EXPECT_EQ(ranksOf(1, 4), "ranks 4 to 7");
}

TEST(ParseSize, RefusesTheRest) {
  for (const char* text : {"", "K", "-1", "+1", "8X", "8KB", "8 K", "1e99", "nan", "inf", " 8"}) {
    EXPECT_FALSE(parseSize(text)) << text;
  }
}

TEST(ParseInteger, ReadsBases) {
  EXPECT_EQ(parseInteger("-1"), -1);
  EXPECT_EQ(parseInteger("42"), 42);
  EXPECT_EQ(parseInteger("0x1f"), 31);
  EXPECT_EQ(parseInteger("0b101"), 5);
  EXPECT_EQ(parseInteger("-0x10"), -16);
  for (const char* text : {"", "-", "all", "1x", "0b2", "99999999999999999999", "--1"}) {
    EXPECT_FALSE(parseInteger(text)) << text;
  }
}

// The rule nccl-tests uses, with printf: what its parsers have seen for years.
std::string reference(double value, int width) {
  int power = 0;
  for (unsigned long long one = 1; value >= static_cast<double>(one) && power < 19; one *= 10) {
    ++power;
  }
  char text[64];
  if (power < width - 2)
    std::snprintf(text, sizeof(text), "%*.2f", width, value);
  else if (power < width - 1)
    std::snprintf(text, sizeof(text), "%*.1f", width, value);
  else if (power < width + 1)
    std::snprintf(text, sizeof(text), "%*.0f", width, value);
  else if (width >= 7)
    std::snprintf(text, sizeof(text), "%*.1e", width, value);
  else
    std::snprintf(text, sizeof(text), "%*.0e", width, value);
  return text;
}

TEST(FormatNumber, FollowsNcclTests) {
  EXPECT_EQ(formatNumber(0, 7), "   0.00");
  EXPECT_EQ(formatNumber(123.4, 7), " 123.40");
  EXPECT_EQ(formatNumber(12345.6, 7), "12345.6");
  EXPECT_EQ(formatNumber(123456.7, 7), " 123457");
  EXPECT_EQ(formatNumber(1234567, 7), "1234567");
  EXPECT_EQ(formatNumber(123456789, 7), "1.2e+08");
  EXPECT_EQ(formatNumber(271.92, 6), "271.92");
  EXPECT_EQ(formatNumber(1234.56, 6), "1234.6");
  EXPECT_EQ(formatNumber(12345678, 6), " 1e+07");
  for (double value = 0.001; value < 1e12; value *= 1.37) {
    EXPECT_EQ(formatNumber(value, 7), reference(value, 7)) << value;
    EXPECT_EQ(formatNumber(value, 6), reference(value, 6)) << value;
  }
  for (const double edge : {1.0, 9.999, 10.0, 9999.0, 9999.99, 10000.0, 99999.96, 100000.0}) {
    EXPECT_EQ(formatNumber(edge, 7), reference(edge, 7)) << edge;
    EXPECT_EQ(formatNumber(edge, 6), reference(edge, 6)) << edge;
  }
}

TEST(FormatBytes, KeepsThreeDigits) {
  EXPECT_EQ(formatBytes(512), "512 B");
  EXPECT_EQ(formatBytes(1536), "1.50 KB");
  EXPECT_EQ(formatBytes(24.0 * 1024 * 1024), "24.0 MB");
  EXPECT_EQ(formatBytes(513.0 * 1024 * 1024 * 1024), "513 GB");
}

TEST(SplitText, KeepsEmptyParts) {
  EXPECT_TRUE(splitText("", ',').empty());
  EXPECT_EQ(splitText("host", ','), (std::vector<std::string>{"host"}));
  EXPECT_EQ(splitText("host,opencl:0", ','), (std::vector<std::string>{"host", "opencl:0"}));
  EXPECT_EQ(splitText("a,,b,", ','), (std::vector<std::string>{"a", "", "b", ""}));
}

}  // namespace
}  // namespace tutti::perf
