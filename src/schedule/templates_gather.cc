// gather: one block from each rank to the root; scatter: one block from the root to each rank.
#include "src/ir/trees.h"
#include "src/schedule/templates.h"

namespace tutti::schedule {

// Every rank but the root posts its block.
void gatherOneShot(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape);
  if (!shape.isRoot()) {
    lane.steps.push_back(move(input(self), {post(kDataPost)}));
    return;
  }
  lane.steps.push_back(move(input(self), {output(self, self)}));
  for (const ir::Rank peer : othersAfter(shape)) {
    lane.steps.push_back(move(posted(peer, kDataPost), {output(self, peer)}));
  }
}

// Every rank writes its block into the root's output.
void gatherDirect(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape);
  if (shape.isRoot()) {
    lane.steps.push_back(expose());
    lane.steps.push_back(move(input(self), {output(self, self)}));
    lane.steps.push_back(wait({ir::kEveryone}));
  } else {
    lane.steps.push_back(attach({shape.root()}));
    lane.steps.push_back(move(input(self), {output(shape.root(), self)}));
    lane.steps.push_back(signal());
  }
}

// Every rank sends its block to the root.
void gatherExchange(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape);
  if (!shape.isRoot()) {
    lane.steps.push_back(move(input(self), {fifo(shape.root())}));
    return;
  }
  lane.steps.push_back(move(input(self), {output(self, self)}));
  for (const ir::Rank peer : othersAfter(shape)) {
    lane.steps.push_back(move(fifo(peer), {output(self, peer)}));
  }
}

namespace {

// Blocks lie in the order of the ranks, so plan.order does not matter here: relative positions are
// counted in ranks, from the root on.
int relativeTo(ir::Rank root, const Shape& shape) {
  return (shape.rank() - root + shape.size()) % shape.size();
}
ir::Rank rankAt(int relative, const Shape& shape) {
  return (relative + shape.root()) % shape.size();
}

// A run of relative positions, cut where their ranks wrap around, so that each message is a run of
// blocks of the root's buffer too.
std::vector<Run> subtreeMessages(const Shape& shape, int begin, int count) {
  std::vector<Run> runs;
  int relative = begin;
  for (const Run each : messagesOf(rankAt(begin, shape), count, shape.size(), shape.longestRun())) {
    runs.push_back({relative, each.blocks});
    relative += each.blocks;
  }
  return runs;
}

// Where the blocks of a run of relative positions are on this rank: in the root's buffer `ofRoot`,
// or in scratch, which begins with this rank's own block.
ir::Operand subtreeBlocks(const Shape& shape, ir::Space ofRoot, Run relative) {
  const ir::Rank self = shape.rank();
  if (!shape.isRoot()) {
    return scratch(self, relative.begin - relativeTo(shape.root(), shape), relative.blocks);
  }
  return run(ofRoot, self, {(relative.begin + self) % shape.size(), relative.blocks});
}

}  // namespace

// Binomial tree: every rank collects the blocks of its subtree in scratch and passes them on.
void gatherBinomial(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  const int relative = relativeTo(shape.root(), shape);
  const ir::TreeNode node = ir::binomialNode(shape.size(), relative);
  ir::Lane& lane = addLane(schedule, shape);
  const int span = ir::binomialSpan(shape.size(), relative);
  if (span == 1) {
    lane.steps.push_back(move(input(self), {fifo(rankAt(node.parent, shape))}));
    return;
  }
  if (!shape.isRoot()) schedule.scratchBlocks = span;
  const ir::Space space = ir::Space::kOutput;
  lane.steps.push_back(move(input(self), {subtreeBlocks(shape, space, {relative, 1})}));
  for (const int child : node.children) {
    const ir::Operand from = fifo(rankAt(child, shape));
    for (const Run each : subtreeMessages(shape, child, ir::binomialSpan(shape.size(), child))) {
      lane.steps.push_back(move(from, {subtreeBlocks(shape, space, each)}));
    }
  }
  if (shape.isRoot()) return;
  for (const Run each : subtreeMessages(shape, relative, span)) {
    lane.steps.push_back(
        move(subtreeBlocks(shape, space, each), {fifo(rankAt(node.parent, shape))}));
  }
}

// The root posts its whole input.
void scatterOneShot(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape);
  if (shape.isRoot()) {
    lane.steps.push_back(move(input(self, 0, shape.size()), {post(kDataPost)}));
    lane.steps.push_back(move(input(self, self), {output(self)}));
  } else {
    lane.steps.push_back(move(posted(shape.root(), kDataPost, self), {output(self)}));
  }
}

// Every rank reads its block of the root's input.
void scatterDirect(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape);
  if (shape.isRoot()) {
    lane.steps.push_back(expose());
    lane.steps.push_back(move(input(self, self), {output(self)}));
    lane.steps.push_back(wait({ir::kEveryone}));
  } else {
    lane.steps.push_back(attach({shape.root()}));
    lane.steps.push_back(move(input(shape.root(), self), {output(self)}));
    lane.steps.push_back(signal());
  }
}

// The root sends each rank its block.
void scatterExchange(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape);
  if (!shape.isRoot()) {
    lane.steps.push_back(move(fifo(shape.root()), {output(self)}));
    return;
  }
  for (const ir::Rank peer : othersAfter(shape)) {
    lane.steps.push_back(move(input(self, peer), {fifo(peer)}));
  }
  lane.steps.push_back(move(input(self, self), {output(self)}));
}

// Binomial tree, largest subtrees first: every rank receives the blocks of its subtree in scratch
// and passes them on.
void scatterBinomial(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  const int relative = relativeTo(shape.root(), shape);
  const ir::TreeNode node = ir::binomialNode(shape.size(), relative);
  ir::Lane& lane = addLane(schedule, shape);
  const int span = ir::binomialSpan(shape.size(), relative);
  if (span == 1) {
    lane.steps.push_back(move(fifo(rankAt(node.parent, shape)), {output(self)}));
    return;
  }
  const ir::Space space = ir::Space::kInput;
  if (!shape.isRoot()) {
    schedule.scratchBlocks = span;
    const ir::Operand parent = fifo(rankAt(node.parent, shape));
    for (const Run each : subtreeMessages(shape, relative, span)) {
      lane.steps.push_back(move(parent, {subtreeBlocks(shape, space, each)}));
    }
  }
  for (auto child = node.children.rbegin(); child != node.children.rend(); ++child) {
    const ir::Operand to = fifo(rankAt(*child, shape));
    for (const Run each : subtreeMessages(shape, *child, ir::binomialSpan(shape.size(), *child))) {
      lane.steps.push_back(move(subtreeBlocks(shape, space, each), {to}));
    }
  }
  lane.steps.push_back(move(subtreeBlocks(shape, space, {relative, 1}), {output(self)}));
}

}  // namespace tutti::schedule
