// all_reduce. Every rank ends with the same bits: a block is combined at one rank and copied from
// there, or combined by the same expression everywhere (one_shot, recursive_doubling).
#include "src/ir/trees.h"
#include "src/schedule/templates.h"

namespace tutti::schedule {

// Everyone gives its vector to everyone; all combine in rank order.
void allReduceOneShot(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape);
  if (!shape.usesBoard()) {
    lane.steps.push_back(move(input(self), fifosOfOthers(shape)));
    lane.steps.push_back(final(combine(gathered(shape, input(self)), {output(self)})));
    return;
  }
  Operands sources;
  for (ir::Rank peer = 0; peer < shape.size(); ++peer) {
    sources.push_back(peer == self ? input(self) : posted(peer, kDataPost));
  }
  lane.steps.push_back(move(input(self), {post(kDataPost)}));
  lane.steps.push_back(final(combine(std::move(sources), {output(self)})));
}

// Rank r combines block r of all inputs in place and writes it to all outputs. Only rank r touches
// block r of anybody, so outputs may be inputs.
void allReduceDirect(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  Operands sources;
  Operands destinations;
  for (ir::Rank peer = 0; peer < shape.size(); ++peer) {
    sources.push_back(input(peer, self));
    destinations.push_back(output(peer, self));
  }
  ir::Lane& lane = addLane(schedule, shape, 0, shape.size());
  lane.steps.push_back(expose());
  lane.steps.push_back(attach({ir::kEveryone}));
  lane.steps.push_back(final(combine(std::move(sources), std::move(destinations))));
  lane.steps.push_back(signal());
  lane.steps.push_back(wait({ir::kEveryone}));
}

// Staged: block p goes to rank p (channel 0), which combines and sends it to all (channel 1). Three
// lanes, so that sending, combining and collecting of different chunks overlap. A result of block p
// arrives only after p had our part of it: outputs may be inputs.
void allReduceTwoShot(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& scatter = addLane(schedule, shape, 0, shape.size());
  for (const ir::Rank peer : othersAfter(shape)) {
    scatter.steps.push_back(move(input(self, peer), {fifo(peer)}));
  }
  Operands destinations = {output(self, self)};
  for (const ir::Operand& each : fifosOfOthers(shape, 1)) destinations.push_back(each);
  addLane(schedule, shape, 0, shape.size())
      .steps.push_back(final(combine(gathered(shape, input(self, self)), std::move(destinations))));
  ir::Lane& collect = addLane(schedule, shape, 1, shape.size());
  for (const ir::Rank peer : othersBefore(shape)) {
    collect.steps.push_back(move(fifo(peer), {output(self, peer)}));
  }
}

// log2 rounds of pairwise exchange of the whole vector. Both partners combine the part of the lower
// half of the pair with that of the upper one, so both get the same bits.
void allReduceRecursiveDoubling(const Shape& shape, ir::Schedule& schedule) {
  const Fold fold(shape.size());
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape);
  if (fold.isFolded(self)) {
    lane.steps.push_back(move(input(self), {fifo(self + 1)}));
    lane.steps.push_back(move(fifo(self + 1), {output(self)}));
    return;
  }
  ir::Operand current = input(self);
  if (fold.isHost(self)) {
    lane.steps.push_back(combine({fifo(self - 1), current}, {output(self)}));
    current = output(self);
  }
  const int number = fold.virtualOf(self);
  for (int distance = 1; distance < fold.power; distance *= 2) {
    const int other = number ^ distance;
    const ir::Operand theirs = fifo(fold.rankOf(other));
    lane.steps.push_back(move(current, {theirs}));
    lane.steps.push_back(number < other ? combine({current, theirs}, {output(self)})
                                        : combine({theirs, current}, {output(self)}));
    current = output(self);
  }
  ir::Step& last = lane.steps.back();
  last.isFinal = true;
  if (fold.isHost(self)) last.destinations.push_back(fifo(self - 1));
}

namespace {

// One half of Rabenseifner's algorithm: with each partner, farthest first, give away half of the
// blocks that are left and combine the other half.
void halve(const Shape& shape, const Fold& fold, ir::Lane& lane) {
  const ir::Rank self = shape.rank();
  const int number = fold.virtualOf(self);
  ir::Space current = fold.isHost(self) ? ir::Space::kOutput : ir::Space::kInput;
  for (int half = fold.power / 2; half >= 1; half /= 2) {
    const int partner = number ^ half;
    const ir::Operand theirs = fifo(fold.rankOf(partner));
    const int kept = number / half * half;
    const int given = partner / half * half;
    for (const Run each : messagesOf(0, half, fold.power, shape.longestRun())) {
      const Run give{given + each.begin, each.blocks};
      const Run keep{kept + each.begin, each.blocks};
      const ir::Operand mine = run(current, self, keep);
      lane.steps.push_back(move(run(current, self, give), {theirs}));
      lane.steps.push_back(
          combine(number < partner ? Operands{mine, theirs} : Operands{theirs, mine},
                  {run(ir::Space::kOutput, self, keep)}));
      lane.steps.back().isFinal = half == 1;
    }
    current = ir::Space::kOutput;
  }
}

// The other half: the way back, with copies.
void doubleUp(const Shape& shape, const Fold& fold, ir::Lane& lane) {
  const ir::Rank self = shape.rank();
  const int number = fold.virtualOf(self);
  for (int half = 1; half < fold.power; half *= 2) {
    const int partner = number ^ half;
    const ir::Operand theirs = fifo(fold.rankOf(partner));
    for (const Run each : messagesOf(0, half, fold.power, shape.longestRun())) {
      const int mine = number / half * half + each.begin;
      const int wanted = partner / half * half + each.begin;
      lane.steps.push_back(move(output(self, mine, each.blocks), {theirs}));
      lane.steps.push_back(move(theirs, {output(self, wanted, each.blocks)}));
    }
  }
}

}  // namespace

// Rabenseifner: reduce-scatter by halving, all-gather by doubling.
void allReduceHalvingDoubling(const Shape& shape, ir::Schedule& schedule) {
  const Fold fold(shape.size());
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape, 0, fold.power);
  const auto whole = messagesOf(0, fold.power, fold.power, shape.longestRun());
  if (fold.isFolded(self)) {
    for (const Run each : whole) {
      lane.steps.push_back(move(run(ir::Space::kInput, self, each), {fifo(self + 1)}));
    }
    for (const Run each : whole) {
      lane.steps.push_back(move(fifo(self + 1), {run(ir::Space::kOutput, self, each)}));
    }
    return;
  }
  if (fold.isHost(self)) {
    for (const Run each : whole) {
      lane.steps.push_back(combine({fifo(self - 1), run(ir::Space::kInput, self, each)},
                                   {run(ir::Space::kOutput, self, each)}));
    }
  }
  halve(shape, fold, lane);
  doubleUp(shape, fold, lane);
  if (fold.isHost(self)) {
    for (const Run each : whole) {
      lane.steps.push_back(move(run(ir::Space::kOutput, self, each), {fifo(self - 1)}));
    }
  }
}

// Block b starts at position b, is combined along the ring and complete at position b - 1, from
// where it is copied on.
void allReduceRing(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  const int size = shape.size();
  const int position = shape.position();
  const ir::Operand next = fifo(shape.rankAt(position + 1));
  const ir::Operand previous = fifo(shape.rankAt(position - 1));
  const auto block = [&](int back) { return (position - back + 2 * size) % size; };

  ir::Lane& lane = addLane(schedule, shape, 0, size);
  lane.steps.push_back(move(input(self, position), {next}));
  for (int step = 1; step < size; ++step) {
    const int at = block(step);
    lane.steps.push_back(combine({previous, input(self, at)}, {next}));
  }
  ir::Step& last = lane.steps.back();
  last.isFinal = true;
  last.destinations = {output(self, block(size - 1)), next};
  for (int step = 1; step < size; ++step) {
    lane.steps.push_back(move(previous, {output(self, block(step - 1))}));
    if (step < size - 1) lane.steps.back().destinations.push_back(next);
  }
}

// Half of the vector on each tree of a double binary tree: combined upwards, copied downwards, both
// at once in lanes of their own. The FIFOs of tree t are those of channel t.
void allReduceDoubleTree(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  schedule.sliceWeights = {1, 1};
  for (int tree = 0; tree < 2; ++tree) {
    const ir::TreeNode node = ir::doubleTreeNode(shape.size(), tree, shape.position());
    Operands sources = {input(self)};
    Operands below = {output(self)};
    for (const int child : node.children) {
      sources.push_back(fifo(shape.rankAt(child)));
      below.push_back(fifo(shape.rankAt(child)));
    }
    ir::Lane& up = addLane(schedule, shape, tree, 1, tree);
    if (node.parent < 0) {
      up.steps.push_back(final(combine(std::move(sources), std::move(below))));
      continue;
    }
    const ir::Operand parent = fifo(shape.rankAt(node.parent));
    up.steps.push_back(combine(std::move(sources), {parent}));
    ir::Lane& down = addLane(schedule, shape, tree, 1, tree);
    down.steps.push_back(move(parent, std::move(below)));
  }
}

}  // namespace tutti::schedule
