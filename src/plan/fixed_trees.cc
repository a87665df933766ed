#include "src/plan/fixed_trees.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "src/base/errors.h"
#include "src/ir/plan.h"
#include "src/plan/level_trees.h"
#include "src/plan/levels.h"

namespace tutti::plan {
namespace {

using ir::Collective;
using ir::Rank;

// Of the largest groups, the size of the largest.
int membersOf(const std::vector<Level>& levels) {
  if (levels.empty()) return 1;
  std::vector<int> sizes;
  for (const int32_t group : levels.back().groups) {
    if (static_cast<size_t>(group) >= sizes.size()) sizes.resize(static_cast<size_t>(group) + 1);
    ++sizes[static_cast<size_t>(group)];
  }
  return *std::max_element(sizes.begin(), sizes.end());
}

// Every member carries a tree across, or two, one of each pair of binary trees.
std::vector<ir::Tree> sharedTrees(int size, const std::vector<Level>& levels, LevelShape top,
                                  Rank root) {
  const int pairs = top == LevelShape::kBinary ? 2 : 1;
  const int members = std::min(membersOf(levels), ir::kMostTrees / pairs);
  std::vector<ir::Tree> trees;
  for (int second = 0; second < pairs; ++second) {
    for (int number = 0; number < members; ++number) {
      trees.push_back(levelTree(size, levels, {top, number, second == 1, root, true}));
    }
  }
  return trees;
}

// From every rank by its own links to other groups: its number is its place in its group.
std::vector<ir::Tree> treePerRank(int size, const std::vector<Level>& levels, LevelShape top) {
  std::vector<int> seen(static_cast<size_t>(size), 0);  // by group
  std::vector<ir::Tree> trees;
  for (Rank rank = 0; rank < size; ++rank) {
    const int32_t group = levels.back().groups[static_cast<size_t>(rank)];
    const int number = seen[static_cast<size_t>(group)]++;
    trees.push_back(levelTree(size, levels, {top, number, rank % 2 == 1, rank}));
  }
  return trees;
}

base::Result<std::vector<topology::LinkIndex>> wayOf(const topology::Topology& fabric,
                                                     topology::RouteTable& routes, Rank from,
                                                     Rank to) {
  TUTTI_ASSIGN_OR_RETURN(auto links, routes.find(from, to, 0, 0));
  for (size_t i = 1; i < links.size(); ++i) {
    const auto via = static_cast<size_t>(fabric.links[static_cast<size_t>(links[i])].from);
    if (fabric.nodes[via].kind != topology::NodeKind::kRank) continue;
    return base::Status(
        base::Code::kInvalidUsage, base::kErrUnsupported,
        fmt::format("rank {} reaches rank {} only through {}", from, to, fabric.nodes[via].id));
  }
  return links;
}

base::Status addWays(const topology::Topology& fabric, topology::RouteTable& routes,
                     Collective collective, RoutedTree& routed) {
  const size_t size = routed.tree.parents.size();
  routed.down.resize(size);
  routed.up.resize(size);
  for (size_t rank = 0; rank < size; ++rank) {
    const Rank parent = routed.tree.parents[rank];
    const auto self = static_cast<Rank>(rank);
    if (parent < 0) continue;
    if (flowsDown(collective)) {
      TUTTI_ASSIGN_OR_RETURN(routed.down[rank], wayOf(fabric, routes, parent, self));
    }
    if (flowsUp(collective)) {
      TUTTI_ASSIGN_OR_RETURN(routed.up[rank], wayOf(fabric, routes, self, parent));
    }
  }
  return {};
}

}  // namespace

std::vector<std::string_view> fixedTreesOf(Collective collective) {
  if (isByRank(collective)) return {"level_chain", "level_tree"};
  if (collective != Collective::kAllReduce && collective != Collective::kBroadcast &&
      collective != Collective::kReduce) {
    return {};
  }
  return {"double_tree", "level_chain", "level_tree"};
}

base::Result<Packing> fixedTrees(const topology::Topology& fabric, topology::RouteTable& routes,
                                 const Demand& demand, std::string_view form) {
  const auto size = static_cast<int>(fabric.ranks().size());
  const LevelShape top = form == "level_chain" ? LevelShape::kChain : LevelShape::kBinary;
  std::vector<Level> levels;
  if (form != "double_tree") levels = levelsOf(fabric, top);
  Packing packing{.collective = demand.collective};
  if (form != "double_tree" && levels.empty()) return packing;
  const bool isRooted = ir::hasRoot(demand.collective);
  auto trees = isByRank(demand.collective)
                   ? treePerRank(size, levels, top)
                   : sharedTrees(size, levels, top, isRooted ? demand.root : -1);
  for (ir::Tree& tree : trees) {
    packing.trees.push_back({std::move(tree), {}, {}});
    TUTTI_RETURN_IF_ERROR(addWays(fabric, routes, demand.collective, packing.trees.back()));
  }
  measure(fabric, packing);
  return packing;
}

}  // namespace tutti::plan
