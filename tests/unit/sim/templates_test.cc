// Every template of src/schedule on stars: it comes to its end, and is never faster than its bytes
// can cross the links of one rank.
#include <gtest/gtest.h>

#include "src/sim/simulate.h"
#include "tests/unit/schedule/scenario.h"
#include "tests/unit/sim/tree_schedules.h"

namespace tutti::sim {
namespace {

using ir::Collective;
using schedule::allTemplates;
using schedule::Scenario;
using schedule::TemplateCase;
using schedule::templateName;

// Bytes that some rank must send or receive, whatever the algorithm.
double leastBytes(const Scenario& scenario) {
  const double size = scenario.size;
  double block = static_cast<double>(scenario.call.count) * 4;
  if (scenario.size == 1) return 0;
  switch (scenario.call.collective) {
    // Every block is received by all that did not finish it, and sent by all that do not keep it.
    case Collective::kAllReduce: return 2 * (size - 1) / size * block;
    case Collective::kReduce:
    case Collective::kBroadcast: return block;
    case Collective::kAllGatherV:
    case Collective::kReduceScatterV: {
      const auto& counts = scenario.counts;
      return block - 4 * static_cast<double>(*std::min_element(counts.begin(), counts.end()));
    }
    default: return (size - 1) * block;
  }
}

class TemplatesOnStars : public testing::TestWithParam<TemplateCase> {
 protected:
  void expectSound(const Scenario& scenario) {
    const auto star = makeStar(scenario.size, topology::kGigabyte);
    Options options;
    options.messageNs = {};
    options.counts = scenario.counts;
    const auto outcome = simulate(star, schedule::lowerAll(scenario), scenario.call, options);
    const auto what = ir::toString(scenario.call) + " among " + std::to_string(scenario.size);
    ASSERT_TRUE(outcome.isOk()) << what << ": " << outcome.status().toString();
    EXPECT_GE(static_cast<double>(outcome->ns) + 1, leastBytes(scenario)) << what;
    for (const double use : outcome->linkUse) EXPECT_LE(use, 1.0001) << what;
    EXPECT_EQ(outcome->ns == 0, scenario.size == 1 || scenario.call.count == 0) << what;
  }
};

TEST_P(TemplatesOnStars, comeToTheirEnd) {
  const auto& [collective, algorithm] = GetParam();
  for (int size = 1; size <= 9; ++size) {
    const auto names = schedule::loweredAlgorithms(collective, size);
    if (std::find(names.begin(), names.end(), algorithm) == names.end()) continue;
    for (const ir::Rank root : {0, size - 1}) {
      if (root > 0 && !ir::hasRoot(collective)) continue;
      const bool isVector = schedule::isVectorCollective(collective);
      if (algorithm != "one_shot" || isVector) {
        for (const uint64_t iterations : {1, 3, 17}) {
          expectSound(schedule::makeScenario(collective, algorithm, size, root, iterations, 4096));
        }
      }
      if (algorithm != "one_shot") continue;
      auto scenario = schedule::makeScenario(collective, algorithm, size, root, 1, 4096);
      scenario.plan.usesBoard = true;
      expectSound(scenario);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, TemplatesOnStars, testing::ValuesIn(allTemplates(8)), templateName);

// What people build: several trees over boxes of which one has half of the network. Overlapped
// trees lose little; the bound is what the slow box's NICs carry.
TEST(Trees, slowBoxCostsLittle) {
  constexpr int64_t kGigabyte = topology::kGigabyte;
  const auto boxes = makeBoxes(4, 450 * kGigabyte, 50 * kGigabyte, 25 * kGigabyte);
  std::mt19937_64 random(1);
  std::vector<Parents> trees;
  for (int head = 0; head < 8; ++head) {
    // The slow box is a leaf: what it sends up and gets down crosses its NICs once.
    Parents parents(32, -1);
    for (int box = 0; box < 4; ++box) {
      const int first = 8 * box + head;
      if (box != 3) parents[static_cast<size_t>(first)] = box == 0 ? 8 + head : first + 8;
      for (int next = 1; next < 8; ++next) {
        const auto at = static_cast<size_t>(8 * box + (head + next) % 8);
        parents[at] = 8 * box + (head + next - 1) % 8;
      }
    }
    trees.push_back(std::move(parents));
  }
  ir::Call call;
  const uint64_t chunk = 1 << 19;
  call.count = 8 * 200 * chunk / 4;
  const auto outcome = simulate(boxes, lowerTrees(trees, chunk), call);
  ASSERT_TRUE(outcome.isOk()) << outcome.status().toString();
  EXPECT_LE(outcome->algorithmGbPerS, 200.1);
  EXPECT_GE(outcome->algorithmGbPerS, 0.93 * 200);
}

}  // namespace
}  // namespace tutti::sim
