#include "src/plan/level_trees.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "src/ir/plan.h"
#include "src/schedule/lower.h"
#include "src/schedule/validate.h"

namespace tutti::plan {
namespace {

using ir::Rank;
using ir::Tree;

// Groups of `width` neighbouring ranks.
Level level(int size, int width, LevelShape shape = LevelShape::kStar) {
  Level made{.groups = {}, .shape = shape};
  for (int rank = 0; rank < size; ++rank) made.groups.push_back(rank / width);
  return made;
}

std::vector<Tree> trees(int size, const std::vector<Level>& levels, LevelShape top, int count,
                        Rank root = -1) {
  auto made = levelTrees(size, levels, top, count, root);
  EXPECT_TRUE(made.isOk()) << made.status().toString();
  return made.isOk() ? made.take() : std::vector<Tree>{};
}

int depthOf(const Tree& tree, Rank rank) {
  int depth = 0;
  for (; rank != tree.root; rank = tree.parents[static_cast<size_t>(rank)]) ++depth;
  return depth;
}

// Edges between groups, as pairs of ranks in order.
std::set<std::pair<Rank, Rank>> crossings(const Tree& tree, const Level& level) {
  std::set<std::pair<Rank, Rank>> edges;
  for (Rank rank = 0; rank < static_cast<Rank>(tree.parents.size()); ++rank) {
    const Rank parent = tree.parents[static_cast<size_t>(rank)];
    if (parent < 0 ||
        level.groups[static_cast<size_t>(rank)] == level.groups[static_cast<size_t>(parent)]) {
      continue;
    }
    edges.insert(std::minmax(rank, parent));
  }
  return edges;
}

TEST(LevelTrees, shapes) {
  const auto of = [](LevelShape shape) { return trees(5, {}, shape, 1)[0].parents; };
  EXPECT_EQ(of(LevelShape::kStar), (std::vector<Rank>{-1, 0, 0, 0, 0}));
  EXPECT_EQ(of(LevelShape::kChain), (std::vector<Rank>{-1, 0, 1, 2, 3}));
  EXPECT_EQ(of(LevelShape::kBinary), (std::vector<Rank>{-1, 0, 0, 1, 1}));
}

// Two boxes of eight: each tree crosses between them once, over rails of its own.
TEST(LevelTrees, everyMemberCarriesATreeAcross) {
  const Level box = level(16, 8);
  const auto made = trees(16, {box}, LevelShape::kStar, 8);
  std::set<Rank> used;
  for (size_t at = 0; at < made.size(); ++at) {
    const auto edges = crossings(made[at], box);
    ASSERT_EQ(edges.size(), 1u);
    EXPECT_EQ(*edges.begin(), std::make_pair(static_cast<Rank>(at), static_cast<Rank>(at + 8)));
    EXPECT_EQ(made[at].root, static_cast<Rank>(at % 2 * 8 + at));
    used.insert(edges.begin()->first);
    used.insert(edges.begin()->second);
  }
  EXPECT_EQ(used.size(), 16u);
}

// Islands of 2 in hosts of 4 in sites of 8: a group is entered once, so slow levels are crossed as
// rarely as can be.
TEST(LevelTrees, threeLevels) {
  constexpr int kSize = 23;  // the last groups are not full
  const std::vector<Level> levels = {level(kSize, 2, LevelShape::kChain),
                                     level(kSize, 4, LevelShape::kStar),
                                     level(kSize, 8, LevelShape::kBinary)};
  for (const Rank root : {-1, 0, 13, 22}) {
    for (const Tree& tree : trees(kSize, levels, LevelShape::kChain, 5, root)) {
      EXPECT_TRUE(root < 0 || tree.root == root);
      EXPECT_EQ(crossings(tree, levels[0]).size(), 11u);
      EXPECT_EQ(crossings(tree, levels[1]).size(), 5u);
      EXPECT_EQ(crossings(tree, levels[2]).size(), 2u);
      for (Rank rank = 0; rank < kSize; ++rank) EXPECT_LE(depthOf(tree, rank), 2 + 1 + 1 + 1);
    }
  }
}

TEST(LevelTrees, areRightSchedules) {
  constexpr int kSize = 11;
  for (const auto collective : {ir::Collective::kAllReduce, ir::Collective::kReduce}) {
    ir::Plan plan;
    plan.collective = collective;
    plan.algorithm = "trees";
    plan.root = collective == ir::Collective::kReduce ? 7 : 0;
    plan.chunkBytes = 1024;
    plan.trees = trees(kSize, {level(kSize, 2), level(kSize, 4)}, LevelShape::kChain, 4,
                       collective == ir::Collective::kReduce ? 7 : -1);
    std::vector<ir::Schedule> schedules;
    for (Rank rank = 0; rank < kSize; ++rank) {
      schedules.push_back(schedule::lower(plan, kSize, rank).take());
    }
    ir::Call call;
    call.collective = collective;
    call.root = plan.root;
    call.count = 777;
    const auto status = schedule::validate(schedules, call);
    EXPECT_TRUE(status.isOk()) << status.toString();
  }
}

TEST(LevelTrees, refusesWhatIsNoHierarchy) {
  const auto refusal = [](int size, const std::vector<Level>& levels, int count, Rank root) {
    return std::string(levelTrees(size, levels, LevelShape::kStar, count, root).status().text());
  };
  const auto says = [](const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos ? testing::AssertionSuccess()
                                                : testing::AssertionFailure() << text;
  };
  EXPECT_EQ(refusal(8, {level(8, 2), level(8, 4)}, 1, 3), "");
  EXPECT_TRUE(says(refusal(8, {level(6, 2)}, 1, 0), "level 0 has groups for 6 of 8"));
  EXPECT_TRUE(says(refusal(8, {level(8, 3), level(8, 4)}, 1, 0), "lies in two groups of level 1"));
  EXPECT_TRUE(says(refusal(8, {}, 0, 0), "0 trees"));
  EXPECT_TRUE(says(refusal(8, {}, 1, 8), "from rank 8 of 8"));
  EXPECT_TRUE(says(refusal(0, {}, 1, -1), "of 0"));
}

}  // namespace
}  // namespace tutti::plan
