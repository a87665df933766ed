// Plans with trees of any shape and weight, proved by the validator; and trees that are none.
#include "src/schedule/forest.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "tests/support/sanitized.h"
#include "tests/unit/schedule/scenario.h"

namespace tutti::schedule {
namespace {

using ir::Collective;
using ir::Limits;
using ir::Tree;

constexpr int kLargestSize = test::kIsSanitized ? 13 : 33;

using Random = std::mt19937;

int below(Random& random, int end) {
  return static_cast<int>(random() % static_cast<unsigned>(end));
}

enum class Form { kAny, kChain, kStar };

// The ranks in any order: a line, a star, or each below any earlier one.
Tree randomTree(Random& random, int size, ir::Rank root, Form form) {
  std::vector<ir::Rank> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[0], order[static_cast<size_t>(root)]);
  std::shuffle(order.begin() + 1, order.end(), random);
  Tree tree{.root = root, .weight = 1 + below(random, 7), .parents = order};
  for (size_t at = 0; at < order.size(); ++at) {
    const size_t above = form == Form::kStar ? 0
                         : form == Form::kChain
                             ? at - 1
                             : static_cast<size_t>(below(random, static_cast<int>(at) + 1));
    const size_t parent = at == 0 ? 0 : std::min(above, at - 1);
    tree.parents[static_cast<size_t>(order[at])] = at == 0 ? -1 : order[parent];
  }
  return tree;
}

Tree randomTree(Random& random, int size, ir::Rank root) {
  return randomTree(random, size, root, static_cast<Form>(random() % 3));
}

// `count` trees from `root`, whose weights add up to `sum`.
void addTrees(Random& random, int size, ir::Rank root, int count, int sum,
              std::vector<Tree>& trees) {
  for (int left = count; left > 0; --left) {
    Tree& tree = trees.emplace_back(randomTree(random, size, root));
    tree.weight = left == 1 ? sum : 1 + below(random, sum - left + 1);
    sum -= tree.weight;
  }
}

constexpr Collective kCollectives[] = {Collective::kAllReduce,     Collective::kReduce,
                                       Collective::kBroadcast,     Collective::kAllGather,
                                       Collective::kReduceScatter, Collective::kAllGatherV,
                                       Collective::kReduceScatterV};

Scenario randomScenario(Random& random, Collective collective, int size) {
  const bool isForest = !isVectorCollective(collective);
  const ir::Rank root = ir::hasRoot(collective) ? below(random, size) : 0;
  const uint64_t iterations = random() % 2 == 0 ? 1 : 3;
  Scenario scenario = makeScenario(collective, isForest ? "forest" : "trees", size, root,
                                   iterations, uint64_t{128} << below(random, 6));
  auto& trees = scenario.plan.trees;
  if (isForest) {
    const int sum = 7;
    for (ir::Rank each = 0; each < size; ++each) {
      addTrees(random, size, each, 1 + below(random, size > 12 ? 2 : 4), sum, trees);
    }
    std::shuffle(trees.begin(), trees.end(), random);
  } else {
    scenario.plan.isPaced = random() % 2 == 0;
    const int count = 1 + below(random, 8);
    for (int each = 0; each < count; ++each) {
      trees.push_back(
          randomTree(random, size, ir::hasRoot(collective) ? root : below(random, size)));
    }
  }
  return scenario;
}

std::string describe(const Scenario& scenario) {
  std::string text = ir::toString(scenario.call) + " among " + std::to_string(scenario.size);
  if (scenario.plan.isPaced) text += ", in step";
  for (const Tree& tree : scenario.plan.trees) {
    text += "\n  weight " + std::to_string(tree.weight) + ":";
    for (const ir::Rank parent : tree.parents) text += " " + std::to_string(parent);
  }
  return text;
}

class RandomTrees : public testing::TestWithParam<Collective> {};

TEST_P(RandomTrees, areRight) {
  Random random(2026);
  for (int size = 1; size <= kLargestSize; ++size) {
    for (int round = 0; round < (size <= 9 ? 6 : 2); ++round) {
      const Scenario scenario = randomScenario(random, GetParam(), size);
      std::vector<bool> isInPlace;
      for (int rank = 0; rank < size; ++rank)
        isInPlace.push_back(round % 3 == 0 || random() % 3 == 0);
      const auto status = validateScenario(
          scenario, round % 2 == 0 ? isInPlace : std::vector<bool>(), size <= 9 ? 3 : 1);
      ASSERT_TRUE(status.isOk()) << status.toString() << "\n" << describe(scenario);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, RandomTrees, testing::ValuesIn(kCollectives),
                         [](const auto& tested) { return std::string(ir::name(tested.param)); });

// More depths than channels: several of them are one lane.
TEST(Forest, deepTreesShareLanes) {
  Random random(1);
  for (const Collective collective : {Collective::kAllGather, Collective::kReduceScatter}) {
    for (const uint64_t chunkBytes : {128, 16384, 65536}) {
      Scenario scenario = makeScenario(collective, "forest", 12, 0, 3, chunkBytes);
      for (ir::Rank root = 0; root < 12; ++root) {
        scenario.plan.trees.push_back(randomTree(random, 12, root, Form::kChain));
        scenario.plan.trees.back().weight = 3;
      }
      const auto schedules = lowerAll(scenario);
      EXPECT_EQ(schedules[0].narrowBytes.size(), std::min<uint64_t>(11, 65536 / chunkBytes));
      EXPECT_LE(schedules[0].lanes.size(), std::max<size_t>(12, schedules[0].narrowBytes.size()));
      const auto status = validate(schedules, scenario.call);
      EXPECT_TRUE(status.isOk()) << status.toString();
    }
  }
}

// Every ring is a forest: each rank's block goes round.
TEST(Forest, manyRanksInARow) {
  Scenario scenario = makeScenario(Collective::kAllGather, "forest", 40, 0, 3, 4096);
  for (ir::Rank root = 0; root < 40; ++root) {
    Tree tree{.root = root, .weight = 1, .parents = {}};
    for (ir::Rank rank = 0; rank < 40; ++rank) {
      tree.parents.push_back(rank == root ? -1 : (rank + 39) % 40);
    }
    scenario.plan.trees.push_back(tree);
  }
  const auto status = validateScenario(scenario, {}, 1);
  EXPECT_TRUE(status.isOk()) << status.toString();
}

TEST(Trees, chunksFollowTheWeights) {
  EXPECT_EQ(chunksByWeight(65536, {1, 1}), (std::vector<uint64_t>{32768, 32768}));
  EXPECT_EQ(chunksByWeight(65536, {1}), (std::vector<uint64_t>{65536}));
  EXPECT_EQ(chunksByWeight(128, {1, 1000}), (std::vector<uint64_t>{128, 128}));
  Random random(3);
  for (int round = 0; round < 100; ++round) {
    std::vector<int32_t> weights;
    for (int count = 1 + below(random, 32); count > 0; --count)
      weights.push_back(1 + below(random, 1000000));
    const auto chunks = chunksByWeight(65536, weights);
    EXPECT_LE(std::accumulate(chunks.begin(), chunks.end(), uint64_t{0}), 65536u);
    for (const uint64_t chunk : chunks) EXPECT_TRUE(chunk >= 128 && chunk % 128 == 0);
  }
}

// All trees end together: their numbers of chunks differ by a few in a hundred.
TEST(Trees, endTogether) {
  ir::Plan plan;
  plan.algorithm = "trees";
  plan.chunkBytes = 65536;
  Random random(4);
  for (const int weight : {1, 2, 3, 5, 7}) {
    plan.trees.push_back(randomTree(random, 6, 0));
    plan.trees.back().weight = weight;
  }
  const auto schedule = lower(plan, 6, 3);
  ASSERT_TRUE(schedule.isOk()) << schedule.status().toString();
  uint64_t least = UINT64_MAX;
  uint64_t most = 0;
  for (const ir::Lane& lane : schedule->lanes) {
    const uint64_t bytes =
        ir::weightedSlice(64 << 20, 1, schedule->sliceWeights, lane.slice).length;
    const uint64_t count = ir::iterationCount(bytes, lane.chunkBytes);
    least = std::min(least, count);
    most = std::max(most, count);
  }
  EXPECT_LE(static_cast<double>(most), 1.05 * static_cast<double>(least));
}

TEST(Trees, oneChunkPerTreeWhereThePlanNamesNone) {
  ir::Plan plan;
  plan.algorithm = "trees";
  const auto schedule = lower(plan, 5, 0);
  ASSERT_TRUE(schedule.isOk());
  EXPECT_EQ(schedule->narrowBytes, (std::vector<uint64_t>{32768, 32768}));
}

// What lower says of a plan whose trees were changed.
template <typename Change>
std::string complaint(Collective collective, const Change& change) {
  Random random(5);
  Scenario scenario = randomScenario(random, collective, 5);
  change(scenario.plan.trees);
  const auto schedule = lower(scenario.plan, 5, 2);
  return schedule.isOk() ? "" : std::string(schedule.status().text());
}

TEST(Trees, whatIsNoneIsRefused) {
  using Trees = std::vector<Tree>;
  const auto says = [](const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos ? testing::AssertionSuccess()
                                                : testing::AssertionFailure() << text;
  };
  const auto ofReduce = [](const auto& change) { return complaint(Collective::kReduce, change); };
  EXPECT_EQ(ofReduce([](Trees&) {}), "");
  EXPECT_TRUE(says(ofReduce([](Trees& trees) { trees[0].parents.pop_back(); }), "4 parents for 5"));
  EXPECT_TRUE(says(ofReduce([](Trees& trees) { trees[0].weight = 0; }), "weight 0"));
  EXPECT_TRUE(says(ofReduce([](Trees& trees) { trees[0].root = 5; }), "root 5"));
  EXPECT_TRUE(says(ofReduce([](Trees& trees) { trees[0].root = -1; }), "root -1"));
  EXPECT_TRUE(says(ofReduce([](Trees& trees) {
                     for (ir::Rank& parent : trees[0].parents) parent = parent == -1 ? -1 : 7;
                   }),
                   "does not lead"));
  // Two ranks below each other.
  EXPECT_TRUE(says(ofReduce([](Trees& trees) {
                     const ir::Rank one = (trees[0].root + 1) % 5;
                     const ir::Rank other = (trees[0].root + 2) % 5;
                     trees[0].parents[static_cast<size_t>(one)] = other;
                     trees[0].parents[static_cast<size_t>(other)] = one;
                   }),
                   "does not lead"));
  EXPECT_TRUE(says(ofReduce([](Trees& trees) {
                     const auto root = static_cast<size_t>(trees[0].root);
                     const size_t other = (root + 1) % 5;
                     std::fill(trees[0].parents.begin(), trees[0].parents.end(),
                               static_cast<ir::Rank>(other));
                     trees[0].parents[other] = -1;
                     trees[0].root = static_cast<ir::Rank>(other);
                   }),
                   "the collective"));
  EXPECT_TRUE(says(ofReduce([](Trees& trees) { trees.assign(33, trees[0]); }), "32 are the most"));
  EXPECT_TRUE(says(ofReduce([](Trees& trees) {
                     trees.assign(2, trees[0]);
                     trees[0].weight = trees[1].weight = INT32_MAX;
                   }),
                   "add up to"));
  EXPECT_TRUE(says(complaint(Collective::kAllGather,
                             [](Trees& trees) {
                               std::erase_if(trees,
                                             [](const Tree& tree) { return tree.root == 3; });
                             }),
                   "no tree from 3"));
  EXPECT_TRUE(says(complaint(Collective::kAllGather, [](Trees& trees) { trees[0].weight += 1; }),
                   "add up to"));
  EXPECT_TRUE(says(complaint(Collective::kAllGather,
                             [](Trees& trees) {
                               const Trees before = trees;
                               trees.clear();
                               for (ir::Rank root = 0; root < 5; ++root) {
                                 const auto any = std::find_if(
                                     before.begin(), before.end(),
                                     [root](const Tree& tree) { return tree.root == root; });
                                 for (int each = 0; each < 600; ++each) {
                                   trees.push_back(*any);
                                   trees.back().weight = 1;
                                 }
                               }
                             }),
                   "600 slices; 512 are the most"));
}

// ---- planted mistakes -------------------------------------------------------------------------

std::string afterChange(const Scenario& scenario, std::vector<ir::Schedule> schedules) {
  ValidateOptions options;
  options.counts = scenario.counts;
  return std::string(validate(schedules, scenario.call, options).text());
}

Scenario twoChains(Collective collective) {
  Scenario scenario = makeScenario(collective, "trees", 5, 0, 3);
  for (const int step : {1, 2}) {
    Tree tree{.root = 0, .weight = step, .parents = std::vector<ir::Rank>(5)};
    for (int at = 0; at < 5; ++at) {
      tree.parents[static_cast<size_t>(at * step % 5)] = at == 0 ? -1 : (at - 1) * step % 5;
    }
    scenario.plan.trees.push_back(tree);
  }
  return scenario;
}

TEST(TreeMistake, treesThatShareAFifo) {
  const Scenario scenario = twoChains(Collective::kAllReduce);
  for (size_t rank = 0; rank < 5; ++rank) {
    auto schedules = lowerAll(scenario);
    ASSERT_EQ(afterChange(scenario, schedules), "");
    for (ir::Lane& lane : schedules[rank].lanes) lane.channel = Limits::kChannels;
    EXPECT_NE(afterChange(scenario, schedules), "") << rank;
  }
}

TEST(TreeMistake, slicesThatChangedPlaces) {
  const Scenario scenario = twoChains(Collective::kBroadcast);
  auto schedules = lowerAll(scenario);
  for (ir::Lane& lane : schedules[3].lanes) lane.slice = 1 - lane.slice;
  EXPECT_NE(afterChange(scenario, schedules), "");
}

TEST(TreeMistake, operandsInAnotherOrder) {
  Scenario scenario = makeScenario(Collective::kAllReduce, "trees", 4, 0, 1);
  scenario.plan.trees = {{.root = 0, .weight = 1, .parents = {-1, 0, 0, 0}}};
  auto schedules = lowerAll(scenario);
  // One place combines, so any order there is right; a result that goes to one child only is not.
  std::swap(schedules[0].lanes[0].steps[0].sources[1], schedules[0].lanes[0].steps[0].sources[3]);
  EXPECT_EQ(afterChange(scenario, schedules), "");
  schedules[0].lanes[0].steps[0].destinations.pop_back();
  EXPECT_NE(afterChange(scenario, schedules), "");
}

TEST(TreeMistake, columnsThatDoNotFit) {
  const Scenario scenario = twoChains(Collective::kReduce);
  const auto right = lowerAll(scenario);
  const auto changed = [&](const auto& change) {
    auto schedules = right;
    for (ir::Schedule& schedule : schedules) change(schedule.narrowBytes);
    return afterChange(scenario, schedules);
  };
  using Widths = std::vector<uint64_t>;
  EXPECT_EQ(changed([](Widths& widths) { widths[0] = 32768; }), "");
  EXPECT_NE(changed([](Widths& widths) { widths[0] = 65536; }), "");
  EXPECT_NE(changed([](Widths& widths) { widths[0] = 100; }), "");
  EXPECT_NE(changed([](Widths& widths) { widths.pop_back(); }), "");
  EXPECT_NE(changed([](Widths& widths) { widths.assign(33, 128); }), "");
  EXPECT_NE(changed([](Widths& widths) { widths[1] = 0; }), "");
  auto schedules = right;
  schedules[2].narrowBytes[0] += 128;  // not as the others
  EXPECT_NE(afterChange(scenario, schedules), "");
}

// Messages longer than the column, where the chunks no longer fit it.
TEST(TreeMistake, messagesOverTheColumn) {
  const Scenario scenario = twoChains(Collective::kBroadcast);
  auto schedules = lowerAll(scenario);
  for (ir::Schedule& schedule : schedules) {
    for (ir::Lane& lane : schedule.lanes) lane.chunkBytes += 128;
  }
  EXPECT_NE(afterChange(scenario, schedules).find("more than a slot's"), std::string::npos);
}

TEST(TreeMistake, wideAndNarrowChannelsOfOneSlot) {
  const Scenario scenario = twoChains(Collective::kBroadcast);
  auto schedules = lowerAll(scenario);
  for (ir::Schedule& schedule : schedules) {
    for (ir::Lane& lane : schedule.lanes) lane.channel -= Limits::kChannels;
  }
  EXPECT_NE(afterChange(scenario, schedules).find("which is cut up"), std::string::npos);
}

Scenario smallForest() {
  Scenario scenario = makeScenario(Collective::kAllGather, "forest", 4, 0, 3, 256);
  Random random(6);
  for (ir::Rank root = 0; root < 4; ++root) addTrees(random, 4, root, 2, 5, scenario.plan.trees);
  return scenario;
}

TEST(TreeMistake, forestStepsInAnotherOrder) {
  const Scenario scenario = smallForest();
  const auto right = lowerAll(scenario);
  ASSERT_EQ(afterChange(scenario, right), "");
  int found = 0;
  for (size_t rank = 0; rank < right.size(); ++rank) {
    for (size_t lane = 0; lane < right[rank].lanes.size(); ++lane) {
      auto schedules = right;
      auto& steps = schedules[rank].lanes[lane].steps;
      std::reverse(steps.begin(), steps.end());
      // Steps of one lane that share no FIFO may change places.
      if (!afterChange(scenario, schedules).empty()) ++found;
    }
  }
  EXPECT_GT(found, 3);
}

TEST(TreeMistake, forestSlices) {
  const Scenario scenario = smallForest();
  const auto right = lowerAll(scenario);
  for (size_t lane = 0; lane < right[1].lanes.size(); ++lane) {
    for (size_t step = 0; step < right[1].lanes[lane].steps.size(); ++step) {
      for (const int shift : {-100, -1, 1, 100}) {
        auto schedules = right;
        schedules[1].lanes[lane].steps[step].slice += shift;
        EXPECT_NE(afterChange(scenario, schedules), "") << lane << "." << step << " by " << shift;
        schedules = right;
        schedules[1].lanes[lane].steps[step].slices += shift;
        EXPECT_NE(afterChange(scenario, schedules), "") << lane << "." << step << " by " << shift;
      }
    }
  }
}

TEST(TreeMistake, sliceChunks) {
  const Scenario scenario = smallForest();
  auto schedules = lowerAll(scenario);
  for (ir::Schedule& schedule : schedules) schedule.sliceChunks.pop_back();
  EXPECT_NE(afterChange(scenario, schedules), "");
  for (ir::Schedule& schedule : schedules) schedule.sliceChunks.clear();
  EXPECT_NE(afterChange(scenario, schedules), "");
}

}  // namespace
}  // namespace tutti::schedule
