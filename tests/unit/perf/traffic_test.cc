#include "perf/common/traffic.h"

#include <gtest/gtest.h>

#include "perf/common/failure.h"

namespace tutti::perf {
namespace {

TEST(Traffic, UniformGivesEveryPeerTheSame) {
  const Traffic traffic = Traffic::distanceWeighted(0);
  for (int to = 0; to < 4; ++to) EXPECT_EQ(traffic.bytes(1, to, 4, 4096), 1024u);
}

TEST(Traffic, DistanceDecides) {
  const Traffic traffic = Traffic::distanceWeighted(1);
  EXPECT_EQ(traffic.bytes(0, 0, 4, 9600), 0u);
  EXPECT_EQ(traffic.bytes(0, 1, 4, 9600), 1600u);
  EXPECT_EQ(traffic.bytes(0, 3, 4, 9600), 4800u);
  EXPECT_EQ(traffic.bytes(3, 0, 4, 9600), 1600u);
  EXPECT_EQ(traffic.largestSent(4, 9600), 9600u);
  EXPECT_EQ(traffic.largestReceived(4, 9600), 9600u);
}

TEST(Traffic, OneRankSendsToItself) {
  EXPECT_EQ(Traffic::distanceWeighted(1).bytes(0, 0, 1, 1000), 992u);
}

TEST(Traffic, MatrixIsAlignedAndScaled) {
  const Traffic traffic = Traffic::fromMatrix("100 200\n\n 50 17\n", 2);
  EXPECT_EQ(traffic.dimension(), 2);
  EXPECT_EQ(traffic.bytes(0, 0, 2, 0), 192u);
  EXPECT_EQ(traffic.bytes(1, 1, 2, 0), 32u);
  EXPECT_EQ(traffic.largestSent(2, 0), 192u + 400u);
  EXPECT_EQ(traffic.largestReceived(2, 0), 400u + 32u);
}

TEST(Traffic, RefusesWhatIsNoMatrix) {
  for (const char* text : {"", "1 2", "1 2\n3", "1 x\n3 4", "1 -2\n3 4", "1 2 3\n4 5 6"}) {
    EXPECT_THROW(Traffic::fromMatrix(text, 1), Failure) << text;
  }
}

}  // namespace
}  // namespace tutti::perf
