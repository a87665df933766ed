#include "src/plan/rational.h"

#include <gtest/gtest.h>

#include <limits>

namespace tutti::plan {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

TEST(Rational, isInLowestTerms) {
  EXPECT_EQ(makeRational(6, 4), (Rational{3, 2}));
  EXPECT_EQ(makeRational(0, 9), (Rational{0, 1}));
  EXPECT_EQ(makeRational(Int128{kMost} * 12, Int128{kMost} * 8), (Rational{3, 2}));
}

TEST(Rational, comparesExactly) {
  EXPECT_LT((Rational{kMost - 1, kMost}), (Rational{kMost, kMost - 1}));
  EXPECT_LT((Rational{kMost - 2, kMost - 1}), (Rational{kMost - 1, kMost}));
  EXPECT_EQ((Rational{1, 3} <=> Rational{1, 3}), std::strong_ordering::equal);
  EXPECT_LT((Rational{kMost, 1}), Rational::unlimited());
  EXPECT_EQ(Rational::unlimited() <=> Rational::unlimited(), std::strong_ordering::equal);
}

TEST(Rational, roundsUpWhatDoesNotFit) {
  // 2^100 + 1 over 2^70: a little above 2^30.
  const Rational value = makeRational((Int128{1} << 100) + 1, Int128{1} << 70);
  EXPECT_GT(value, (Rational{int64_t{1} << 30, 1}));
  EXPECT_LT(value, (Rational{(int64_t{1} << 30) + 1, 1}));
  // The denominator alone does not fit.
  const Rational small = makeRational(1, Int128{1} << 80);
  EXPECT_GT(small.num, 0);
  EXPECT_LT(small, (Rational{1, int64_t{1} << 60}));
}

TEST(Rational, isWrittenAsPeopleDo) {
  EXPECT_EQ(toString({520, 3}), "520/3");
  EXPECT_EQ(toString({25, 1}), "25");
  EXPECT_EQ(toString(Rational::unlimited()), "unlimited");
}

}  // namespace
}  // namespace tutti::plan
