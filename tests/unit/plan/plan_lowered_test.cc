// What the planner chooses is right and within the limits, for real sizes.
#include <gtest/gtest.h>

#include "src/plan/plan.h"
#include "src/schedule/lower.h"
#include "src/schedule/validate.h"
#include "tests/unit/plan/worlds.h"

namespace tutti::plan {
namespace {

using ir::Collective;
using ir::Reach;

// The schedules of all ranks, of the plan or of its fallback.
base::Status validatePlan(const ir::Plan& plan, const ir::Call& call, int size, bool isFallback) {
  std::vector<ir::Schedule> schedules;
  for (ir::Rank rank = 0; rank < size; ++rank) {
    auto schedule =
        isFallback ? schedule::lowerFallback(plan, size, rank) : schedule::lower(plan, size, rank);
    if (!schedule.isOk()) return schedule.status();
    schedules.push_back(std::move(*schedule));
  }
  schedule::ValidateOptions options;
  options.interleavings = 1;
  if (call.collective == Collective::kAllGatherV ||
      call.collective == Collective::kReduceScatterV) {
    options.counts.assign(static_cast<size_t>(size), 0);
    uint64_t left = call.count;
    for (uint64_t& count : options.counts) left -= count = std::min(left, 1 + call.count / 3);
    options.counts.back() += left;
  }
  return schedule::validate(schedules, call, options);
}

void expectRight(const ir::World& world, const ir::Call& call, const Options& options) {
  const auto result = plan(world, call, options);
  ASSERT_TRUE(result.isOk()) << result.status().toString();
  const auto status = validatePlan(*result, call, world.size(), false);
  EXPECT_TRUE(status.isOk()) << ir::toString(call) << " among " << world.size() << ", "
                             << ir::toString(*result) << ": " << status.toString();
  if (result->fallbackAlgorithm.empty()) return;
  const auto fallback = validatePlan(*result, call, world.size(), true);
  EXPECT_TRUE(fallback.isOk()) << ir::toString(call) << " among " << world.size() << ", "
                               << ir::toString(*result) << ": " << fallback.toString();
}

class Lowered : public testing::TestWithParam<Collective> {};

TEST_P(Lowered, choicesAreRight) {
  for (const Reach reach : {Reach::kMessage, Reach::kMapped}) {
    for (const int size : {1, 2, 3, 8, 13}) {
      for (const uint64_t count : {0, 1, 100, 4000, 70001, 300000}) {
        expectRight(makeWorld(size, reach, 4),
                    {.collective = GetParam(), .count = count, .root = size - 1}, {});
      }
    }
  }
}

TEST_P(Lowered, forcedChoicesAreRight) {
  for (const std::string_view algorithm : algorithmsFor(GetParam())) {
    for (const int size : {2, 8, 13, 32}) {
      for (const uint64_t count : {60, 20000}) {
        const ir::World world = makeWorld(size, Reach::kMapped, 4);
        const ir::Call call{.collective = GetParam(), .count = count};
        const auto known = candidates(world, call);
        const auto at = std::find_if(known.begin(), known.end(), [&](const TemplatePrice& each) {
          return each.algorithm == algorithm;
        });
        if (at == known.end() || !at->isUsable) continue;
        expectRight(world, call, {.algorithm = std::string(algorithm)});
        expectRight(world, call, {.algorithm = std::string(algorithm), .chunkBytes = 1 << 20});
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Lowered,
                         testing::Values(Collective::kAllReduce, Collective::kReduce,
                                         Collective::kBroadcast, Collective::kAllGather,
                                         Collective::kReduceScatter, Collective::kAllToAll,
                                         Collective::kGather, Collective::kScatter,
                                         Collective::kAllGatherV, Collective::kReduceScatterV),
                         [](const auto& test) { return std::string(ir::name(test.param)); });

}  // namespace
}  // namespace tutti::plan
