// reduce: only the root has an output.
#include "src/ir/trees.h"
#include "src/schedule/templates.h"

namespace tutti::schedule {

// Everyone gives its vector to the root, which combines in rank order.
void reduceOneShot(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape);
  if (!shape.isRoot()) {
    const ir::Operand to = shape.usesBoard() ? post(kDataPost) : fifo(shape.root());
    lane.steps.push_back(move(input(self), {to}));
    return;
  }
  Operands sources = gathered(shape, input(self));
  for (ir::Operand& source : sources) {
    if (shape.usesBoard() && source.space == ir::Space::kFifo) {
      source = posted(source.rank, kDataPost);
    }
  }
  lane.steps.push_back(final(combine(std::move(sources), {output(self)})));
}

// Rank r combines block r of all inputs in place, into the root's output.
void reduceDirect(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  Operands sources;
  for (ir::Rank peer = 0; peer < shape.size(); ++peer) sources.push_back(input(peer, self));
  ir::Lane& lane = addLane(schedule, shape, 0, shape.size());
  lane.steps.push_back(expose());
  lane.steps.push_back(attach({ir::kEveryone}));
  lane.steps.push_back(final(combine(std::move(sources), {output(shape.root(), self)})));
  lane.steps.push_back(signal());
  lane.steps.push_back(wait({ir::kEveryone}));
}

// Staged: block p goes to rank p (channel 0), which combines and sends it to the root (channel 1).
void reduceTwoShot(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& scatter = addLane(schedule, shape, 0, shape.size());
  for (const ir::Rank peer : othersAfter(shape)) {
    scatter.steps.push_back(move(input(self, peer), {fifo(peer)}));
  }
  const ir::Operand result = shape.isRoot() ? output(self, self) : fifo(shape.root(), 1);
  addLane(schedule, shape, 0, shape.size())
      .steps.push_back(final(combine(gathered(shape, input(self, self)), {result})));
  if (!shape.isRoot()) return;
  ir::Lane& collect = addLane(schedule, shape, 1, shape.size());
  for (const ir::Rank peer : othersBefore(shape)) {
    collect.steps.push_back(move(fifo(peer), {output(self, peer)}));
  }
}

namespace {

// The part of one rank in a tree whose nodes are relative positions: its own vector and its
// children's sums, in this order, go to the parent or become the result.
void reduceUp(const Shape& shape, const ir::TreeNode& node, ir::Lane& lane) {
  const ir::Rank self = shape.rank();
  Operands sources = {input(self)};
  for (const int child : node.children) sources.push_back(fifo(shape.rankAtRelative(child)));
  if (node.parent < 0) {
    lane.steps.push_back(final(combine(std::move(sources), {output(self)})));
  } else {
    const ir::Operand parent = fifo(shape.rankAtRelative(node.parent));
    lane.steps.push_back(combine(std::move(sources), {parent}));
  }
}

}  // namespace

// Binomial tree: log2 rounds.
void reduceTree(const Shape& shape, ir::Schedule& schedule) {
  reduceUp(shape, ir::binomialNode(shape.size(), shape.relative()), addLane(schedule, shape));
}

// Half of the vector on each tree of a double binary tree over all but the root.
void reduceDoubleTree(const Shape& shape, ir::Schedule& schedule) {
  schedule.sliceWeights = {1, 1};
  for (int tree = 0; tree < 2; ++tree) {
    const ir::TreeNode node = ir::rootedDoubleTreeNode(shape.size(), tree, shape.relative());
    reduceUp(shape, node, addLane(schedule, shape, tree, 1, tree));
  }
}

// A line of ranks that ends at the root; chunks follow each other.
void reduceChain(const Shape& shape, ir::Schedule& schedule) {
  const int relative = shape.relative();
  ir::TreeNode node;
  node.parent = relative - 1;
  if (relative + 1 < shape.size()) node.children = {relative + 1};
  reduceUp(shape, node, addLane(schedule, shape));
}

}  // namespace tutti::schedule
