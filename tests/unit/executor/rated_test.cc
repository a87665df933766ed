// Schedules on links with rates: the times that they promise, on real engines. Rates are low, so
// that a message takes longer than a thread waits for a core on a busy machine.
#include <gtest/gtest.h>

#include <algorithm>

#include "src/base/clock.h"
#include "tests/unit/executor/ranks.h"
#include "transports/inproc/rated.h"

namespace tutti::executor::test {
namespace {

using ir::Call;
using ir::Collective;
using transports::inproc::RatedFabric;
using transports::inproc::RatedLinks;

constexpr uint64_t kMega = 1'000'000;

// Ranks at one switch, each with a link of so many bytes a second in both directions.
RatedLinks star(const std::vector<uint64_t>& rates) { return {rates, rates, {}, {}}; }

// Until the last rank's end.
struct Seconds {
  double sinceFirst = 0;  // start: all that was under way
  double sinceLast = 0;   // start: what is left when ranks start apart
};

void keepLeast(std::atomic<int64_t>& least, int64_t value) {
  for (int64_t last = least; value < last && !least.compare_exchange_weak(last, value);) {
  }
}

void keepMost(std::atomic<int64_t>& most, int64_t value) {
  for (int64_t last = most; last < value && !most.compare_exchange_weak(last, value);) {
  }
}

// Runs `plan` on links of their own and checks the results.
Seconds timeOf(const RatedLinks& links, const ir::Plan& plan, const Call& call) {
  const int size = static_cast<int>(links.out.size());
  const RatedFabric fabric(size, links);
  Ranks ranks(size, {.isOneProcess = false, .backend = &fabric.backend()});
  std::atomic<int> ready{0};
  std::atomic<int64_t> first{std::numeric_limits<int64_t>::max()}, last{0}, end{0};
  ranks.run([&](int rank) {
    std::vector<float> input(call.count), output(call.count);
    for (uint64_t i = 0; i < input.size(); ++i) input[i] = valueOf(rank, i);
    const auto programs = ranks.programs(plan, call, rank);
    ready.fetch_add(1);
    while (ready.load() < size) std::this_thread::yield();
    const int64_t now = base::nowNs();
    keepLeast(first, now);
    keepMost(last, now);
    const auto status = ranks.run(rank, programs, input.data(), output.data());
    keepMost(end, base::nowNs());
    ASSERT_TRUE(status.isOk()) << status.toString();
    for (uint64_t i = 0; i < output.size(); i += 97) {
      const bool isCopy = call.collective == Collective::kBroadcast;
      ASSERT_EQ(output[i], isCopy ? valueOf(call.root, i) : sumOf(size, i)) << i;
    }
  });
  return {static_cast<double>(end - first) * 1e-9, static_cast<double>(end - last) * 1e-9};
}

// The best of ten: others use this machine too.
double bestSecondsOf(const RatedLinks& links, const ir::Plan& plan, const Call& call,
                     double enough) {
  double best = timeOf(links, plan, call).sinceLast;
  for (int again = 0; again < 9 && best > enough; ++again) {
    best = std::min(best, timeOf(links, plan, call).sinceLast);
  }
  return best;
}

Call allReduceOf(uint64_t bytes) {
  return {Collective::kAllReduce, ir::DataType::kFloat32, ir::RedOp::kSum, bytes / 4, 0};
}

ir::Plan planOf(const std::string& algorithm, std::vector<ir::Tree> trees = {}) {
  ir::Plan plan;
  plan.algorithm = algorithm;
  plan.chunkBytes = 32768;
  plan.trees = std::move(trees);
  return plan;
}

TEST(RatedLinks, TakeTheirTime) {
  RatedLinks links = star({10 * kMega, 0});
  Call call = allReduceOf(4 * kMega);
  call.collective = Collective::kBroadcast;
  ir::Plan plan = planOf("chain");
  plan.collective = call.collective;
  EXPECT_GE(timeOf(links, plan, call).sinceFirst, 0.399);
  EXPECT_LE(bestSecondsOf(links, plan, call, 0.44), 0.7);  // both ways one after the other: 0.8
  // The pair's own rate and delay, and one chunk.
  links = {{0, 0}, {0, 0}, {0, 2 * kMega, 0, 0}, {0, 50'000'000, 0, 0}};
  call.count = 5000;
  EXPECT_GE(timeOf(links, plan, call).sinceFirst, 0.06);
  EXPECT_LE(bestSecondsOf(links, plan, call, 0.065), 0.075);
}

// Three hosts of 20 MB/s and one of 5 MB/s at one switch. No all-reduce is faster than 5 MB/s;
// where the slow host is a leaf of trees on which both directions are busy at once, that is
// reached, and a ring sends 1.5 times the vector over its link.
TEST(RatedLinks, TreesReachTheBoundWhereARingDoesNot) {
  const RatedLinks links = star({20 * kMega, 20 * kMega, 20 * kMega, 5 * kMega});
  const Call call = allReduceOf(4 * kMega);
  const double bound = 4.0 / 5.0;
  const std::vector<ir::Tree> trees = {{.root = 0, .weight = 1, .parents = {-1, 0, 1, 0}},
                                       {.root = 2, .weight = 1, .parents = {1, 2, -1, 1}}};
  const double ofTrees = bestSecondsOf(links, planOf("trees", trees), call, bound / 0.92);
  const double ofRing = bestSecondsOf(links, planOf("ring"), call, bound / 0.64);
  RecordProperty("trees_percent_of_bound", static_cast<int>(100 * bound / ofTrees));
  RecordProperty("ring_percent_of_bound", static_cast<int>(100 * bound / ofRing));
  EXPECT_LE(bound / ofTrees, 1.01);
  EXPECT_GE(bound / ofTrees, 0.85);
  EXPECT_LE(bound / ofRing, 0.68);
  EXPECT_GE(bound / ofRing, 0.25);  // a machine without a free core: a ring waits at every hop
}

// Two ways from rank 0 to the others, one twice as fast: each takes what its weight says, and both
// end together.
TEST(RatedLinks, WeightsShareLinks) {
  RatedLinks links{{0, 0, 0}, {0, 0, 0}, std::vector<uint64_t>(9, kMega * 12 / 10), {}};
  links.between[0 * 3 + 1] = links.between[1 * 3 + 2] = kMega * 24 / 10;
  Call call = allReduceOf(1200000);
  call.collective = Collective::kBroadcast;
  ir::Plan plan = planOf("trees", {{.root = 0, .weight = 2, .parents = {-1, 0, 1}},
                                   {.root = 0, .weight = 1, .parents = {-1, 2, 0}}});
  plan.collective = call.collective;
  const double seconds = bestSecondsOf(links, plan, call, 0.36);
  EXPECT_GE(seconds, 0.33);
  EXPECT_LE(seconds, 0.42);  // by halves it would be 0.5
}

}  // namespace
}  // namespace tutti::executor::test
