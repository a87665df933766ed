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

// All first trees, or one after the other in pairs.
std::vector<Tree> trees(int size, const std::vector<Level>& levels, LevelShape top, int count,
                        Rank root = -1, bool isPaired = false) {
  EXPECT_TRUE(checkLevels(size, levels).isOk()) << checkLevels(size, levels).toString();
  std::vector<Tree> made;
  for (int at = 0; at < count; ++at) {
    const int number = isPaired ? at / 2 : at;
    made.push_back(levelTree(size, levels, {top, number, isPaired && at % 2 == 1, root, true}));
  }
  return made;
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
  const auto of = [](LevelShape shape, Rank root) {
    return trees(5, {}, shape, 1, root)[0].parents;
  };
  EXPECT_EQ(of(LevelShape::kStar, -1), (std::vector<Rank>{-1, 0, 0, 0, 0}));
  EXPECT_EQ(of(LevelShape::kChain, -1), (std::vector<Rank>{-1, 0, 1, 2, 3}));
  EXPECT_EQ(of(LevelShape::kChain, 3), (std::vector<Rank>{4, 0, 1, -1, 3}));
  EXPECT_EQ(of(LevelShape::kBinary, -1), (std::vector<Rank>{-1, 2, 4, 2, 0}));
}

// What is inside one tree of a pair is a leaf of the other.
TEST(LevelTrees, binaryTreesComeInPairs) {
  for (const int size : {5, 8, 11}) {
    const auto made = trees(size, {}, LevelShape::kBinary, 2, -1, true);
    std::vector<int> inside(static_cast<size_t>(size));
    for (const Tree& tree : made) {
      std::set<Rank> parents(tree.parents.begin(), tree.parents.end());
      parents.erase(-1);
      for (const Rank parent : parents) ++inside[static_cast<size_t>(parent)];
    }
    EXPECT_LE(std::count(inside.begin(), inside.end(), 2), 1) << size;
  }
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

// A root hands over to the member whose turn it is, and all members' links are in use.
TEST(LevelTrees, rootsShareTheirLinks) {
  const Level box = level(24, 8);
  std::set<Rank> used;
  long fromRoot = 0;
  for (const Tree& tree : trees(24, {box}, LevelShape::kChain, 8, 3)) {
    EXPECT_EQ(tree.root, 3);
    for (const auto& [low, high] : crossings(tree, box)) {
      EXPECT_EQ(low % 8, high % 8);
      used.insert(low);
    }
    for (Rank rank = 0; rank < 24; ++rank) EXPECT_LE(depthOf(tree, rank), 7);
    fromRoot += std::count(tree.parents.begin(), tree.parents.end(), 3);
  }
  EXPECT_EQ(used.size(), 16u);
  EXPECT_EQ(fromRoot, 7 + 2);  // to the others of its box, and in its own turn to the next box too
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
      for (Rank rank = 0; rank < kSize; ++rank) EXPECT_LE(depthOf(tree, rank), 2 + 1 + 2 + 1 + 2);
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
  const auto refusal = [](int size, const std::vector<Level>& levels) {
    return std::string(checkLevels(size, levels).text());
  };
  const auto says = [](const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos ? testing::AssertionSuccess()
                                                : testing::AssertionFailure() << text;
  };
  EXPECT_EQ(refusal(8, {level(8, 2), level(8, 4)}), "");
  EXPECT_TRUE(says(refusal(8, {level(6, 2)}), "level 0 has groups for 6 of 8"));
  EXPECT_TRUE(says(refusal(8, {level(8, 3), level(8, 4)}), "lies in two groups of level 1"));
}

}  // namespace
}  // namespace tutti::plan
