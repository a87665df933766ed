// Every type with every operator, against references in integers and fp64. Tolerances: values.cc.
#include <gtest/gtest.h>

#include <cstring>
#include <tuple>

#include "tests/multi/exercise.h"

namespace tutti::test {
namespace {

constexpr tuttiRedOp_t kOps[] = {tuttiSum, tuttiProd, tuttiMax, tuttiMin, tuttiAvg, kPreMulSum};
constexpr Kind kReductions[] = {Kind::kAllReduce, Kind::kReduce, Kind::kReduceScatter,
                                Kind::kReduceScatterV};

std::vector<tuttiDataType_t> allTypes() {
  std::vector<tuttiDataType_t> types;
  for (int i = 0; i < tuttiNumTypes; ++i) types.push_back(static_cast<tuttiDataType_t>(i));
  return types;
}

std::vector<Setting> settings() {
  if (kIsSanitized) return {{Launch::kThreads, 3}};
  return {{Launch::kThreads, 1},   {Launch::kThreads, 2},  {Launch::kThreads, 3},
          {Launch::kThreads, 8},   {Launch::kThreads, 16}, {Launch::kProcesses, 3},
          {Launch::kProcesses, 4}, {Launch::kMixed, 5}};
}

class Numeric : public testing::TestWithParam<std::tuple<tuttiDataType_t, Setting>> {
 protected:
  void runAll(Data data) {
    const auto type = std::get<0>(GetParam());
    runRanks(std::get<1>(GetParam()), [&](RankContext& context) {
      uint32_t seed = 1;
      for (const tuttiRedOp_t op : kOps) {
        // Random products leave the range of narrow types where many ranks contribute.
        if (op == tuttiProd && data == Data::kRandom && context.size() > 8) continue;
        for (const Kind kind : kReductions) {
          for (const size_t count : {size_t{1}, size_t{37}, size_t{1000}, size_t{33333}}) {
            if (kIsSanitized && count > 1000) continue;
            Case wanted;
            wanted.kind = kind;
            wanted.count = count;
            wanted.type = type;
            wanted.op = op;
            wanted.root = static_cast<int>(seed);
            wanted.data = data;
            wanted.seed = 10 + static_cast<uint32_t>(op);
            wanted.isInPlace = seed % 2 == 0;
            wanted.misalignment = seed % 3;
            wanted.memory = seed % 5 == 0 ? Memory::kShared : Memory::kPlain;
            ++seed;
            Exercise one(context, wanted);
            TUTTI_REQUIRE(context, one.call());
            one.verify();
            if (kind == Kind::kAllReduce) {
              context.requireSame(one.resultHash(), toString(wanted));
            }
          }
        }
      }
    });
  }
};

TEST_P(Numeric, ExactValuesGiveExactResults) { runAll(Data::kExact); }

TEST_P(Numeric, RandomValuesStayWithinTheBound) {
  if (!isFloat(std::get<0>(GetParam()))) return;  // integers are always exact
  runAll(Data::kRandom);
}

INSTANTIATE_TEST_SUITE_P(
    All, Numeric, testing::Combine(testing::ValuesIn(allTypes()), testing::ValuesIn(settings())),
    [](const auto& tested) {
      return name(std::get<0>(tested.param)) + "_" + name(std::get<1>(tested.param));
    });

// The references themselves.
TEST(Values, NarrowFormatsRoundTrip) {
  for (const auto type : {tuttiFloat16, tuttiBfloat16, tuttiFloat8e4m3, tuttiFloat8e5m2}) {
    const uint32_t all = 1u << (8 * sizeOf(type));
    for (uint32_t bits = 0; bits < all; ++bits) {
      std::byte element[4];
      std::memcpy(element, &bits, 4);
      const double value = decode(type, element);
      if (value != value || value - value != 0) continue;  // not a number, infinite
      std::byte again[4] = {};
      encode(type, value, again);
      ASSERT_EQ(std::memcmp(element, again, sizeOf(type)), 0) << name(type) << " bits " << bits;
    }
  }
}

TEST(Values, KnownNarrowValues) {
  const auto decoded = [](tuttiDataType_t type, uint32_t bits) {
    std::byte element[4];
    std::memcpy(element, &bits, 4);
    return decode(type, element);
  };
  EXPECT_EQ(decoded(tuttiFloat16, 0x7bff), 65504);
  EXPECT_EQ(decoded(tuttiFloat16, 0x0001), 0x1p-24);
  EXPECT_EQ(decoded(tuttiBfloat16, 0x3f80), 1);
  EXPECT_EQ(decoded(tuttiFloat8e4m3, 0x7e), 448);
  EXPECT_EQ(decoded(tuttiFloat8e4m3, 0x01), 0x1p-9);
  EXPECT_EQ(decoded(tuttiFloat8e5m2, 0x7b), 57344);
}

}  // namespace
}  // namespace tutti::test
