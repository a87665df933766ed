// Long random sequences of calls, the same on every rank.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "tests/multi/exercise.h"

namespace tutti::test {
namespace {

Case randomCase(std::mt19937& random, int size) {
  const auto below = [&](int limit) {
    return static_cast<int>(random() % static_cast<uint32_t>(limit));
  };
  Case wanted;
  wanted.kind = static_cast<Kind>(below(kKinds));
  wanted.type = static_cast<tuttiDataType_t>(below(tuttiNumTypes));
  wanted.op = static_cast<tuttiRedOp_t>(below(kPreMulSum + 1));
  wanted.root = below(size);
  // As many small as large counts; blocks are shorter than vectors.
  const double largest = wanted.kind <= Kind::kBcast ? 17 : 14;
  const double exponent = std::ldexp(static_cast<double>(random()), -32) * largest;
  wanted.count = below(20) == 0 ? 0 : static_cast<size_t>(std::exp2(exponent));
  wanted.isInPlace = canBeInPlace(wanted.kind) && below(3) == 0;
  wanted.memory = static_cast<Memory>(below(3));
  wanted.misalignment = below(4) == 0 ? static_cast<size_t>(below(15)) : 0;
  wanted.seed = 1 + static_cast<uint32_t>(below(6));
  return wanted;
}

class Random : public testing::TestWithParam<Setting> {};

TEST_P(Random, SequenceOfCalls) {
  runRanks(GetParam(), [](RankContext& context) {
    std::mt19937 random(20240);
    for (int i = 0; i < (kIsSanitized ? 60 : 500); ++i) {
      exercise(context, randomCase(random, context.size()));
    }
  });
}

// Groups and streams of random calls; where one waits is random for each rank.
TEST_P(Random, SequenceOnStreamsAndInGroups) {
  runRanks(GetParam(), [](RankContext& context) {
    std::mt19937 random(4711);
    std::mt19937 own(static_cast<uint32_t>(context.rank()));
    tuttiStream_t stream = nullptr;
    TUTTI_REQUIRE(context, tuttiStreamCreate(context.comm(), &stream));
    std::vector<std::unique_ptr<Exercise>> underWay;
    const auto finish = [&] {
      TUTTI_REQUIRE(context, tuttiStreamSynchronize(context.comm(), stream));
      for (const auto& one : underWay) one->verify();
      underWay.clear();
    };
    for (int i = 0; i < (kIsSanitized ? 20 : 150); ++i) {
      const bool isGroup = random() % 4 == 0;
      const auto calls = isGroup ? 1 + random() % 4 : 1;
      if (isGroup) TUTTI_REQUIRE(context, tuttiGroupStart());
      for (uint32_t j = 0; j < calls; ++j) {
        underWay.push_back(std::make_unique<Exercise>(context, randomCase(random, context.size())));
        TUTTI_REQUIRE(context, underWay.back()->call(stream));
      }
      if (isGroup) TUTTI_REQUIRE(context, tuttiGroupEnd());
      if (own() % 3 == 0) finish();
    }
    finish();
    TUTTI_REQUIRE(context, tuttiStreamDestroy(context.comm(), stream));
  });
}

std::vector<Setting> settings() {
  if (kIsSanitized) return seen({{Launch::kThreads, 3}, {Launch::kProcesses, 3}});
  return {{Launch::kThreads, 3}, {Launch::kProcesses, 5}, {Launch::kMixed, 8}};
}

INSTANTIATE_TEST_SUITE_P(All, Random, testing::ValuesIn(settings()),
                         [](const auto& tested) { return name(tested.param); });

}  // namespace
}  // namespace tutti::test
