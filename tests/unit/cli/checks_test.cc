// A check that finds nothing wrong must be able to.
#include "src/cli/demo_checks.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace tutti::cli {
namespace {

TEST(Pattern, KnowsItsOwnData) {
  const Pattern pattern(3);
  std::vector<float> values(10000);
  for (const size_t first : {size_t{0}, size_t{1}, size_t{4092}, size_t{70000}}) {
    pattern.fill(values.data(), 1, first, values.size());
    EXPECT_EQ(pattern.countWrong(values.data(), 1, first, values.size()), 0u);
    EXPECT_EQ(pattern.countWrong(values.data() + 5000, 1, first + 5000, 100), 0u);
  }
}

TEST(Pattern, NoticesOneElementAndMisplacedBlocks) {
  const Pattern pattern(2);
  std::vector<float> values(5000);
  pattern.fill(values.data(), 0, 0, values.size());
  values[4500] += 1;
  EXPECT_EQ(pattern.countWrong(values.data(), 0, 0, values.size()), 1u);
  EXPECT_GT(pattern.countWrong(values.data(), 1, 0, values.size()), 4000u) << "another rank's";
  EXPECT_GT(pattern.countWrong(values.data(), 0, 1, values.size()), 4000u) << "shifted by one";
  EXPECT_GT(pattern.countWrong(values.data(), 0, Checks::kCount, values.size()), 4000u)
      << "another block";
}

TEST(Pattern, SumsAreExact) {
  constexpr int kSize = 64;
  const Pattern pattern(kSize);
  std::vector<float> sum(5000);
  std::vector<float> one(sum.size());
  for (int rank = 0; rank < kSize; ++rank) {
    pattern.fill(one.data(), rank, 17, one.size());
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += one[i];
  }
  EXPECT_EQ(pattern.countWrong(sum.data(), kSumOfRanks, 17, sum.size()), 0u);
}

TEST(Checks, CoverEveryCollective) {
  const auto& names = checkNames();
  EXPECT_EQ(names.size(), 15u);
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
}

// With one rank everything is a copy: each check is right after its call, and wrong before.
TEST(Checks, FindSpoiledDataWrongAndResultsRight) {
  tuttiUniqueId id;
  tuttiComm_t comm = nullptr;
  ASSERT_EQ(tuttiGetUniqueId(&id), tuttiSuccess);
  ASSERT_EQ(tuttiCommInitRank(&comm, 1, id, 0), tuttiSuccess) << tuttiGetLastError(nullptr);
  {
    Checks checks(comm, 0, 1);
    for (const auto& check : checks.list()) {
      checks.spoil();
      EXPECT_GT(check.countWrong(), 0u) << check.name;
      ASSERT_EQ(check.run(), tuttiSuccess) << check.name << ": " << tuttiGetLastError(comm);
      EXPECT_EQ(check.countWrong(), 0u) << check.name;
    }
  }
  EXPECT_EQ(tuttiCommDestroy(comm), tuttiSuccess);
}

}  // namespace
}  // namespace tutti::cli
