// broadcast: only the root has an input; every rank, the root too, has an output.
#include "src/ir/trees.h"
#include "src/schedule/templates.h"

namespace tutti::schedule {

// The root gives its vector to everyone.
void broadcastOneShot(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape);
  if (!shape.isRoot()) {
    const ir::Operand from =
        shape.usesBoard() ? posted(shape.root(), kDataPost) : fifo(shape.root());
    lane.steps.push_back(move(from, {output(self)}));
    return;
  }
  Operands to = shape.usesBoard() ? Operands{post(kDataPost)} : fifosOfOthers(shape);
  lane.steps.push_back(move(input(self), std::move(to)));
  // Last, so that the others need not wait for it.
  lane.steps.push_back(move(input(self), {output(self)}));
}

// Everyone reads the root's input.
void broadcastDirect(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape);
  if (shape.isRoot()) {
    lane.steps.push_back(expose());
    lane.steps.push_back(move(input(self), {output(self)}));
    lane.steps.push_back(wait({ir::kEveryone}));
  } else {
    lane.steps.push_back(attach({shape.root()}));
    lane.steps.push_back(move(input(shape.root()), {output(self)}));
    lane.steps.push_back(signal());
  }
}

namespace {

// The part of one rank in a tree whose nodes are relative positions.
void broadcastDown(const Shape& shape, const ir::TreeNode& node, ir::Lane& lane) {
  const ir::Rank self = shape.rank();
  // Farthest first: their subtrees are the largest.
  Operands below;
  for (auto child = node.children.rbegin(); child != node.children.rend(); ++child) {
    below.push_back(fifo(shape.rankAtRelative(*child)));
  }
  below.push_back(output(self));
  const ir::Operand source =
      node.parent < 0 ? input(self) : fifo(shape.rankAtRelative(node.parent));
  lane.steps.push_back(move(source, std::move(below)));
}

}  // namespace

// A line of ranks that starts at the root; chunks follow each other.
void broadcastChain(const Shape& shape, ir::Schedule& schedule) {
  const int relative = shape.relative();
  ir::TreeNode node;
  node.parent = relative - 1;
  if (relative + 1 < shape.size()) node.children = {relative + 1};
  broadcastDown(shape, node, addLane(schedule, shape));
}

// Binomial tree: log2 rounds.
void broadcastTree(const Shape& shape, ir::Schedule& schedule) {
  broadcastDown(shape, ir::binomialNode(shape.size(), shape.relative()), addLane(schedule, shape));
}

// Half of the vector on each tree of a double binary tree over all but the root.
void broadcastDoubleTree(const Shape& shape, ir::Schedule& schedule) {
  schedule.sliceWeights = {1, 1};
  for (int tree = 0; tree < 2; ++tree) {
    const ir::TreeNode node = ir::rootedDoubleTreeNode(shape.size(), tree, shape.relative());
    broadcastDown(shape, node, addLane(schedule, shape, tree, 1, tree));
  }
}

// The root deals out size - 1 blocks, one to each other rank (channel 0), and those give them to
// each other (channel 1): every byte leaves the root once.
void broadcastScatterAllGather(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  const int blocks = shape.size() - 1;
  const int mine = shape.relative() - 1;
  ir::Lane& deal = addLane(schedule, shape, 0, blocks);
  if (shape.isRoot()) {
    for (int block = 0; block < blocks; ++block) {
      const ir::Operand to = fifo(shape.rankAtRelative(block + 1));
      deal.steps.push_back(move(input(self, block), {output(self, block), to}));
    }
    return;
  }
  Operands destinations = {output(self, mine)};
  for (int distance = 1; distance < blocks; ++distance) {
    const ir::Rank peer = shape.rankAtRelative((mine + distance) % blocks + 1);
    destinations.push_back(fifo(peer, 1));
  }
  deal.steps.push_back(move(fifo(shape.root()), std::move(destinations)));
  ir::Lane& collect = addLane(schedule, shape, 1, blocks);
  for (int distance = 1; distance < blocks; ++distance) {
    const int block = (mine - distance + blocks) % blocks;
    const ir::Operand from = fifo(shape.rankAtRelative(block + 1));
    collect.steps.push_back(move(from, {output(self, block)}));
  }
}

}  // namespace tutti::schedule
