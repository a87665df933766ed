#include "src/ir/plan.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

namespace tutti::ir {
namespace {

Plan examplePlan() {
  Plan plan;
  plan.algorithm = "trees";
  plan.chunkBytes = 65536;
  plan.trees = {{.root = 0, .weight = 2, .parents = {-1, 0, 1}},
                {.root = 2, .weight = 1, .parents = {1, 2, -1}}};
  return plan;
}

TEST(Plan, textNamesWhatMatters) {
  Plan plan = examplePlan();
  plan.predictedNs = 12300;
  EXPECT_EQ(toString(plan), "all_reduce: trees (2) in 64 KiB chunks; 12.3 us");
  plan.algorithm = "ring";
  plan.trees.clear();
  EXPECT_EQ(toString(plan), "all_reduce: ring in 64 KiB chunks; 12.3 us");
}

// Whatever ranks must agree on changes the digest, and nothing else does.
TEST(Plan, digestTellsPlansApart) {
  const std::function<void(Plan&)> changes[] = {
      [](Plan&) {},
      [](Plan& plan) { plan.collective = Collective::kReduce; },
      [](Plan& plan) { plan.root = 1; },
      [](Plan& plan) { plan.algorithm = "forest"; },
      [](Plan& plan) { plan.fallbackAlgorithm = "ring"; },
      [](Plan& plan) { plan.chunkBytes += 128; },
      [](Plan& plan) { plan.fallbackChunkBytes = 128; },
      [](Plan& plan) { plan.usesBoard = true; },
      [](Plan& plan) { plan.acceptsKernelCopy = true; },
      [](Plan& plan) { plan.fitsSlots = false; },
      [](Plan& plan) { plan.isPaced = true; },
      [](Plan& plan) {
        plan.order = {0, 1, 2};
      },
      [](Plan& plan) {
        plan.order = {0, 2, 1};
      },
      [](Plan& plan) { plan.trees.pop_back(); },
      [](Plan& plan) { plan.trees[0].root = 1; },
      [](Plan& plan) { plan.trees[0].weight = 3; },
      [](Plan& plan) { plan.trees[1].parents[0] = 2; },
      [](Plan& plan) { std::swap(plan.trees[0], plan.trees[1]); },
      [](Plan& plan) {
        plan.trees[0].parents.push_back(0);
        plan.trees[1].parents.pop_back();
      },
  };
  std::set<uint64_t> digests;
  for (const auto& change : changes) {
    Plan plan = examplePlan();
    change(plan);
    EXPECT_TRUE(digests.insert(digest(plan)).second) << toString(plan);
    EXPECT_EQ(plan == examplePlan(), digests.size() == 1);
  }
  Plan plan = examplePlan();
  plan.predictedNs = 1;
  EXPECT_EQ(digest(plan), digest(examplePlan()));
}

// The same on every machine, in every release that can talk to this one.
TEST(Plan, digestIsKnown) { EXPECT_EQ(digest(examplePlan()), 7615704663518892279u); }

}  // namespace
}  // namespace tutti::ir
