#include "src/schedule/steps.h"

namespace tutti::schedule {
namespace {

int positionOf(const std::vector<ir::Rank>& order, ir::Rank rank) {
  if (order.empty()) return rank;
  return static_cast<int>(std::find(order.begin(), order.end(), rank) - order.begin());
}

}  // namespace

Shape::Shape(const ir::Plan& plan, int size, ir::Rank rank)
    : plan_(plan),
      size_(size),
      rank_(rank),
      position_(positionOf(plan.order, rank)),
      rootPosition_(positionOf(plan.order, plan.root)) {}

ir::Rank Shape::rankAt(int position) const {
  const int place = ((position % size_) + size_) % size_;
  return plan_.order.empty() ? place : plan_.order[static_cast<size_t>(place)];
}

int Shape::longestRun() const {
  // Without a chunk loop the planner has seen to it that the whole message fits.
  if (plan_.chunkBytes == 0) return size_;
  const uint64_t blocks = ir::Limits::kFifoSlotBytes / plan_.chunkBytes;
  return static_cast<int>(std::clamp<uint64_t>(blocks, 1, static_cast<uint64_t>(size_)));
}

std::vector<Run> messagesOf(int begin, int blocks, int circle, int longest) {
  std::vector<Run> runs;
  for (int done = 0; done < blocks;) {
    const int at = (begin + done) % circle;
    const int length = std::min({blocks - done, circle - at, longest});
    runs.push_back({at, length});
    done += length;
  }
  return runs;
}

Fold::Fold(int size) {
  while (power * 2 <= size) power *= 2;
  extra = size - power;
}

ir::Step move(ir::Operand source, Operands destinations) {
  ir::Step step;
  step.kind = ir::StepKind::kMove;
  step.sources = {source};
  step.destinations = std::move(destinations);
  return step;
}

ir::Step combine(Operands sources, Operands destinations) {
  ir::Step step;
  step.kind = sources.size() == 1 ? ir::StepKind::kMove : ir::StepKind::kReduce;
  step.sources = std::move(sources);
  step.destinations = std::move(destinations);
  return step;
}

ir::Step final(ir::Step step) {
  step.isFinal = true;
  return step;
}

ir::Step after(ir::Step step, int lane, int index) {
  step.afterLane = lane;
  step.afterStep = index;
  return step;
}

ir::Step expose() {
  ir::Step step;
  step.kind = ir::StepKind::kExpose;
  step.post = kExposePost;
  return step;
}

ir::Step attach(std::vector<ir::Rank> peers) {
  ir::Step step;
  step.kind = ir::StepKind::kAttach;
  step.post = kExposePost;
  step.peers = std::move(peers);
  return step;
}

ir::Step signal() {
  ir::Step step;
  step.kind = ir::StepKind::kSignal;
  step.post = kDonePost;
  return step;
}

ir::Step wait(std::vector<ir::Rank> peers) {
  ir::Step step;
  step.kind = ir::StepKind::kWait;
  step.post = kDonePost;
  step.peers = std::move(peers);
  return step;
}

Operands fifosOfOthers(const Shape& shape, int channel) {
  Operands operands;
  for (ir::Rank peer = 0; peer < shape.size(); ++peer) {
    if (peer != shape.rank()) operands.push_back(fifo(peer, channel));
  }
  return operands;
}

Operands gathered(const Shape& shape, ir::Operand own) {
  Operands operands;
  for (ir::Rank peer = 0; peer < shape.size(); ++peer) {
    operands.push_back(peer == shape.rank() ? own : fifo(peer));
  }
  return operands;
}

std::vector<ir::Rank> othersAfter(const Shape& shape) {
  std::vector<ir::Rank> ranks;
  for (int distance = 1; distance < shape.size(); ++distance) {
    ranks.push_back((shape.rank() + distance) % shape.size());
  }
  return ranks;
}

std::vector<ir::Rank> othersBefore(const Shape& shape) {
  std::vector<ir::Rank> ranks = othersAfter(shape);
  std::reverse(ranks.begin(), ranks.end());
  return ranks;
}

ir::Lane& addLane(ir::Schedule& schedule, const Shape& shape, int channel, int blocks, int slice) {
  ir::Lane& lane = schedule.lanes.emplace_back();
  lane.channel = channel;
  lane.blocks = blocks;
  lane.slice = slice;
  lane.chunkBytes = shape.chunkBytes();
  return lane;
}

}  // namespace tutti::schedule
