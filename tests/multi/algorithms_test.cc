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
          {Kind::kAllReduce, "trees"},
          {Kind::kReduce, "one_shot"},
          {Kind::kReduce, "direct"},
          {Kind::kReduce, "two_shot"},
          {Kind::kReduce, "tree"},
          {Kind::kReduce, "double_tree"},
          {Kind::kReduce, "chain"},
          {Kind::kReduce, "trees"},
          {Kind::kBroadcast, "one_shot"},
          {Kind::kBroadcast, "direct"},
          {Kind::kBroadcast, "chain"},
          {Kind::kBroadcast, "tree"},
          {Kind::kBroadcast, "double_tree"},
          {Kind::kBroadcast, "scatter_all_gather"},
          {Kind::kBroadcast, "trees"},
          {Kind::kAllGather, "one_shot"},
          {Kind::kAllGather, "direct"},
          {Kind::kAllGather, "exchange"},
          {Kind::kAllGather, "ring"},
          {Kind::kAllGather, "bruck"},
          {Kind::kAllGather, "recursive_doubling"},
          {Kind::kAllGather, "pat"},
          {Kind::kAllGather, "forest"},
          {Kind::kReduceScatter, "one_shot"},
          {Kind::kReduceScatter, "direct"},
          {Kind::kReduceScatter, "exchange"},
          {Kind::kReduceScatter, "ring"},
          {Kind::kReduceScatter, "halving"},
          {Kind::kReduceScatter, "pat"},
          {Kind::kReduceScatter, "forest"},
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
          {Kind::kAllGatherV, "pat"},
          {Kind::kAllGatherV, "forest"},
          {Kind::kReduceScatterV, "exchange"},
          {Kind::kReduceScatterV, "pat"},
          {Kind::kReduceScatterV, "forest"}};
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

// Trees and forests among more sizes, and for every type.
class Trees : public testing::TestWithParam<Setting> {};

TEST_P(Trees, EveryTypeAndOddCounts) {
  for (const char* algorithm : {"trees", "forest"}) {
    RunOptions options;
    options.setting = GetParam();
    options.environment = {{"TUTTI_ALGO", algorithm}, {"TUTTI_CHUNK", "4096"}};
    runRanks(options, [](RankContext& context) {
      uint32_t seed = 1;
      for (const Kind kind : {Kind::kAllReduce, Kind::kReduce, Kind::kBroadcast, Kind::kAllGather,
                              Kind::kReduceScatter, Kind::kAllGatherV, Kind::kReduceScatterV}) {
        for (int type = 0; type < tuttiNumTypes; ++type) {
          for (const size_t count : {size_t{1}, size_t{37}, size_t{3333}, size_t{40001}}) {
            if (kIsSanitized && count > 3333) continue;
            Case wanted{.kind = kind, .count = count, .type = static_cast<tuttiDataType_t>(type)};
            wanted.root = static_cast<int>(seed);
            wanted.isInPlace = seed % 2 == 0;
            wanted.op = seed % 3 == 0 ? tuttiAvg : tuttiSum;
            wanted.seed = ++seed;
            Exercise one(context, wanted);
            TUTTI_REQUIRE(context, one.call());
            one.verify();
            if (kind == Kind::kAllReduce) context.requireSame(one.resultHash(), toString(wanted));
          }
        }
      }
    });
  }
}

std::vector<Setting> treeSettings() {
  if (kIsThreadSanitized) return {{Launch::kThreads, 3}};
  if (kIsSanitized) return {{Launch::kThreads, 3}, {Launch::kProcesses, 2}};
  return {{Launch::kThreads, 2},   {Launch::kThreads, 3},   {Launch::kThreads, 8},
          {Launch::kProcesses, 2}, {Launch::kProcesses, 3}, {Launch::kProcesses, 5},
          {Launch::kProcesses, 8}, {Launch::kMixed, 5}};
}

INSTANTIATE_TEST_SUITE_P(All, Trees, testing::ValuesIn(treeSettings()),
                         [](const auto& tested) { return name(tested.param); });

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
