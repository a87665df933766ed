#include "src/comm/plan_cache.h"

#include <gtest/gtest.h>

#include <vector>

namespace tutti::comm {
namespace {

using ir::Call;
using ir::Collective;
using ir::DataType;
using ir::RedOp;

PlanCache::Entry entryFor(const Call& call) {
  auto programs = std::make_shared<executor::Programs>();
  programs->main.call = call;
  return programs;
}

Call callOf(uint64_t count) {
  return {Collective::kAllReduce, DataType::kFloat32, RedOp::kSum, count, 0};
}

TEST(PlanCache, FindsWhatWasInserted) {
  PlanCache cache;
  EXPECT_EQ(cache.find(callOf(7)), nullptr);
  const auto entry = entryFor(callOf(7));
  cache.insert(callOf(7), entry);
  EXPECT_EQ(cache.find(callOf(7)), entry);
  EXPECT_EQ(cache.find(callOf(8)), nullptr);
}

// Every part of a call matters.
TEST(PlanCache, TellsCallsApart) {
  PlanCache cache;
  const Call call{Collective::kReduce, DataType::kFloat32, RedOp::kSum, 100, 1};
  cache.insert(call, entryFor(call));
  Call other = call;
  other.collective = Collective::kAllReduce;
  EXPECT_EQ(cache.find(other), nullptr);
  other = call;
  other.type = DataType::kInt32;
  EXPECT_EQ(cache.find(other), nullptr);
  other = call;
  other.op = RedOp::kMax;
  EXPECT_EQ(cache.find(other), nullptr);
  other = call;
  other.root = 0;
  EXPECT_EQ(cache.find(other), nullptr);
  EXPECT_NE(cache.find(call), nullptr);
}

// A program that takes turns between collectives of one size plans each of them once.
TEST(PlanCache, KeepsCallsOfOneCount) {
  PlanCache cache;
  std::vector<Call> calls;
  for (int collective = 0; collective < ir::kCollectiveCount; ++collective) {
    for (const auto type : {DataType::kFloat32, DataType::kBfloat16}) {
      calls.push_back({static_cast<Collective>(collective), type, RedOp::kSum, 1 << 20, 0});
    }
  }
  for (const Call& call : calls) cache.insert(call, entryFor(call));
  size_t kept = 0;
  for (const Call& call : calls) kept += cache.find(call) != nullptr ? 1 : 0;
  EXPECT_GE(kept, calls.size() - 5) << "of " << calls.size();
}

// The shortcut for the last call must not outlive the entry it points to.
TEST(PlanCache, ForgetsWhatWasPushedOut) {
  PlanCache cache;
  for (uint64_t count = 0; count < 2000; ++count) {
    const auto entry = entryFor(callOf(count));
    cache.insert(callOf(count), entry);
    ASSERT_EQ(cache.find(callOf(count)), entry);
    for (uint64_t before = count > 10 ? count - 10 : 0; before < count; ++before) {
      const auto& found = cache.find(callOf(before));
      ASSERT_TRUE(found == nullptr || found->main.call == callOf(before));
    }
  }
}

TEST(PlanCache, IsBounded) {
  PlanCache cache;
  for (uint64_t count = 0; count < 5000; ++count) {
    cache.insert(callOf(count), entryFor(callOf(count)));
  }
  size_t entries = 0;
  cache.forEach([&](const executor::Programs&) { ++entries; });
  EXPECT_LE(entries, 256u);
  EXPECT_GE(entries, 200u) << "the hash spreads";
}

TEST(PlanCache, SharesItsEntries) {
  PlanCache::Entry held;
  {
    PlanCache cache;
    held = cache.insert(callOf(3), entryFor(callOf(3)));
  }
  EXPECT_EQ(held->main.call, callOf(3)) << "an operation under way keeps its programs";
}

}  // namespace
}  // namespace tutti::comm
