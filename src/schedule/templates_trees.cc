// Any weighted trees: what the planner packs into a fabric whose links differ.
//
// "trees": a slice of the vector on each tree, in proportion to its weight, and so is its chunk, so
// that all trees end together; over many chunks they keep step (pace). Every tree has its own lanes
// and its own narrow channel: each pair of ranks is an edge of a tree at most once, so a channel
// for each tree is enough, and no tree waits for another. What goes up and what comes down of
// different chunks pass each other on the two FIFOs of an edge.
//
// "forest": one or more trees from each rank, more of them than there are channels. A lane carries
// all trees in which the rank is equally far from the root, in one order, and so does a channel.
// All lanes of all ranks run in the order (chunk, tree), and a message goes one step away from or
// towards the root, so (chunk, tree, depth) orders all steps and nothing waits in a circle. Depths
// that are one lane because there are too many of them keep that order too. Where FIFOs take
// messages of any length, as many groups of trees as there are channels for have lanes and channels
// of their own: FIFOs and lanes do one thing after the other, and trees reach a neighbour, or one's
// neighbours, over different links. Trees of one root are the first to part.
#include <algorithm>
#include <numeric>

#include "src/schedule/forest.h"
#include "src/schedule/templates.h"

namespace tutti::schedule {
namespace {

using ir::Limits;

// Where channel `index` is among all.
int narrow(int index) { return Limits::kChannels + index; }

Operands fifosOf(const std::vector<int>& peers, int channel = -1) {
  Operands operands;
  for (const int peer : peers) operands.push_back(fifo(peer, channel));
  return operands;
}

Operands joined(ir::Operand first, Operands rest) {
  rest.insert(rest.begin(), first);
  return rest;
}

// Calls visit(the place of this rank, add) for each tree; add(step) makes a lane of one step.
template <typename Visit>
void forEachTree(const Shape& shape, ir::Schedule& schedule, const Visit& visit) {
  schedule.sliceWeights.clear();
  for (const ir::Tree& tree : shape.trees()) schedule.sliceWeights.push_back(tree.weight);
  schedule.narrowBytes = chunksByWeight(shape.chunkBytes(), schedule.sliceWeights);
  for (size_t index = 0; index < shape.trees().size(); ++index) {
    const auto number = static_cast<int>(index);
    visit(nodeOf(shape.trees()[index], shape.rank()), [&, number](ir::Step step) {
      ir::Lane& lane = addLane(schedule, shape, narrow(number), 1, number);
      lane.chunkBytes = schedule.narrowBytes[static_cast<size_t>(number)];
      lane.steps.push_back(std::move(step));
    });
  }
}

// Links that several trees use are shared evenly, not by weight: light trees would run ahead, and
// heavy ones come late where nobody can catch up. So where a lighter tree's data begins, each chunk
// waits until the same chunk of the heaviest tree has come by. The heaviest waits for no other, so
// nothing waits in a circle.
void pace(const Shape& shape, ir::Schedule& schedule) {
  if (!shape.isPaced()) return;
  const auto& weights = schedule.sliceWeights;
  const auto heaviest = std::max_element(weights.begin(), weights.end());
  const auto leads = [&](const ir::Lane& lane) { return lane.slice == heaviest - weights.begin(); };
  const auto leader = std::find_if(schedule.lanes.begin(), schedule.lanes.end(), leads);
  const auto isFifo = [](const ir::Operand& each) { return each.space == ir::Space::kFifo; };
  for (ir::Lane& lane : schedule.lanes) {
    ir::Step& step = lane.steps.front();
    const bool isLighter = weights[static_cast<size_t>(lane.slice)] < *heaviest;
    const bool isBegin = std::none_of(step.sources.begin(), step.sources.end(), isFifo);
    if (isLighter && isBegin) step.afterLane = static_cast<int>(leader - schedule.lanes.begin());
  }
}

}  // namespace

// Combined upwards and copied downwards on the same tree, both at once.
void allReduceTrees(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  forEachTree(shape, schedule, [&](const ir::TreeNode& node, const auto& add) {
    Operands sources = joined(input(self), fifosOf(node.children));
    Operands below = joined(output(self), fifosOf(node.children));
    if (node.parent < 0) return add(final(combine(std::move(sources), std::move(below))));
    add(combine(std::move(sources), {fifo(node.parent)}));
    add(move(fifo(node.parent), std::move(below)));
  });
  pace(shape, schedule);
}

void reduceTrees(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  forEachTree(shape, schedule, [&](const ir::TreeNode& node, const auto& add) {
    Operands sources = joined(input(self), fifosOf(node.children));
    if (node.parent < 0) return add(final(combine(std::move(sources), {output(self)})));
    add(combine(std::move(sources), {fifo(node.parent)}));
  });
  pace(shape, schedule);
}

void broadcastTrees(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  forEachTree(shape, schedule, [&](const ir::TreeNode& node, const auto& add) {
    Operands below = fifosOf(node.children);
    below.push_back(output(self));
    add(move(node.parent < 0 ? input(self) : fifo(node.parent), std::move(below)));
  });
  pace(shape, schedule);
}

namespace {

// The lanes of one rank in a forest, one for each depth at which it is, or for several.
class ForestLanes {
 public:
  ForestLanes(const Shape& shape, ir::Schedule& schedule)
      : shape_(shape), schedule_(schedule), cut_(shape.trees()) {
    schedule.sliceWeights = cut_.weights;
    schedule.sliceChunks = chunksByWeight(shape.chunkBytes(), cut_.weights);
    uint64_t longest = 0;
    for (const ir::ForestCut::Run& run : cut_.runs) longest = std::max(longest, chunkOf(run));
    int deepest = 1;
    for (const ir::Tree& tree : shape.trees()) {
      const std::vector<int> depths = depthsOf(tree);
      deepest = std::max(deepest, *std::max_element(depths.begin(), depths.end()));
      depths_.push_back(depths[static_cast<size_t>(shape.rank())]);
    }
    channels_ = std::min(deepest, Limits::kNarrowChannels);
    if (shape.fitsSlots()) {
      const uint64_t fitting = std::max<uint64_t>(1, Limits::kFifoSlotBytes / longest);
      channels_ = static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(channels_), fitting));
    }
    // With a channel for each depth there can be a lane for each, leaves included.
    lanes_ = channels_ == deepest ? deepest + 1 : channels_;
    if (!shape.fitsSlots()) {
      const int most = Limits::kNarrowChannels / channels_;
      turns_ = std::min(mostTurns(), most);
      roots_ = std::min(shape.size(), most / turns_);
    }
    laneOf_.assign(static_cast<size_t>(lanes_ * turns_ * roots_), -1);
    schedule.narrowBytes.assign(static_cast<size_t>(channels_ * turns_ * roots_), longest);
  }

  // Calls visit(tree, node of this rank, the channel above it, the channel below it) for each tree
  // in turn, and adds the step that it returns.
  template <typename Visit>
  void forEachTree(const Visit& visit) {
    std::vector<int> seen(static_cast<size_t>(shape_.size()));  // by root
    for (const size_t index : cut_.order) {
      const ir::Tree& tree = shape_.trees()[index];
      const int depth = depths_[index];
      const int turn = seen[static_cast<size_t>(tree.root)]++;
      const int group = turn % turns_ * roots_ + tree.root % roots_;
      ir::Step step = visit(tree, nodeOf(tree, shape_.rank()), channelBelow(depth - 1, group),
                            channelBelow(depth, group));
      step.slice = cut_.runs[index].slice;
      step.slices = cut_.runs[index].slices;
      laneAt(depth, group).steps.push_back(std::move(step));
    }
  }

 private:
  // The most trees of one root.
  int mostTurns() const {
    std::vector<int> counts(static_cast<size_t>(shape_.size()));
    for (const ir::Tree& tree : shape_.trees()) ++counts[static_cast<size_t>(tree.root)];
    return *std::max_element(counts.begin(), counts.end());
  }
  uint64_t chunkOf(const ir::ForestCut::Run& run) const {
    const auto first = schedule_.sliceChunks.begin() + run.slice;
    return std::accumulate(first, first + run.slices, uint64_t{0});
  }
  // Between ranks at this depth and those one further from the root.
  int channelBelow(int depth, int group) const {
    return narrow(group * channels_ + (depth + channels_) % channels_);
  }

  ir::Lane& laneAt(int depth, int group) {
    int& lane = laneOf_[static_cast<size_t>(group * lanes_ + depth % lanes_)];
    if (lane < 0) {
      lane = static_cast<int>(schedule_.lanes.size());
      addLane(schedule_, shape_, narrow(0), 1, -1).chunkBytes = 0;
    }
    return schedule_.lanes[static_cast<size_t>(lane)];
  }

  const Shape& shape_;
  ir::Schedule& schedule_;
  ir::ForestCut cut_;
  std::vector<int> depths_;  // of this rank, by tree
  int channels_ = 1;         // for depths
  int lanes_ = 1;            // for depths
  int turns_ = 1;            // groups: of a root's trees,
  int roots_ = 1;            // and of the roots
  std::vector<int> laneOf_;  // by group and depth; -1: none yet
};

}  // namespace

void allGatherForest(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ForestLanes(shape, schedule)
      .forEachTree([&](const ir::Tree& tree, const ir::TreeNode& node, int above, int below) {
        Operands to = fifosOf(node.children, below);
        to.push_back(output(self, tree.root));
        return move(node.parent < 0 ? input(self) : fifo(node.parent, above), std::move(to));
      });
}

void reduceScatterForest(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ForestLanes(shape, schedule)
      .forEachTree([&](const ir::Tree& tree, const ir::TreeNode& node, int above, int below) {
        Operands from = joined(input(self, tree.root), fifosOf(node.children, below));
        if (node.parent < 0) return final(combine(std::move(from), {output(self)}));
        return combine(std::move(from), {fifo(node.parent, above)});
      });
}

}  // namespace tutti::schedule
