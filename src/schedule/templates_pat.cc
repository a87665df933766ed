// Parallel aggregated trees: all_gather and reduce_scatter among any number of ranks.
//
// Every block has a binomial tree of its own, and the trees of different blocks are the same but
// for a turn: where rank r is o places behind a block's owner (its offset), it got the block from
// o - lowbit(o) and hands it to o + d for every power of two d < lowbit(o) with o + d < n. So of
// n blocks one goes n/2 far, two go n/4 ... and n/2 go to the next rank: the opposite of Bruck,
// whose longest way carries half of all. reduce_scatter runs the same trees backwards.
//
// Aggregation. Blocks whose offsets differ by multiples of a stride D (a power of two) go through
// the same edges below D, so they make a group, which is one message there; D is the least for
// which a group fits a slot. First the blocks of group 0 are gathered over the distances that are
// multiples of D, as aggregated as can be (log2(n/D) messages); then group g = 1 .. D-1 comes from
// g - lowbit(g), one message each. Short calls take D = 2 and ceil(log2 n) messages; long chunks
// D >= n, and every block is a message.
//
// Order and memory. Groups are walked depth first, which is by ascending number, in reduce_scatter
// by descending. A rank hands a group to all its children in one step, or combines what comes from
// all of them in one step: what is on the way lies in FIFOs. Over distance d, group g + d is sent
// with g and consumed in the receiver's turn of g + d; no group between them goes over d. So one
// message for each of log2(D) distances waits at a time, and no FIFO fills up. Scratch serves only
// for packing groups of two blocks and more, which are no neighbours in the user's buffers: two
// groups, so at most two slots' bytes, whatever n and the length of the call.
//
// The groups with odd numbers are leaves. They have a lane of their own, so that the steps of the
// other lane need not wait for those that were sent a moment ago.
#include <bit>

#include "src/schedule/templates.h"

namespace tutti::schedule {
namespace {

// Gathering group 0: what has been gathered is a run of places; to `distance` strides away goes
// `given`, and from so far away comes what lies at `taken` thereafter.
struct Round {
  int distance = 1;
  Run given;
  Run taken;
};

// The trees as one rank sees them. A block of group g is named by its turn t: the offset g + tD.
class Trees {
 public:
  Trees(const Shape& shape, int longestRun) : shape_(shape) {
    while (blocksOf(0) > longestRun) stride_ *= 2;
    arrange();
  }

  int stride() const { return stride_; }
  int groups() const { return std::min(stride_, shape_.size()); }
  int blocksOf(int group) const { return (shape_.size() - group + stride_ - 1) / stride_; }
  // Groups are packed: the first lane's in scratch from block 0 on, the second's behind it.
  bool isPacked(int group) const { return blocksOf(group) > 1; }
  int scratchOf(int group) const { return group % 2 == 0 ? 0 : blocksOf(0); }
  int scratchBlocks() const {
    if (!isPacked(0)) return 0;
    return blocksOf(0) + (isPacked(1) ? blocksOf(1) : 0);
  }

  // Whose block is at a place of a group.
  ir::Rank owner(int group, int place = 0) const {
    return shape_.rankAt(shape_.position() - group - turns_[static_cast<size_t>(place)] * stride_);
  }
  // FIFOs with the ranks below this one in a group's trees, those that get `blocks` blocks of it.
  Operands children(int group, int blocks) const {
    Operands fifos;
    const int limit = group == 0 ? stride_ : group & -group;
    for (int distance = 1; distance < limit; distance *= 2) {
      if (blocks > 0 && blocksOf(group + distance) == blocks) fifos.push_back(at(distance));
    }
    return fifos;
  }
  ir::Operand at(int distance) const { return fifo(shape_.rankAt(shape_.position() + distance)); }
  const std::vector<Round>& rounds() const { return rounds_; }

 private:
  // Places such that all rounds move runs of neighbours. The highest turn is always the last: it is
  // the one whose partner may be missing, in a round as well as in a group that has one block less.
  void arrange() {
    const int turns = blocksOf(0);
    turns_ = {0};
    for (int distance = static_cast<int>(std::bit_ceil(static_cast<unsigned>(turns))) / 2;
         distance >= 1; distance /= 2) {
      const bool isWhole = turns_.back() + distance < turns;
      std::vector<int> taken(turns_.begin(), turns_.end() - (isWhole ? 0 : 1));
      for (int& turn : taken) turn += distance;
      const auto count = static_cast<int>(taken.size());
      if (isWhole) {
        rounds_.push_back({distance, {0, count}, {count, count}});
        turns_.insert(turns_.end(), taken.begin(), taken.end());
        continue;
      }
      for (Round& earlier : rounds_) {
        earlier.given.begin += count;
        earlier.taken.begin += count;
      }
      rounds_.push_back({distance, {count, count}, {0, count}});
      turns_.insert(turns_.begin(), taken.begin(), taken.end());
    }
  }

  const Shape& shape_;
  int stride_ = 2;
  std::vector<int> turns_;  // by place
  std::vector<Round> rounds_;
};

// Blocks of the V forms are not equally long, as those of scratch are: they are never packed.
Trees treesOf(const Shape& shape, const ir::Schedule& schedule) {
  const bool isUneven = schedule.collective == ir::Collective::kAllGatherV ||
                        schedule.collective == ir::Collective::kReduceScatterV;
  return Trees(shape, isUneven ? 1 : shape.longestRun());
}

Operands with(ir::Operand first, Operands others) {
  others.insert(others.begin(), first);
  return others;
}

// Stores a group, hands it on and spreads its blocks in the output.
void receive(const Shape& shape, const Trees& trees, int group, ir::Lane& lane) {
  const ir::Rank self = shape.rank();
  const int blocks = trees.blocksOf(group);
  const int base = trees.scratchOf(group);
  const ir::Operand source = trees.at(-(group & -group));
  Operands whole = trees.children(group, blocks);
  if (!trees.isPacked(group)) {
    lane.steps.push_back(move(source, with(output(self, trees.owner(group)), std::move(whole))));
    return;
  }
  lane.steps.push_back(move(source, with(scratch(self, base, blocks), std::move(whole))));
  Operands shorter = trees.children(group, blocks - 1);
  if (!shorter.empty()) {
    lane.steps.push_back(move(scratch(self, base, blocks - 1), std::move(shorter)));
  }
  for (int place = 0; place < blocks; ++place) {
    lane.steps.push_back(
        move(scratch(self, base + place), {output(self, trees.owner(group, place))}));
  }
}

// Group 0, which begins with the own block.
void gatherOwn(const Shape& shape, const Trees& trees, ir::Lane& lane) {
  const ir::Rank self = shape.rank();
  const int blocks = trees.blocksOf(0);
  Operands whole = trees.children(0, blocks);
  if (!trees.isPacked(0)) {
    lane.steps.push_back(move(input(self), with(output(self, self), std::move(whole))));
    return;
  }
  const int ownPlace = trees.rounds().front().given.begin;
  lane.steps.push_back(move(input(self), {scratch(self, ownPlace), output(self, self)}));
  for (const Round& round : trees.rounds()) {
    const int distance = round.distance * trees.stride();
    lane.steps.push_back(move(run(ir::Space::kScratch, self, round.given), {trees.at(distance)}));
    lane.steps.push_back(move(trees.at(-distance), {run(ir::Space::kScratch, self, round.taken)}));
  }
  if (!whole.empty()) lane.steps.push_back(move(scratch(self, 0, blocks), std::move(whole)));
  Operands shorter = trees.children(0, blocks - 1);
  if (!shorter.empty()) lane.steps.push_back(move(scratch(self, 0, blocks - 1), shorter));
  for (int place = 0; place < blocks; ++place) {
    if (place == ownPlace) continue;
    lane.steps.push_back(move(scratch(self, place), {output(self, trees.owner(0, place))}));
  }
}

// What lies in a group's place once all but the `whole` children have been combined with it.
ir::Operand collected(const Shape& shape, const Trees& trees, int group, ir::Lane& lane) {
  const ir::Rank self = shape.rank();
  if (!trees.isPacked(group)) return input(self, trees.owner(group));
  const int blocks = trees.blocksOf(group);
  const int base = trees.scratchOf(group);
  for (int place = 0; place < blocks; ++place) {
    lane.steps.push_back(
        move(input(self, trees.owner(group, place)), {scratch(self, base + place)}));
  }
  Operands shorter = trees.children(group, blocks - 1);
  if (!shorter.empty()) {
    const ir::Operand part = scratch(self, base, blocks - 1);
    lane.steps.push_back(combine(with(part, std::move(shorter)), {part}));
  }
  return scratch(self, base, blocks);
}

// Combines a group with all that comes from its children and sends it up.
void give(const Shape& shape, const Trees& trees, int group, ir::Lane& lane) {
  const ir::Operand own = collected(shape, trees, group, lane);
  lane.steps.push_back(combine(with(own, trees.children(group, trees.blocksOf(group))),
                               {trees.at(-(group & -group))}));
}

// Group 0, of which the own block is left in the end.
void finish(const Shape& shape, const Trees& trees, ir::Lane& lane) {
  const ir::Rank self = shape.rank();
  const ir::Operand own = collected(shape, trees, 0, lane);
  Operands sources = with(own, trees.children(0, trees.blocksOf(0)));
  if (!trees.isPacked(0)) {
    lane.steps.push_back(final(combine(std::move(sources), {output(self)})));
    return;
  }
  if (sources.size() > 1) lane.steps.push_back(combine(std::move(sources), {own}));
  for (size_t left = trees.rounds().size(); left > 0; --left) {
    const Round& round = trees.rounds()[left - 1];
    const int distance = round.distance * trees.stride();
    const ir::Operand kept = run(ir::Space::kScratch, self, round.given);
    lane.steps.push_back(move(run(ir::Space::kScratch, self, round.taken), {trees.at(-distance)}));
    lane.steps.push_back(combine({kept, trees.at(distance)}, {left == 1 ? output(self) : kept}));
  }
  lane.steps.back().isFinal = true;
}

}  // namespace

void allGatherPat(const Shape& shape, ir::Schedule& schedule) {
  const Trees trees = treesOf(shape, schedule);
  schedule.scratchBlocks = trees.scratchBlocks();
  ir::Lane& inner = addLane(schedule, shape);
  gatherOwn(shape, trees, inner);
  for (int group = 2; group < trees.groups(); group += 2) receive(shape, trees, group, inner);
  ir::Lane& leaves = addLane(schedule, shape);
  for (int group = 1; group < trees.groups(); group += 2) receive(shape, trees, group, leaves);
}

void reduceScatterPat(const Shape& shape, ir::Schedule& schedule) {
  const Trees trees = treesOf(shape, schedule);
  schedule.scratchBlocks = trees.scratchBlocks();
  ir::Lane& leaves = addLane(schedule, shape);
  const int last = trees.groups() - 1;
  for (int group = last - (last + 1) % 2; group > 0; group -= 2) give(shape, trees, group, leaves);
  ir::Lane& inner = addLane(schedule, shape);
  for (int group = last - last % 2; group > 0; group -= 2) give(shape, trees, group, inner);
  finish(shape, trees, inner);
}

}  // namespace tutti::schedule
