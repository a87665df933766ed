// TUTTI_ALGO: every algorithm of every collective, forced, where the size and count allow it.
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "tests/multi/exercise.h"

namespace tutti::test {
namespace {

struct Forced {
  Kind kind;
  const char* algorithm;
};

std::vector<Forced> allForced() {
  return {{Kind::kAllReduce, "one_shot"},
          {Kind::kAllReduce, "direct"},
          {Kind::kAllReduce, "two_shot"},
          {Kind::kAllReduce, "recursive_doubling"},
          {Kind::kAllReduce, "halving_doubling"},
          {Kind::kAllReduce, "ring"},
          {Kind::kAllReduce, "double_tree"},
          {Kind::kReduce, "one_shot"},
          {Kind::kReduce, "direct"},
          {Kind::kReduce, "two_shot"},
          {Kind::kReduce, "tree"},
          {Kind::kReduce, "double_tree"},
          {Kind::kReduce, "chain"},
          {Kind::kBroadcast, "one_shot"},
          {Kind::kBroadcast, "direct"},
          {Kind::kBroadcast, "chain"},
          {Kind::kBroadcast, "tree"},
          {Kind::kBroadcast, "double_tree"},
          {Kind::kBroadcast, "scatter_all_gather"},
          {Kind::kAllGather, "one_shot"},
          {Kind::kAllGather, "direct"},
          {Kind::kAllGather, "exchange"},
          {Kind::kAllGather, "ring"},
          {Kind::kAllGather, "bruck"},
          {Kind::kAllGather, "recursive_doubling"},
          {Kind::kReduceScatter, "one_shot"},
          {Kind::kReduceScatter, "direct"},
          {Kind::kReduceScatter, "exchange"},
          {Kind::kReduceScatter, "ring"},
          {Kind::kReduceScatter, "halving"},
          {Kind::kAllToAll, "one_shot"},
          {Kind::kAllToAll, "direct"},
          {Kind::kAllToAll, "exchange"},
          {Kind::kAllToAll, "bruck"},
          {Kind::kGather, "one_shot"},
          {Kind::kGather, "direct"},
          {Kind::kGather, "exchange"},
          {Kind::kGather, "binomial"},
          {Kind::kScatter, "one_shot"},
          {Kind::kScatter, "direct"},
          {Kind::kScatter, "exchange"},
          {Kind::kScatter, "binomial"},
          {Kind::kAllGatherV, "direct"},
          {Kind::kAllGatherV, "exchange"},
          {Kind::kAllGatherV, "ring"},
          {Kind::kReduceScatterV, "exchange"}};
}

bool isPowerOfTwo(int size) { return (size & (size - 1)) == 0; }

class Algorithms : public testing::TestWithParam<std::tuple<Forced, Setting>> {};

// What does not fit (a power of two, a post's size) must be refused alike on all ranks, with a text
// that says why; everything else must work.
TEST_P(Algorithms, Forced) {
  const auto [forced, setting] = GetParam();
  const std::string algorithm = forced.algorithm;
  if (algorithm == "recursive_doubling" && forced.kind == Kind::kAllGather &&
      !isPowerOfTwo(setting.size)) {
    return;
  }
  RunOptions options;
  options.setting = setting;
  options.environment = {{"TUTTI_ALGO", algorithm}};
  const Kind kind = forced.kind;
  runRanks(options, [&](RankContext& context) {
    uint32_t seed = 1;
    for (const size_t count :
         {size_t{1}, size_t{3}, size_t{50}, size_t{1000}, size_t{20001}, size_t{200003}}) {
      if (count > (kIsThreadSanitized ? 1000 : kIsSanitized ? 20001 : 200003)) continue;
      for (const Memory memory : {Memory::kPlain, Memory::kShared, Memory::kMixed}) {
        Case wanted;
        wanted.kind = kind;
        wanted.count = count;
        wanted.memory = memory;
        wanted.root = static_cast<int>(seed);
        wanted.seed = seed;
        wanted.op = seed % 4 == 0 ? kPreMulSum : tuttiSum;
        wanted.isInPlace = seed % 3 == 0;
        ++seed;
        Exercise one(context, wanted);
        const tuttiResult_t result = one.call();
        if (result == tuttiInvalidArgument && algorithm == "one_shot") {
          // More than a post holds.
          TUTTI_CHECK(context, count >= 50);
          context.requireSame(1, "refused");
          continue;
        }
        TUTTI_REQUIRE(context, result);
        one.verify();
        context.requireSame(0, "refused");
      }
    }
  });
}

std::vector<Setting> settings() {
  if (kIsSanitized) return seen({{Launch::kThreads, 3}, {Launch::kProcesses, 4}});
  return {{Launch::kThreads, 5}, {Launch::kProcesses, 4}, {Launch::kMixed, 7}};
}

INSTANTIATE_TEST_SUITE_P(All, Algorithms,
                         testing::Combine(testing::ValuesIn(allForced()),
                                          testing::ValuesIn(settings())),
                         [](const auto& tested) {
                           const auto& forced = std::get<0>(tested.param);
                           return name(forced.kind) + "_" + forced.algorithm + "_" +
                                  name(std::get<1>(tested.param));
                         });

// An algorithm of one collective does not stand in the way of the others ("where it applies").
TEST(ForcedAlgorithm, LeavesOtherCollectivesAlone) {
  RunOptions options;
  options.setting = {Launch::kThreads, 3};
  options.environment = {{"TUTTI_ALGO", "double_tree"}};
  runRanks(options, [](RankContext& context) {
    for (const Kind kind : allKinds()) exercise(context, {.kind = kind, .count = 3000});
  });
}

// A name that no collective knows applies nowhere.
TEST(ForcedAlgorithm, UnknownNameChangesNothing) {
  RunOptions options;
  options.setting = {Launch::kThreads, 2};
  options.environment = {{"TUTTI_ALGO", "quantum"}};
  runRanks(options, [](RankContext& context) {
    exercise(context, {.kind = Kind::kAllReduce, .count = 3000});
  });
}

}  // namespace
}  // namespace tutti::test
