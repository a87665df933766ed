// Small words that the templates are written in. Private to this room.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "src/ir/plan.h"
#include "src/ir/schedule.h"

namespace tutti::schedule {

// Posts of the direct algorithms; one_shot uses kDataPost.
inline constexpr int kExposePost = 0;
inline constexpr int kDonePost = 1;
inline constexpr int kDataPost = 0;

// What a template knows: whose part it writes, and in which chunks. Positions are places in
// plan.order; a relative position counts from the root's.
class Shape {
 public:
  Shape(const ir::Plan& plan, int size, ir::Rank rank);

  int size() const { return size_; }
  ir::Rank rank() const { return rank_; }
  ir::Rank root() const { return plan_.root; }
  bool isRoot() const { return rank_ == plan_.root; }
  bool usesBoard() const { return plan_.usesBoard; }
  uint64_t chunkBytes() const { return plan_.chunkBytes; }
  bool fitsSlots() const { return plan_.fitsSlots; }
  bool isPaced() const { return plan_.isPaced; }
  const std::vector<ir::Tree>& trees() const { return plan_.trees; }

  int position() const { return position_; }
  ir::Rank rankAt(int position) const;  // any integer, modulo size

  int relative() const { return (position_ - rootPosition_ + size_) % size_; }
  ir::Rank rankAtRelative(int relative) const { return rankAt(rootPosition_ + relative); }

  // Blocks that fit one message.
  int longestRun() const;

 private:
  const ir::Plan& plan_;
  int size_;
  ir::Rank rank_;
  int position_ = 0;
  int rootPosition_ = 0;
};

// A run of neighbouring blocks.
struct Run {
  int begin = 0;
  int blocks = 1;
};

// [begin, begin + blocks) modulo `circle`, cut where it wraps and into messages of at most
// `longest` blocks: the same cuts at both ends of a transfer.
std::vector<Run> messagesOf(int begin, int blocks, int circle, int longest);

// Non powers of two for the algorithms that pair ranks by bits: of the first 2 * extra ranks each
// even one hands its part to its odd neighbour, and power ranks are left, which have virtual
// numbers.
struct Fold {
  explicit Fold(int size);

  bool isFolded(ir::Rank rank) const { return rank < 2 * extra && rank % 2 == 0; }
  bool isHost(ir::Rank rank) const { return rank < 2 * extra && rank % 2 == 1; }
  int virtualOf(ir::Rank rank) const { return rank < 2 * extra ? rank / 2 : rank - extra; }
  ir::Rank rankOf(int number) const { return number < extra ? 2 * number + 1 : number + extra; }
  // The blocks (one per rank) that the virtual ranks from `number` on stand for begin here.
  int firstBlock(int number) const { return number < extra ? 2 * number : number + extra; }

  int power = 1;  // largest power of two <= size
  int extra = 0;  // size - power
};

using Operands = std::vector<ir::Operand>;

inline ir::Operand input(ir::Rank owner, int block = 0, int blocks = 1) {
  return {.space = ir::Space::kInput, .rank = owner, .block = block, .blocks = blocks};
}
inline ir::Operand output(ir::Rank owner, int block = 0, int blocks = 1) {
  return {.space = ir::Space::kOutput, .rank = owner, .block = block, .blocks = blocks};
}
inline ir::Operand scratch(ir::Rank owner, int block = 0, int blocks = 1) {
  return {.space = ir::Space::kScratch, .rank = owner, .block = block, .blocks = blocks};
}
inline ir::Operand fifo(ir::Rank peer, int channel = -1) {
  return {.space = ir::Space::kFifo, .rank = peer, .channel = channel};
}
inline ir::Operand post(int number) {
  return {.space = ir::Space::kBoard, .rank = ir::kEveryone, .block = number};
}
inline ir::Operand posted(ir::Rank owner, int number, int part = -1) {
  return {.space = ir::Space::kBoard, .rank = owner, .block = number, .part = part};
}
// The same block of another space or owner.
inline ir::Operand run(ir::Space space, ir::Rank owner, Run blocks) {
  return {.space = space, .rank = owner, .block = blocks.begin, .blocks = blocks.blocks};
}

ir::Step move(ir::Operand source, Operands destinations);
// kReduce; kMove where there is one source.
ir::Step combine(Operands sources, Operands destinations);
ir::Step final(ir::Step step);
ir::Step after(ir::Step step, int lane, int index);

ir::Step expose();
ir::Step attach(std::vector<ir::Rank> peers);
ir::Step signal();
ir::Step wait(std::vector<ir::Rank> peers);

// A FIFO for each rank but this one, ascending.
Operands fifosOfOthers(const Shape& shape, int channel = -1);
// In rank order, what each rank gives: `own` for this rank, the FIFO from it for another.
Operands gathered(const Shape& shape, ir::Operand own);

// Ranks other than this one in the order r+1, r+2 ...: no two ranks start with the same peer.
std::vector<ir::Rank> othersAfter(const Shape& shape);
// r-1, r-2 ...: the order in which the others' messages arrive.
std::vector<ir::Rank> othersBefore(const Shape& shape);

// A new lane in chunks of shape.chunkBytes(). The reference holds until the next lane is added.
ir::Lane& addLane(ir::Schedule& schedule, const Shape& shape, int channel = 0, int blocks = 1,
                  int slice = 0);

}  // namespace tutti::schedule
