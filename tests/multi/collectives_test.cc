// Every collective at every setting: counts, roots, in place and out of place, memory, alignment.
#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

#include "tests/multi/exercise.h"

namespace tutti::test {
namespace {

std::vector<size_t> allCounts() {
  if (kIsSanitized) return {0, 1, 1000, 65536 + 1};
  return {0, 1, 2, 3, 7, 31, 64, 100, 1000, 1023, 4096, 10007, 65536 + 1, 1 << 20};
}

// Bytes of the largest buffer, over all ranks.
size_t bytesOfAll(Kind kind, size_t count, int size, tuttiDataType_t type) {
  const auto ranks = static_cast<size_t>(size);
  const bool isOneVector = kind <= Kind::kBcast || kind == Kind::kSendRecv;
  return count * sizeOf(type) * ranks * (isOneVector ? 1 : ranks);
}

class Collectives : public testing::TestWithParam<std::tuple<Kind, Setting>> {
 protected:
  Kind kind() const { return std::get<0>(GetParam()); }
  const Setting& setting() const { return std::get<1>(GetParam()); }

  // A case of `count` elements; large ones use a type that keeps memory within bounds.
  Case make(size_t count, uint32_t seed) const {
    constexpr size_t kMaxBytes = size_t{96} << 20;
    Case wanted;
    wanted.kind = kind();
    wanted.count = count;
    wanted.root = static_cast<int>(seed);
    wanted.seed = seed;
    if (bytesOfAll(kind(), count, setting().size, wanted.type) > kMaxBytes) {
      wanted.type = tuttiInt8;
    }
    return wanted;
  }
};

TEST_P(Collectives, AnyCount) {
  runRanks(setting(), [&](RankContext& context) {
    uint32_t seed = 1;
    for (const size_t count : allCounts()) {
      exercise(context, make(count, seed++));
      if (!canBeInPlace(kind())) continue;
      Case wanted = make(count, seed++);
      wanted.isInPlace = true;
      exercise(context, wanted);
    }
  });
}

TEST_P(Collectives, AnyMemoryAndAlignment) {
  runRanks(setting(), [&](RankContext& context) {
    uint32_t seed = 100;
    for (const size_t count : {size_t{5}, size_t{1000}, size_t{40000}, size_t{300001}}) {
      if (kIsSanitized && count > 100000) continue;
      for (const Memory memory : {Memory::kShared, Memory::kMixed, Memory::kPlain}) {
        for (const size_t misalignment : {size_t{0}, size_t{1}}) {
          Case wanted = make(count, seed++);
          wanted.memory = memory;
          wanted.misalignment = misalignment;
          wanted.isInPlace = canBeInPlace(kind()) && seed % 3 == 0;
          exercise(context, wanted);
        }
      }
    }
  });
}

TEST_P(Collectives, AnyRoot) {
  if (!hasRoot(kind())) return;
  runRanks(setting(), [&](RankContext& context) {
    for (const size_t count : {size_t{3}, size_t{20000}}) {
      for (int root = 0; root < context.size(); ++root) {
        Case wanted = make(count, 200 + static_cast<uint32_t>(root));
        wanted.root = root;
        exercise(context, wanted);
      }
    }
  });
}

TEST_P(Collectives, EveryRankHasTheSameBits) {
  const bool isEverywhere = kind() <= Kind::kAllGather && kind() != Kind::kReduce;
  if (!isEverywhere) return;
  runRanks(setting(), [&](RankContext& context) {
    for (const size_t count : {size_t{17}, size_t{3000}, size_t{100003}}) {
      Case wanted = make(count, 300);
      wanted.data = Data::kRandom;
      Exercise one(context, wanted);
      TUTTI_REQUIRE(context, one.call());
      one.verify();
      context.requireSame(one.resultHash(), toString(wanted));
    }
  });
}

INSTANTIATE_TEST_SUITE_P(All, Collectives,
                         testing::Combine(testing::ValuesIn(allKinds()),
                                          testing::ValuesIn(allSettings())),
                         [](const auto& tested) {
                           return name(std::get<0>(tested.param)) + "_" +
                                  name(std::get<1>(tested.param));
                         });

}  // namespace
}  // namespace tutti::test
