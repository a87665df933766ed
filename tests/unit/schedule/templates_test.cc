// Every template, proved by the validator.
#include "tests/support/sanitized.h"
#include "tests/unit/schedule/scenario.h"

namespace tutti::schedule {
namespace {

using ir::Collective;

// Sanitized builds are some ten times slower.
constexpr int kLargestSize = test::kIsSanitized ? 13 : 33;

std::vector<ir::Rank> rootsOf(Collective collective, int size) {
  if (!ir::hasRoot(collective) || size == 1) return {0};
  if (size == 2) return {0, 1};
  return {0, size / 2, size - 1};
}

std::vector<bool> inPlaceOf(int size, int pattern) {
  std::vector<bool> isInPlace;
  for (int rank = 0; rank < size; ++rank) {
    isInPlace.push_back(pattern == 1 || (pattern == 2 && rank % 2 == 0));
  }
  return isInPlace;
}

bool isKnown(const TemplateCase& test, int size) {
  const auto names = loweredAlgorithms(test.collective, size);
  return std::find(names.begin(), names.end(), test.algorithm) != names.end();
}

// Posts carry small payloads in one piece.
bool canUseBoard(const TemplateCase& test) { return test.algorithm == "one_shot"; }
bool mustUseBoard(const TemplateCase& test) {
  return canUseBoard(test) && !isVectorCollective(test.collective);
}
bool isInPlaceSafe(const TemplateCase& test) {
  return test.collective != Collective::kAllToAll || test.algorithm != "direct";
}

class Templates : public testing::TestWithParam<TemplateCase> {
 protected:
  void expectValid(const Scenario& scenario, int pattern) {
    const int interleavings = scenario.size <= 9 ? 3 : 1;
    const auto status =
        validateScenario(scenario, inPlaceOf(scenario.size, pattern), interleavings);
    EXPECT_TRUE(status.isOk()) << ir::toString(scenario.call) << " among " << scenario.size
                               << ", in place " << pattern << ", chunks of "
                               << scenario.plan.chunkBytes << ": " << status.toString();
  }
};

TEST_P(Templates, areRight) {
  const TemplateCase& test = GetParam();
  for (int size = 1; size <= kLargestSize; ++size) {
    if (!isKnown(test, size) || mustUseBoard(test)) continue;
    for (const ir::Rank root : rootsOf(test.collective, size)) {
      for (const uint64_t iterations : {1, 3}) {
        const Scenario scenario =
            makeScenario(test.collective, test.algorithm, size, root, iterations);
        // Many ranks: everything out of place, several chunks also all in place.
        const int patterns = size <= 12 ? 3 : static_cast<int>(iterations + 1) / 2;
        for (int pattern = 0; pattern < (isInPlaceSafe(test) ? patterns : 1); ++pattern) {
          expectValid(scenario, pattern);
        }
      }
    }
    if (HasFailure()) return;
  }
}

TEST_P(Templates, areRightOnTheBoard) {
  const TemplateCase& test = GetParam();
  if (!canUseBoard(test)) return;
  for (int size = 2; size <= kLargestSize; ++size) {
    for (const ir::Rank root : rootsOf(test.collective, size)) {
      Scenario scenario = makeScenario(test.collective, test.algorithm, size, root, 1);
      scenario.plan.usesBoard = true;
      for (int pattern = 0; pattern < 3; ++pattern) expectValid(scenario, pattern);
    }
    if (HasFailure()) return;
  }
}

// Chunks so long that runs of blocks take several messages.
TEST_P(Templates, areRightInLongChunks) {
  const TemplateCase& test = GetParam();
  for (const int size : {2, 5, 8, 15, 16, 19}) {
    if (!isKnown(test, size) || mustUseBoard(test)) continue;
    const uint64_t chunkBytes = size <= 8 ? 32768 : 16384;
    const Scenario scenario =
        makeScenario(test.collective, test.algorithm, size,
                     ir::hasRoot(test.collective) ? size - 1 : 0, 2, chunkBytes);
    expectValid(scenario, isInPlaceSafe(test) ? 2 : 0);
  }
}

// Blocks of which some or all are empty.
TEST_P(Templates, areRightForAFewElements) {
  const TemplateCase& test = GetParam();
  for (const int size : {2, 3, 7, 16}) {
    if (!isKnown(test, size)) continue;
    for (const uint64_t count : {0, 1, 33}) {
      Scenario scenario = makeScenario(test.collective, test.algorithm, size, 0, 1);
      scenario.call.count = count;
      if (isUnevenCollective(test.collective)) {
        scenario.counts.assign(static_cast<size_t>(size), 0);
        scenario.counts.back() = count;
      }
      scenario.plan.usesBoard = mustUseBoard(test);
      expectValid(scenario, 0);
    }
  }
}

// Rings and trees may follow another order than that of the ranks.
TEST_P(Templates, areRightInAnotherOrder) {
  const TemplateCase& test = GetParam();
  for (const int size : {2, 5, 8}) {
    if (!isKnown(test, size) || mustUseBoard(test)) continue;
    for (const ir::Rank root : rootsOf(test.collective, size)) {
      Scenario scenario = makeScenario(test.collective, test.algorithm, size, root, 3);
      for (int rank = 0; rank < size; ++rank) scenario.plan.order.push_back((3 * rank + 1) % size);
      if (size % 3 != 0) expectValid(scenario, isInPlaceSafe(test) ? 1 : 0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Templates, testing::ValuesIn(allTemplates(1)), templateName);

TEST(Pairs, areRight) {
  for (const uint64_t iterations : {1, 3, 9}) {
    Scenario scenario = makeScenario(Collective::kSend, "fifo", 3, 2, iterations);
    std::vector<ir::Schedule> schedules(3);
    for (ir::Rank rank = 0; rank < 3; ++rank) {
      auto& idle = schedules[static_cast<size_t>(rank)];
      idle.collective = Collective::kSend;
      idle.rank = rank;
      idle.size = 3;
      idle.sliceWeights = {1};
    }
    schedules[0] = *lower(scenario.plan, 3, 0);
    scenario.plan.collective = Collective::kRecv;
    scenario.plan.root = 0;
    schedules[2] = *lower(scenario.plan, 3, 2);
    const auto status = validate(schedules, scenario.call);
    EXPECT_TRUE(status.isOk()) << status.toString();
  }
}

}  // namespace
}  // namespace tutti::schedule
