#include "perf/common/machine.h"

#include <gtest/gtest.h>

namespace tutti::perf {
namespace {

TEST(Machine, ColorsFollowNcclTestsRules) {
  EXPECT_EQ(colorOf("AND 0x3", 6), 2);
  EXPECT_EQ(colorOf("&3", 6), 2);
  EXPECT_EQ(colorOf("OR 1", 6), 7);
  EXPECT_EQ(colorOf("|1", 6), 7);
  EXPECT_EQ(colorOf("MOD 4", 6), 2);
  EXPECT_EQ(colorOf("%4", 6), 2);
  EXPECT_EQ(colorOf("DIV 4", 6), 1);
  EXPECT_EQ(colorOf("/4", 6), 1);
  for (const char* rule : {"", "XOR 1", "MOD", "MOD 0", "/0", "AND x", "%-1"}) {
    EXPECT_FALSE(colorOf(rule, 6)) << rule;
  }
}

TEST(Machine, TellsMemory) {
  EXPECT_GT(usedBytes(), 0u);
  EXPECT_GT(availableBytes(), 0u);
  EXPECT_FALSE(hostName().empty());
}

}  // namespace
}  // namespace tutti::perf
