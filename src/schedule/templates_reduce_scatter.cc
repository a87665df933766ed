// reduce_scatter and reduce_scatter_v: block r of all inputs, combined, to rank r.
#include "src/schedule/templates.h"

namespace tutti::schedule {

// Every rank posts its whole input and combines its block of all posts in rank order.
void reduceScatterOneShot(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  Operands sources;
  for (ir::Rank peer = 0; peer < shape.size(); ++peer) {
    sources.push_back(peer == self ? input(self, self) : posted(peer, kDataPost, self));
  }
  ir::Lane& lane = addLane(schedule, shape);
  lane.steps.push_back(move(input(self, 0, shape.size()), {post(kDataPost)}));
  lane.steps.push_back(final(combine(std::move(sources), {output(self)})));
}

// Every rank combines its block of all inputs in place. An output may be its owner's input block:
// nobody else reads that.
void reduceScatterDirect(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  Operands sources;
  for (ir::Rank peer = 0; peer < shape.size(); ++peer) sources.push_back(input(peer, self));
  ir::Lane& lane = addLane(schedule, shape);
  lane.steps.push_back(expose());
  lane.steps.push_back(attach({ir::kEveryone}));
  lane.steps.push_back(final(combine(std::move(sources), {output(self)})));
  lane.steps.push_back(signal());
  lane.steps.push_back(wait({ir::kEveryone}));
}

// Staged: every block goes to its rank, which combines in rank order.
void reduceScatterExchange(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& scatter = addLane(schedule, shape);
  for (const ir::Rank peer : othersAfter(shape)) {
    scatter.steps.push_back(move(input(self, peer), {fifo(peer)}));
  }
  addLane(schedule, shape)
      .steps.push_back(final(combine(gathered(shape, input(self, self)), {output(self)})));
}

// The block of position p starts at p + 1 and is combined along the ring.
void reduceScatterRing(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  const int position = shape.position();
  const ir::Operand next = fifo(shape.rankAt(position + 1));
  const ir::Operand previous = fifo(shape.rankAt(position - 1));
  ir::Lane& lane = addLane(schedule, shape);
  lane.steps.push_back(move(input(self, shape.rankAt(position - 1)), {next}));
  for (int step = 1; step < shape.size(); ++step) {
    const ir::Rank block = shape.rankAt(position - 1 - step);
    lane.steps.push_back(combine({previous, input(self, block)}, {next}));
  }
  ir::Step& last = lane.steps.back();
  last.isFinal = true;
  last.destinations = {output(self)};
}

namespace {

// With each partner, farthest first: give away the partner's half of the blocks that are left and
// combine the own half, in scratch. `last` is where the own blocks end up.
void halve(const Shape& shape, const Fold& fold, ir::Lane& lane, ir::Operand last) {
  const ir::Rank self = shape.rank();
  const int number = fold.virtualOf(self);
  ir::Space current = fold.isHost(self) ? ir::Space::kScratch : ir::Space::kInput;
  const auto blocksOf = [&](int virtualBegin, int half) {
    const int begin = fold.firstBlock(virtualBegin);
    const int end = fold.firstBlock(virtualBegin + half);
    return messagesOf(begin, end - begin, shape.size(), shape.longestRun());
  };
  for (int half = fold.power / 2; half >= 1; half /= 2) {
    const int partner = number ^ half;
    const ir::Operand theirs = fifo(fold.rankOf(partner));
    for (const Run give : blocksOf(partner / half * half, half)) {
      lane.steps.push_back(move(run(current, self, give), {theirs}));
    }
    for (const Run keep : blocksOf(number / half * half, half)) {
      const ir::Operand mine = run(current, self, keep);
      const ir::Operand result = half == 1 ? last : run(ir::Space::kScratch, self, keep);
      lane.steps.push_back(
          combine(number < partner ? Operands{mine, theirs} : Operands{theirs, mine}, {result}));
      lane.steps.back().isFinal = half == 1;
    }
    current = ir::Space::kScratch;
  }
}

}  // namespace

// Recursive halving; what is combined on the way lies in scratch, at the number of its block.
void reduceScatterHalving(const Shape& shape, ir::Schedule& schedule) {
  const Fold fold(shape.size());
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape);
  const auto whole = messagesOf(0, shape.size(), shape.size(), shape.longestRun());
  if (fold.isFolded(self)) {
    for (const Run each : whole) {
      lane.steps.push_back(move(run(ir::Space::kInput, self, each), {fifo(self + 1)}));
    }
    lane.steps.push_back(move(fifo(self + 1), {output(self)}));
    return;
  }
  schedule.scratchBlocks = shape.size();
  if (!fold.isHost(self)) {
    halve(shape, fold, lane, output(self));
    return;
  }
  for (const Run each : whole) {
    lane.steps.push_back(combine({fifo(self - 1), run(ir::Space::kInput, self, each)},
                                 {run(ir::Space::kScratch, self, each)}));
  }
  // The neighbour's block and the own one.
  halve(shape, fold, lane, scratch(self, self - 1, 2));
  lane.steps.push_back(move(scratch(self, self - 1), {fifo(self - 1)}));
  lane.steps.push_back(move(scratch(self, self), {output(self)}));
}

}  // namespace tutti::schedule
