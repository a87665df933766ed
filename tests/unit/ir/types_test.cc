#include "src/ir/types.h"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

namespace tutti::ir {
namespace {

TEST(Types, namesAreUnique) {
  std::set<std::string_view> names;
  for (int value = 0; value < kDataTypeCount; ++value) {
    EXPECT_GT(sizeOf(static_cast<DataType>(value)), 0u);
    names.insert(name(static_cast<DataType>(value)));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(kDataTypeCount));
  names.clear();
  for (int value = 0; value < kRedOpCount; ++value) names.insert(name(static_cast<RedOp>(value)));
  EXPECT_EQ(names.size(), static_cast<size_t>(kRedOpCount));
  names.clear();
  for (int value = 0; value < kCollectiveCount; ++value) {
    names.insert(name(static_cast<Collective>(value)));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(kCollectiveCount));
}

TEST(Types, valuesOutOfRangeAreHarmless) {
  EXPECT_EQ(name(static_cast<DataType>(99)), "?");
  EXPECT_EQ(name(static_cast<Collective>(-1)), "?");
  EXPECT_EQ(sizeOf(static_cast<DataType>(99)), 0u);
}

}  // namespace
}  // namespace tutti::ir
