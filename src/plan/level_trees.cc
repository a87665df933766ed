#include "src/plan/level_trees.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "src/base/errors.h"

namespace tutti::plan {
namespace {

using ir::Rank;
using Ranks = std::vector<Rank>;

base::Status badArgument(std::string text) {
  return {base::Code::kInvalidArgument, base::kErrInvalidArgument, std::move(text)};
}

base::Status checkLevels(int size, std::span<const Level> levels) {
  for (size_t level = 0; level < levels.size(); ++level) {
    const auto& groups = levels[level].groups;
    if (groups.size() != static_cast<size_t>(size)) {
      return badArgument(
          fmt::format("level {} has groups for {} of {} ranks", level, groups.size(), size));
    }
    if (level == 0) continue;
    std::map<int32_t, int32_t> around;  // a group of the level before, and what it lies in
    for (size_t rank = 0; rank < groups.size(); ++rank) {
      const auto inner = levels[level - 1].groups[rank];
      if (around.try_emplace(inner, groups[rank]).first->second == groups[rank]) continue;
      return badArgument(fmt::format("group {} of level {} lies in two groups of level {}", inner,
                                     level - 1, level));
    }
  }
  return {};
}

class Builder {
 public:
  Builder(std::span<const Level> levels, LevelShape top, int number)
      : levels_(levels), top_(top), number_(static_cast<size_t>(number)) {}

  ir::Tree build(int size, Rank root) {
    Ranks all(static_cast<size_t>(size));
    std::iota(all.begin(), all.end(), 0);
    if (root < 0) {
      // In the next group, at its rank number `number_`.
      const auto groups = partition(all, levels_.size());
      root = memberOf(groups[number_ % groups.size()]);
    }
    tree_.root = root;
    tree_.parents.assign(all.size(), -1);
    join(all, levels_.size(), root);
    return std::move(tree_);
  }

 private:
  Rank memberOf(const Ranks& group) const { return group[number_ % group.size()]; }

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

  // The part of the tree over `ranks`, below `leader`.
  void join(const Ranks& ranks, size_t level, Rank leader) {
    auto parts = partition(ranks, level);
    const auto first = std::find_if(parts.begin(), parts.end(), [leader](const Ranks& part) {
      return std::find(part.begin(), part.end(), leader) != part.end();
    });
    std::rotate(parts.begin(), first, parts.end());
    const LevelShape shape = level == levels_.size() ? top_ : levels_[level].shape;
    Ranks leaders = {leader};
    for (size_t part = 1; part < parts.size(); ++part) {
      const size_t above = shape == LevelShape::kStar    ? 0
                           : shape == LevelShape::kChain ? part - 1
                                                         : (part - 1) / 2;
      leaders.push_back(memberOf(parts[part]));
      tree_.parents[static_cast<size_t>(leaders.back())] = leaders[above];
    }
    for (size_t part = 0; part < parts.size() && level > 0; ++part) {
      join(parts[part], level - 1, leaders[part]);
    }
  }

  std::span<const Level> levels_;
  LevelShape top_;
  size_t number_;
  ir::Tree tree_;
};

}  // namespace

base::Result<std::vector<ir::Tree>> levelTrees(int size, std::span<const Level> levels,
                                               LevelShape top, int count, Rank root) {
  if (size < 1 || count < 1 || root >= size) {
    return badArgument(fmt::format("{} trees from rank {} of {}", count, root, size));
  }
  TUTTI_RETURN_IF_ERROR(checkLevels(size, levels));
  std::vector<ir::Tree> trees;
  for (int number = 0; number < count; ++number) {
    trees.push_back(Builder(levels, top, number).build(size, root));
  }
  return trees;
}

}  // namespace tutti::plan
