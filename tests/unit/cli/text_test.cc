#include "src/cli/text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "src/cli/demo_report.h"
#include "src/cli/memory_stream.h"

namespace tutti::cli {
namespace {

TEST(Text, Bytes) {
  EXPECT_EQ(formatBytes(0), "0 B");
  EXPECT_EQ(formatBytes(8), "8 B");
  EXPECT_EQ(formatBytes(1023), "1023 B");
  EXPECT_EQ(formatBytes(1024), "1 KiB");
  EXPECT_EQ(formatBytes(262148), "256 KiB");
  EXPECT_EQ(formatBytes(uint64_t{3} << 29), "1.5 GiB");
  EXPECT_EQ(formatBytes(uint64_t{64} << 20), "64 MiB");
}

TEST(Text, Times) {
  EXPECT_EQ(formatMicroseconds(0.4189), "0.42 us");
  EXPECT_EQ(formatMicroseconds(12.34), "12.3 us");
  EXPECT_EQ(formatMicroseconds(999.4), "999 us");
  EXPECT_EQ(formatMicroseconds(999.6), "1.00 ms");
  EXPECT_EQ(formatMicroseconds(14000), "14.0 ms");
  EXPECT_EQ(formatMicroseconds(2.1e6), "2.10 s");
}

TEST(Text, Rates) {
  EXPECT_EQ(formatRate(0), "0.00");
  EXPECT_EQ(formatRate(9.994), "9.99");
  EXPECT_EQ(formatRate(9.996), "10.0");
  EXPECT_EQ(formatRate(99.96), "100");
  EXPECT_EQ(formatRate(1234.5), "1234");
}

TEST(Text, ParsesSizes) {
  EXPECT_EQ(parseBytes("8"), 8u);
  EXPECT_EQ(parseBytes("64K"), 65536u);
  EXPECT_EQ(parseBytes("1mib"), 1048576u);
  EXPECT_EQ(parseBytes("2GB"), uint64_t{2} << 30);
  EXPECT_EQ(parseBytes("7B"), 7u);
  for (const char* text :
       {"", "K", "-1", "1.5M", "8 K", "8KK", "8Kx", "1e6", "99999999999999999999", "99999999T"}) {
    EXPECT_FALSE(parseBytes(text).has_value()) << text;
  }
}

TEST(Text, Counts) {
  EXPECT_EQ(countOf(1, "rank"), "1 rank");
  EXPECT_EQ(countOf(2, "rank"), "2 ranks");
}

TEST(Rates, FollowTheirDefinitions) {
  EXPECT_DOUBLE_EQ(algorithmRate(1000000, 1000), 1.0);
  EXPECT_DOUBLE_EQ(busRate(1000000, 1000, 2), 1.0);
  EXPECT_DOUBLE_EQ(busRate(1000000, 1000, 4), 1.5);
  EXPECT_DOUBLE_EQ(algorithmRate(8, 0), 0);
}

// 4 ranks read 4 inputs and write 4 outputs of 1 MB: 8 MB at 8 GB/s.
TEST(Rates, TheBoundCountsEveryInputAndOutputOnce) {
  EXPECT_DOUBLE_EQ(memoryBound(1000000, 4, 8e9), 1000);
  EXPECT_DOUBLE_EQ(memoryBound(1000000, 4, 0), 0) << "not known";
}

TEST(MemoryStream, AddsHalves) {
  constexpr size_t kCount = 320;
  alignas(64) float from[kCount];
  alignas(64) float to[kCount + 1];
  for (size_t i = 0; i < kCount; ++i) from[i] = static_cast<float>(i);
  std::fill(std::begin(to), std::end(to), -1.0F);
  streamHalves(to, from, kCount);
  for (size_t i = 0; i < kCount; ++i) EXPECT_EQ(to[i], from[i % 160] + from[i % 160 + 160]) << i;
  EXPECT_EQ(to[kCount], -1);
}

}  // namespace
}  // namespace tutti::cli
