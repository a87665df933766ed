#include "src/plan/level_trees.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "src/base/errors.h"
#include "src/ir/trees.h"

namespace tutti::plan {
namespace {

using ir::Rank;
using Ranks = std::vector<Rank>;

base::Status badLevels(std::string text) {
  return {base::Code::kInvalidArgument, base::kErrInvalidArgument, std::move(text)};
}

class Builder {
 public:
  Builder(std::span<const Level> levels, const LevelTree& which)
      : levels_(levels), which_(which), number_(static_cast<size_t>(which.number)) {}

  ir::Tree build(int size) {
    const Rank root = which_.root;
    Ranks all(static_cast<size_t>(size));
    std::iota(all.begin(), all.end(), 0);
    tree_.parents.assign(all.size(), -1);
    auto groups = partition(all, levels_.size());
    const auto first =
        root < 0 ? groups.begin() + static_cast<long>(number_ % groups.size()) : find(groups, root);
    std::rotate(groups.begin(), first, groups.end());
    tree_.root = join(groups, levels_.size(), memberOf(groups[0]), root >= 0);
    if (root >= 0) hangUpAt(root);
    return std::move(tree_);
  }

 private:
  Rank memberOf(const Ranks& group) const { return group[number_ % group.size()]; }

  static std::vector<Ranks>::iterator find(std::vector<Ranks>& parts, Rank rank) {
    return std::find_if(parts.begin(), parts.end(), [rank](const Ranks& part) {
      return std::find(part.begin(), part.end(), rank) != part.end();
    });
  }

  // What is in a group of level `level` - 1, where levels_.size() stands for all ranks.
  std::vector<Ranks> partition(const Ranks& ranks, size_t level) const {
    std::vector<Ranks> parts;
    if (level == 0) {
      for (const Rank rank : ranks) parts.push_back({rank});
      return parts;
    }
    std::map<int32_t, size_t> index;
    for (const Rank rank : ranks) {
      const int32_t group = levels_[level - 1].groups[static_cast<size_t>(rank)];
      const auto [at, isNew] = index.try_emplace(group, parts.size());
      if (isNew) parts.emplace_back();
      parts[at->second].push_back(rank);
    }
    return parts;
  }

  // The part above part `at` of `count`; -1: none. Where `isRooted` part 0 is above all.
  int above(LevelShape shape, int count, int at, bool isRooted) const {
    if (shape == LevelShape::kStar) return at > 0 ? 0 : -1;
    if (shape == LevelShape::kChain) return at - 1;
    const int tree = which_.isSecond ? 1 : 0;
    return isRooted ? ir::rootedDoubleTreeNode(count, tree, at).parent
                    : ir::doubleTreeNode(count, tree, at).parent;
  }

  // Joins the parts by their leaders, part 0 by `first`, and what is in each of them. Returns the
  // leader above all.
  Rank join(const std::vector<Ranks>& parts, size_t level, Rank first, bool isRooted) {
    const bool isSpared = which_.sparesRoot && level == 0 && first == which_.root;
    const LevelShape shape = level == levels_.size() ? which_.top
                             : isSpared              ? LevelShape::kChain
                                                     : levels_[level].shape;
    const auto count = static_cast<int>(parts.size());
    Ranks leaders = {first};
    for (size_t part = 1; part < parts.size(); ++part) leaders.push_back(memberOf(parts[part]));
    Rank highest = first;
    for (size_t part = 0; part < parts.size(); ++part) {
      const int other = above(shape, count, static_cast<int>(part), isRooted);
      if (other < 0) highest = leaders[part];
      tree_.parents[static_cast<size_t>(leaders[part])] =
          other < 0 ? -1 : leaders[static_cast<size_t>(other)];
    }
    for (size_t part = 0; part < parts.size() && level > 0; ++part) {
      joinWithin(parts[part], level - 1, leaders[part]);
    }
    return highest;
  }

  // Below `leader`, whose own place in the tree stays as it is.
  void joinWithin(const Ranks& group, size_t level, Rank leader) {
    auto parts = partition(group, level);
    std::rotate(parts.begin(), find(parts, leader), parts.end());
    const Rank parent = tree_.parents[static_cast<size_t>(leader)];
    join(parts, level, leader, true);
    tree_.parents[static_cast<size_t>(leader)] = parent;
  }

  // Turns the way from `root` to the tree's root around.
  void hangUpAt(Rank root) {
    tree_.root = root;
    Rank above = -1;
    for (Rank rank = root; rank >= 0;) {
      const Rank next = tree_.parents[static_cast<size_t>(rank)];
      tree_.parents[static_cast<size_t>(rank)] = above;
      above = std::exchange(rank, next);
    }
  }

  std::span<const Level> levels_;
  const LevelTree& which_;
  size_t number_;
  ir::Tree tree_;
};

}  // namespace

base::Status checkLevels(int size, std::span<const Level> levels) {
  for (size_t level = 0; level < levels.size(); ++level) {
    const auto& groups = levels[level].groups;
    if (groups.size() != static_cast<size_t>(size)) {
      return badLevels(
          fmt::format("level {} has groups for {} of {} ranks", level, groups.size(), size));
    }
    if (level == 0) continue;
    std::map<int32_t, int32_t> around;  // a group of the level before, and what it lies in
    for (size_t rank = 0; rank < groups.size(); ++rank) {
      const auto inner = levels[level - 1].groups[rank];
      if (around.try_emplace(inner, groups[rank]).first->second == groups[rank]) continue;
      return badLevels(fmt::format("group {} of level {} lies in two groups of level {}", inner,
                                   level - 1, level));
    }
  }
  return {};
}

ir::Tree levelTree(int size, std::span<const Level> levels, const LevelTree& which) {
  return Builder(levels, which).build(size);
}

}  // namespace tutti::plan
