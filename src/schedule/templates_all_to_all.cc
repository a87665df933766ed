// all_to_all, and send and recv of one pair.
#include "src/schedule/templates.h"

namespace tutti::schedule {

// Every rank posts its whole input, then reads its block of every post.
void allToAllOneShot(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape);
  lane.steps.push_back(move(input(self, 0, shape.size()), {post(kDataPost)}));
  lane.steps.push_back(move(input(self, self), {output(self, self)}));
  for (const ir::Rank peer : othersAfter(shape)) {
    lane.steps.push_back(move(posted(peer, kDataPost, self), {output(self, peer)}));
  }
}

// Every rank reads its block of every input in place. Not where an output is an input: it would be
// overwritten before others have read it.
void allToAllDirect(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& lane = addLane(schedule, shape);
  lane.steps.push_back(expose());
  lane.steps.push_back(move(input(self, self), {output(self, self)}));
  lane.steps.push_back(attach({ir::kEveryone}));
  for (const ir::Rank peer : othersAfter(shape)) {
    lane.steps.push_back(move(input(peer, self), {output(self, peer)}));
  }
  lane.steps.push_back(signal());
  lane.steps.push_back(wait({ir::kEveryone}));
}

// Pairwise messages. Block p of the output is written after block p of the input was sent, chunk by
// chunk, so that they may be the same.
void allToAllExchange(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  ir::Lane& deal = addLane(schedule, shape);
  for (const ir::Rank peer : othersAfter(shape)) {
    deal.steps.push_back(move(input(self, peer), {fifo(peer)}));
  }
  deal.steps.push_back(move(input(self, self), {output(self, self)}));
  ir::Lane& collect = addLane(schedule, shape);
  for (const ir::Rank peer : othersBefore(shape)) {
    const int sent = (peer - self + shape.size()) % shape.size() - 1;
    collect.steps.push_back(after(move(fifo(peer), {output(self, peer)}), 0, sent));
  }
}

// log2 rounds: in the round of bit k, all blocks whose distance has this bit travel k ranks on,
// packed into one message. A block's way is known beforehand, so what was received stays where it
// is until it is packed again or delivered. Outputs are written last.
void allToAllBruck(const Shape& shape, ir::Schedule& schedule) {
  const ir::Rank self = shape.rank();
  const int size = shape.size();
  ir::Lane& lane = addLane(schedule, shape);
  Operands place;  // of the block that travels this distance in all
  for (int distance = 0; distance < size; ++distance) {
    place.push_back(input(self, (self + distance) % size));
  }
  const int packed = size / 2 + 1;  // scratch [0, packed) is for packing, what arrives lies above
  int top = packed;
  for (int bit = 1; bit < size; bit *= 2) {
    int count = 0;
    for (int distance = bit; distance < size; ++distance) {
      if ((distance & bit) == 0) continue;
      ir::Operand& at = place[static_cast<size_t>(distance)];
      lane.steps.push_back(move(at, {scratch(self, count)}));
      at = scratch(self, top + count++);
    }
    for (const Run each : messagesOf(0, count, count, shape.longestRun())) {
      lane.steps.push_back(move(run(ir::Space::kScratch, self, each), {fifo((self + bit) % size)}));
      lane.steps.push_back(
          move(fifo((self - bit + size) % size), {scratch(self, top + each.begin, each.blocks)}));
    }
    top += count;
  }
  for (int distance = 0; distance < size; ++distance) {
    const ir::Rank origin = (self - distance + size) % size;
    lane.steps.push_back(move(place[static_cast<size_t>(distance)], {output(self, origin)}));
  }
  schedule.scratchBlocks = top;
}

// Plan::root is the peer.
void sendFifo(const Shape& shape, ir::Schedule& schedule) {
  addLane(schedule, shape, ir::Limits::kSendRecvChannel)
      .steps.push_back(move(input(shape.rank()), {fifo(shape.root())}));
}

void recvFifo(const Shape& shape, ir::Schedule& schedule) {
  addLane(schedule, shape, ir::Limits::kSendRecvChannel)
      .steps.push_back(move(fifo(shape.root()), {output(shape.rank())}));
}

}  // namespace tutti::schedule
