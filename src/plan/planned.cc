#include "src/plan/planned.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "src/base/errors.h"
#include "src/ir/schedule.h"

namespace tutti::plan {
namespace {

using ir::Rank;
using topology::LinkIndex;

constexpr int64_t kChunkGrain = 128;

base::Status invalid(std::string text) {
  return {base::Code::kInvalidArgument, base::kErrInvalidArgument, std::move(text)};
}

base::Result<const Candidate*> find(const FabricPlan& made, std::string_view algorithm) {
  std::string names;
  for (const Candidate& each : made.candidates) {
    const bool isUsable = each.kilobytesPerSecond.num != 0;
    if (each.algorithm == algorithm && isUsable) return &each;
    if (each.algorithm == algorithm) {
      return invalid(fmt::format("{} can not be used here: {}", algorithm, each.reason));
    }
    if (isUsable) names += (names.empty() ? "" : ", ") + each.algorithm;
  }
  return invalid(fmt::format("{} has no candidate \"{}\" here; it has: {}",
                             ir::name(made.collective), algorithm, names));
}

int64_t latencyOf(const topology::Topology& fabric, std::span<const LinkIndex> links) {
  int64_t latency = 0;
  for (const LinkIndex link : links) latency += fabric.links[static_cast<size_t>(link)].latencyNs;
  return latency;
}

// `tree`, hung up at another rank.
ir::Tree rerooted(const ir::Tree& tree, Rank root) {
  ir::Tree result = tree;
  result.root = root;
  Rank above = -1;
  for (Rank rank = root; rank >= 0;) {
    result.parents[static_cast<size_t>(rank)] = above;
    above = std::exchange(rank, tree.parents[static_cast<size_t>(rank)]);
  }
  return result;
}

// The trees as the Plan has them, with the links of each edge.
class Forest {
 public:
  Forest(const FabricPlan& made, const Packing& packing) : made_(made), packing_(packing) {
    for (const RoutedTree& routed : packing_.trees) {
      const Rank roots = packing_.isFlooding ? made.ranks : 1;
      for (Rank root = 0; root < roots; ++root) {
        origins_.push_back(&routed);
        trees_.push_back(packing_.isFlooding ? rerooted(routed.tree, root) : routed.tree);
      }
    }
  }

  const std::vector<ir::Tree>& trees() const { return trees_; }

  // Slices and blocks as the Schedules' steps name them.
  std::vector<topology::Route> routes(bool isByRank) const {
    const ir::ForestCut cut(trees_);
    std::vector<topology::Route> routes;
    forEachMessage([&](size_t index, Rank from, Rank to, const std::vector<LinkIndex>& links) {
      const int32_t slice = isByRank ? cut.runs[index].slice : static_cast<int32_t>(index);
      routes.push_back({from, to, slice, links, isByRank ? trees_[index].root : -1});
    });
    return routes;
  }

  int64_t longestLatency() const {
    int64_t longest = 0;
    forEachMessage([&](size_t, Rank, Rank, const std::vector<LinkIndex>& links) {
      longest = std::max(longest, latencyOf(made_.fabric, links));
    });
    return longest;
  }

 private:
  template <typename Visit>
  void forEachMessage(const Visit& visit) const {
    const bool goesDown = packing_.collective != ir::Collective::kReduce &&
                          packing_.collective != ir::Collective::kReduceScatter;
    const bool goesUp = !goesDown || packing_.collective == ir::Collective::kAllReduce;
    for (size_t index = 0; index < trees_.size(); ++index) {
      const RoutedTree& origin = *origins_[index];
      const auto linksOf = [&](Rank from, Rank to) -> const std::vector<LinkIndex>& {
        const bool isUp = origin.tree.parents[static_cast<size_t>(from)] == to;
        return isUp ? origin.up[static_cast<size_t>(from)] : origin.down[static_cast<size_t>(to)];
      };
      for (Rank rank = 0; rank < made_.ranks; ++rank) {
        const Rank parent = trees_[index].parents[static_cast<size_t>(rank)];
        if (parent < 0) continue;
        if (goesDown) visit(index, parent, rank, linksOf(parent, rank));
        if (goesUp) visit(index, rank, parent, linksOf(rank, parent));
      }
    }
  }

  const FabricPlan& made_;
  const Packing& packing_;
  std::vector<ir::Tree> trees_;
  std::vector<const RoutedTree*> origins_;
};

base::Result<int64_t> longestLatency(const FabricPlan& made, const std::vector<Rank>& order) {
  TUTTI_ASSIGN_OR_RETURN(auto routes, topology::RouteTable::make(made.fabric));
  int64_t longest = 0;
  for (size_t place = 1; place < order.size(); ++place) {
    for (const auto& [from, to] :
         {std::pair(order[place - 1], order[place]), std::pair(order[place], order[place - 1])}) {
      TUTTI_ASSIGN_OR_RETURN(const auto links, routes.find(from, to, 0, 0));
      longest = std::max(longest, latencyOf(made.fabric, links));
    }
  }
  return longest;
}

// What passes of each of `blocks` in `ns` at the candidate's rate; at most all of it, at least a
// unit for each of `parts`.
uint64_t chunkBytes(const Candidate& candidate, const FabricPlan& made, int64_t ns, int64_t blocks,
                    int64_t parts) {
  constexpr Int128 kUnitsPerByte = 1'000'000;  // kB/s x ns
  const Rational& rate = candidate.kilobytesPerSecond;
  const Int128 passed = Int128{rate.num} * ns / (rate.den * kUnitsPerByte);
  const auto bytes = static_cast<int64_t>(std::min<Int128>(passed, made.bytes));
  const int64_t units = (bytes / blocks + kChunkGrain - 1) / kChunkGrain;
  return static_cast<uint64_t>(std::max(units, parts) * kChunkGrain);
}

// Of the vector.
uint64_t treesChunk(const Candidate& candidate, const FabricPlan& made, const Forest& forest,
                    int64_t ns) {
  const auto trees = static_cast<int64_t>(forest.trees().size());
  return chunkBytes(candidate, made, ns, 1, trees);
}

// Of each rank's block. A lane for each depth takes a channel for each
// (src/schedule/templates_trees.cc), so a slot must hold a tree's message as often as the forest is
// deep.
uint64_t forestChunk(const Candidate& candidate, const FabricPlan& made, const Forest& forest,
                     int64_t ns) {
  int64_t whole = 0;
  int64_t heaviest = 1;
  int64_t perBlock = 0;
  for (const ir::Tree& tree : forest.trees()) {
    heaviest = std::max<int64_t>(heaviest, tree.weight);
    if (tree.root != 0) continue;
    whole += tree.weight;
    ++perBlock;
  }
  const Packing& packing = candidate.packing;
  const int64_t depth = packing.maxDepth * (packing.isFlooding ? 2 : 1);
  const int64_t channels = std::clamp<int64_t>(depth, 1, ir::Limits::kNarrowChannels);
  const auto slot = static_cast<int64_t>(ir::Limits::kFifoSlotBytes);
  const int64_t most = slot / channels * whole / heaviest / kChunkGrain;
  return std::min(chunkBytes(candidate, made, ns, made.ranks, perBlock),
                  static_cast<uint64_t>(std::max(most, perBlock) * kChunkGrain));
}

}  // namespace

// Every tree gets 128 B and its weight's part of the rest, rounded down: together no more than the
// chunk.
ir::Plan inSlots(ir::Plan plan) {
  constexpr uint64_t kUnit = kChunkGrain;
  uint64_t sharing = plan.trees.empty() ? 1 : 0;  // a vector or block
  for (const ir::Tree& tree : plan.trees) {
    if (tree.root == plan.trees[0].root) ++sharing;
  }
  const uint64_t fitting = std::min(plan.chunkBytes, ir::Limits::kFifoSlotBytes) / kUnit;
  plan.chunkBytes = std::max(fitting, sharing) * kUnit;
  return plan;
}

base::Result<Planned> planned(const FabricPlan& made, std::string_view algorithm,
                              const MessageCosts& costs) {
  TUTTI_ASSIGN_OR_RETURN(const Candidate* candidate, find(made, algorithm));
  Planned result;
  ir::Plan& plan = result.plan;
  plan.collective = made.collective;
  plan.root = made.root;
  plan.algorithm = templateOf(*candidate);
  plan.order = candidate->order;
  plan.predictedNs = static_cast<double>(candidate->ns);
  const int64_t postsNs = kPostsPerChunk * costs.postNs;
  if (algorithm == "chain") {
    TUTTI_ASSIGN_OR_RETURN(const int64_t latency, longestLatency(made, candidate->order));
    plan.chunkBytes = chunkBytes(*candidate, made, std::max(postsNs, latency), 1, 1);
  }
  if (!candidate->packing.trees.empty()) {
    const Forest forest(made, candidate->packing);
    const bool isByRank = plan.algorithm == "forest";
    const int64_t ns = std::max(postsNs, forest.longestLatency());
    plan.trees = forest.trees();
    plan.chunkBytes = isByRank ? forestChunk(*candidate, made, forest, ns)
                               : treesChunk(*candidate, made, forest, ns);
    result.routes = forest.routes(isByRank);
  }
  return result;
}

}  // namespace tutti::plan
