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

 private:
  template <typename Visit>
  void forEachMessage(const Visit& visit) const {
    const bool goesDown = flowsDown(packing_.collective);
    const bool goesUp = flowsUp(packing_.collective);
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

// From so many chunks on, keeping step gains more than it costs at the start (simulated: even at 30
// to 60, a tenth at 500).
constexpr uint64_t kPacedChunks = 48;

// What trees of one root share, and how many they are.
struct Share {
  int64_t trees = 0;
  int64_t whole = 0;     // the sum of their weights
  int64_t heaviest = 1;  // of all roots'
};

Share shareOf(const std::vector<ir::Tree>& trees) {
  Share share;
  for (const ir::Tree& tree : trees) {
    share.heaviest = std::max<int64_t>(share.heaviest, tree.weight);
    if (tree.root != trees[0].root) continue;
    share.whole += tree.weight;
    ++share.trees;
  }
  return share;
}

// What passes while the fullest link is busy with a chunk: of the vector; of a forest, by one
// tree, and then its part of a block. At most all of a call of `bytes`, or its block; at least a
// unit for each tree that has a share in it.
uint64_t chunkBytes(const Candidate& candidate, uint64_t bytes, const std::vector<ir::Tree>& trees,
                    bool isByRank, int32_t ranks) {
  constexpr Int128 kUnitsPerByte = 1'000'000;  // kB/s x ns
  const Rational& rate = candidate.kilobytesPerSecond;
  const Share share = shareOf(trees);
  Int128 passed = Int128{rate.num} * chunkNsOf(candidate, bytes) / (rate.den * kUnitsPerByte);
  if (isByRank) passed = passed * share.whole / share.heaviest;
  const uint64_t whole = isByRank ? bytes / static_cast<uint64_t>(ranks) : bytes;
  const auto chunk = static_cast<int64_t>(std::min<Int128>(passed, whole));
  const int64_t sharing = isByRank ? share.trees : static_cast<int64_t>(trees.size());
  const int64_t units = (chunk + kChunkGrain - 1) / kChunkGrain;
  return static_cast<uint64_t>(std::max({units, sharing, int64_t{1}}) * kChunkGrain);
}

}  // namespace

// Every tree gets 128 B and its weight's part of the rest, rounded down: together no more than the
// chunk.
ir::Plan inSlots(Planned planned) {
  ir::Plan& plan = planned.plan;
  auto most = static_cast<int64_t>(ir::Limits::kFifoSlotBytes);
  int64_t sharing = 1;
  if (!plan.trees.empty()) {
    const Share share = shareOf(plan.trees);
    sharing = plan.algorithm == "trees" ? static_cast<int64_t>(plan.trees.size()) : share.trees;
    const int64_t channels =
        std::clamp<int64_t>(planned.maxDepth, 1, int64_t{ir::Limits::kNarrowChannels});
    if (plan.algorithm == "forest") {
      most = std::min(most, most / channels * share.whole / share.heaviest);
    }
  }
  const int64_t fitting = std::min(static_cast<int64_t>(plan.chunkBytes), most) / kChunkGrain;
  plan.chunkBytes = static_cast<uint64_t>(std::max(fitting, sharing) * kChunkGrain);
  plan.fitsSlots = true;
  return std::move(plan);
}

base::Result<Planned> planned(const FabricPlan& made, std::string_view algorithm, uint64_t bytes) {
  TUTTI_ASSIGN_OR_RETURN(const Candidate* candidate, find(made, algorithm));
  Planned result;
  ir::Plan& plan = result.plan;
  plan.collective = made.collective;
  plan.root = made.root;
  plan.algorithm = templateOf(*candidate);
  plan.order = candidate->order;
  plan.predictedNs = static_cast<double>(predictedNs(*candidate, bytes));
  if (algorithm == "chain") plan.chunkBytes = chunkBytes(*candidate, bytes, {}, false, made.ranks);
  if (!candidate->packing.trees.empty()) {
    const Forest forest(made, candidate->packing);
    const bool isByRank = plan.algorithm == "forest";
    plan.trees = forest.trees();
    plan.fitsSlots = !isByRank;
    plan.chunkBytes = chunkBytes(*candidate, bytes, plan.trees, isByRank, made.ranks);
    plan.isPaced = !isByRank && bytes / plan.chunkBytes >= kPacedChunks;
    result.routes = forest.routes(isByRank);
    const Packing& packing = candidate->packing;
    result.maxDepth = packing.maxDepth * (packing.isFlooding ? 2 : 1);
  }
  return result;
}

}  // namespace tutti::plan
