// all_gather and all_gather_v: one block from each rank to every rank.
#include "src/schedule/templates.h"

namespace tutti::schedule {

// Every rank posts its block and reads all posts.
void allGatherOneShot(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape);
  lane.steps.push_back(move(input(self), {post(kDataPost), output(self, self)}));
  for (const ir::Rank peer : othersAfter(shape)) {
    lane.steps.push_back(move(posted(peer, kDataPost), {output(self, peer)}));
  }
}

// Every rank reads all inputs in place. An input may be its owner's output block: nobody else
// writes there.
void allGatherDirect(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape);
  lane.steps.push_back(expose());
  lane.steps.push_back(move(input(self), {output(self, self)}));
  lane.steps.push_back(attach({ir::kEveryone}));
  for (const ir::Rank peer : othersAfter(shape)) {
    lane.steps.push_back(move(input(peer), {output(self, peer)}));
  }
  lane.steps.push_back(signal());
  lane.steps.push_back(wait({ir::kEveryone}));
}

// Every rank sends its block to every other; collecting has a lane of its own.
void allGatherExchange(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  Operands destinations;
  for (const ir::Rank peer : othersAfter(shape)) destinations.push_back(fifo(peer));
  destinations.push_back(output(self, self));
  addLane(schedule, shape).steps.push_back(move(input(self), std::move(destinations)));
  ir::Lane& collect = addLane(schedule, shape);
  for (const ir::Rank peer : othersBefore(shape)) {
    collect.steps.push_back(move(fifo(peer), {output(self, peer)}));
  }
}

void allGatherRing(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  const int position = shape.position();
  const ir::Operand next = fifo(shape.rankAt(position + 1));
  const ir::Operand previous = fifo(shape.rankAt(position - 1));
  ir::Lane& lane = addLane(schedule, shape);
  lane.steps.push_back(move(input(self), {next, output(self, self)}));
  for (int back = 1; back < shape.size(); ++back) {
    lane.steps.push_back(move(previous, {output(self, shape.rankAt(position - back))}));
    if (back < shape.size() - 1) lane.steps.back().destinations.push_back(next);
  }
}

// Rounds of doubling distance: rank r has the blocks r, r+1 ... and gives all it has to r -
// distance.
void allGatherBruck(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  const int size = shape.size();
  ir::Lane& lane = addLane(schedule, shape);
  lane.steps.push_back(move(input(self), {output(self, self)}));
  for (int distance = 1; distance < size; distance *= 2) {
    const int blocks = std::min(distance, size - distance);
    const ir::Rank from = (self + distance) % size;
    const ir::Rank to = (self - distance + size) % size;
    for (const Run each : messagesOf(self, blocks, size, shape.longestRun())) {
      lane.steps.push_back(move(run(ir::Space::kOutput, self, each), {fifo(to)}));
    }
    for (const Run each : messagesOf(from, blocks, size, shape.longestRun())) {
      lane.steps.push_back(move(fifo(from), {run(ir::Space::kOutput, self, each)}));
    }
  }
}

// Powers of two: pairs exchange all they have, with doubling distance.
void allGatherRecursiveDoubling(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape);
  lane.steps.push_back(move(input(self), {output(self, self)}));
  for (int half = 1; half < shape.size(); half *= 2) {
    const ir::Rank partner = self ^ half;
    for (const Run each : messagesOf(0, half, half, shape.longestRun())) {
      const int mine = self / half * half + each.begin;
      const int wanted = partner / half * half + each.begin;
      lane.steps.push_back(move(output(self, mine, each.blocks), {fifo(partner)}));
      lane.steps.push_back(move(fifo(partner), {output(self, wanted, each.blocks)}));
    }
  }
}

}  // namespace tutti::schedule
