#include "src/schedule/forest.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "src/base/errors.h"
#include "src/schedule/check.h"
#include "src/schedule/steps.h"

namespace tutti::schedule {
namespace {

bool isForest(const ir::Plan& plan) { return plan.algorithm == "forest"; }

// A tree whose nodes are positions as one whose nodes are ranks.
template <typename ParentOf>
ir::Tree treeOf(const std::vector<ir::Rank>& rankAt, const ParentOf& parentOf) {
  ir::Tree tree;
  tree.parents.resize(rankAt.size());
  for (size_t position = 0; position < rankAt.size(); ++position) {
    const ir::Rank rank = rankAt[position];
    const int parent = parentOf(static_cast<int>(position));
    if (parent < 0) tree.root = rank;
    tree.parents[static_cast<size_t>(rank)] = parent < 0 ? -1 : rankAt[static_cast<size_t>(parent)];
  }
  return tree;
}

// Do all ranks hang together below the root?
base::Status checkTree(const ir::Tree& tree, size_t index, int size) {
  const auto isRank = [size](ir::Rank rank) { return rank >= 0 && rank < size; };
  const auto wrong = [index](std::string_view what) {
    return defect(fmt::format("tree {} of the plan {}", index, what));
  };
  if (tree.parents.size() != static_cast<size_t>(size)) {
    return wrong(fmt::format("has {} parents for {} ranks", tree.parents.size(), size));
  }
  if (tree.weight < 1) return wrong(fmt::format("has the weight {}", tree.weight));
  if (!isRank(tree.root) || tree.parents[static_cast<size_t>(tree.root)] != -1) {
    return wrong(fmt::format("has the root {}, which is none", tree.root));
  }
  std::vector<bool> isRooted(static_cast<size_t>(size));
  isRooted[static_cast<size_t>(tree.root)] = true;
  std::vector<ir::Rank> way;
  for (ir::Rank rank = 0; rank < size; ++rank) {
    way.clear();
    ir::Rank at = rank;
    while (isRank(at) && !isRooted[static_cast<size_t>(at)] &&
           way.size() <= static_cast<size_t>(size)) {
      way.push_back(at);
      at = tree.parents[static_cast<size_t>(at)];
    }
    if (!isRank(at) || !isRooted[static_cast<size_t>(at)]) {
      return wrong(fmt::format("does not lead from rank {} to its root {}", rank, tree.root));
    }
    for (const ir::Rank each : way) isRooted[static_cast<size_t>(each)] = true;
  }
  return {};
}

// The weights of each root's trees; their sums fit 31 bits, so that cutting by them does not
// overflow.
base::Status checkWeights(const ir::Plan& plan, int size) {
  const size_t roots = isForest(plan) ? static_cast<size_t>(size) : 1;
  std::vector<int64_t> sums(roots);
  for (const ir::Tree& tree : plan.trees) {
    sums[isForest(plan) ? static_cast<size_t>(tree.root) : 0] += tree.weight;
  }
  for (size_t root = 0; root < roots; ++root) {
    if (sums[root] == 0) return defect(fmt::format("the plan's forest has no tree from {}", root));
    if (sums[root] > std::numeric_limits<int32_t>::max()) {
      return defect(fmt::format("the weights of the plan's trees add up to {}", sums[root]));
    }
    if (sums[root] != sums[0]) {
      return defect(
          fmt::format("the weights of the plan's trees from rank {} add up to {}, those "
                      "from rank 0 to {}",
                      root, sums[root], sums[0]));
    }
  }
  return {};
}

}  // namespace

std::vector<ir::Tree> defaultTrees(const ir::Plan& plan, int size) {
  std::vector<ir::Rank> rankAt = plan.order;
  if (rankAt.empty()) {
    rankAt.resize(static_cast<size_t>(size));
    std::iota(rankAt.begin(), rankAt.end(), 0);
  }
  const auto rotateTo = [&](ir::Rank first) {
    std::rotate(rankAt.begin(), std::find(rankAt.begin(), rankAt.end(), first), rankAt.end());
  };
  std::vector<ir::Tree> trees;
  if (isForest(plan)) {
    for (ir::Rank root = 0; root < size; ++root) {
      rotateTo(root);
      trees.push_back(treeOf(rankAt, ir::binomialParent));
    }
    return trees;
  }
  const bool isRooted = ir::hasRoot(plan.collective);
  if (isRooted) rotateTo(plan.root);
  for (int tree = 0; tree < 2; ++tree) {
    trees.push_back(treeOf(rankAt, [&](int at) {
      const ir::TreeNode node =
          isRooted ? ir::rootedDoubleTreeNode(size, tree, at) : ir::doubleTreeNode(size, tree, at);
      return node.parent;
    }));
  }
  return trees;
}

base::Status checkTrees(const ir::Plan& plan, int size) {
  if (!isForest(plan) && plan.trees.size() > static_cast<size_t>(ir::kMostTrees)) {
    return defect(fmt::format("the plan has {} trees, and {} are the most", plan.trees.size(),
                              ir::kMostTrees));
  }
  for (size_t index = 0; index < plan.trees.size(); ++index) {
    const ir::Tree& tree = plan.trees[index];
    TUTTI_RETURN_IF_ERROR(checkTree(tree, index, size));
    if (!isForest(plan) && ir::hasRoot(plan.collective) && tree.root != plan.root) {
      return defect(fmt::format("tree {} of the plan has the root {}, the collective {}", index,
                                tree.root, plan.root));
    }
  }
  return checkWeights(plan, size);
}

ir::TreeNode nodeOf(const ir::Tree& tree, ir::Rank rank) {
  ir::TreeNode node;
  node.parent = tree.parents[static_cast<size_t>(rank)];
  for (size_t other = 0; other < tree.parents.size(); ++other) {
    if (tree.parents[other] == rank) node.children.push_back(static_cast<int>(other));
  }
  return node;
}

std::vector<int> depthsOf(const ir::Tree& tree) {
  std::vector<int> depths(tree.parents.size(), -1);
  depths[static_cast<size_t>(tree.root)] = 0;
  std::vector<ir::Rank> way;
  for (ir::Rank rank = 0; rank < static_cast<ir::Rank>(depths.size()); ++rank) {
    way.clear();
    ir::Rank at = rank;
    for (; depths[static_cast<size_t>(at)] < 0; at = tree.parents[static_cast<size_t>(at)]) {
      way.push_back(at);
    }
    int depth = depths[static_cast<size_t>(at)];
    for (auto each = way.rbegin(); each != way.rend(); ++each) {
      depths[static_cast<size_t>(*each)] = ++depth;
    }
  }
  return depths;
}

std::vector<uint64_t> chunksByWeight(uint64_t chunkBytes, const std::vector<int32_t>& weights) {
  const auto whole = std::accumulate(weights.begin(), weights.end(), uint64_t{0});
  const uint64_t units = chunkBytes / kChunkUnit;
  const uint64_t spare = units - std::min<uint64_t>(units, weights.size());
  std::vector<uint64_t> chunks;
  for (const int32_t weight : weights) {
    chunks.push_back(kChunkUnit * (1 + spare * static_cast<uint64_t>(weight) / whole));
  }
  return chunks;
}

}  // namespace tutti::schedule
