// Symbolic contents of memory, for the validator. Private to this room.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "src/ir/types.h"

namespace tutti::schedule {

using ExpressionId = int32_t;
inline constexpr ExpressionId kNothing = 0;  // never written

// All expressions of one run. Equal expressions have equal ids.
class Expressions {
 public:
  explicit Expressions(int size);

  // What rank's input holds; in a reducing collective, before and after its factor.
  ExpressionId raw(ir::Rank rank) const { return 1 + rank; }
  ExpressionId contribution(ir::Rank rank) const { return 1 + size_ + rank; }
  bool isRaw(ExpressionId id) const { return id >= 1 && id <= size_; }

  // The operands combined left to right. kNothing with a text in `error` where that is wrong.
  ExpressionId combine(const std::vector<ExpressionId>& operands, std::string& error);
  // After the divisor.
  ExpressionId finish(ExpressionId id, std::string& error);

  // Ranks that have no part in it; empty for a complete result.
  std::vector<ir::Rank> missing(ExpressionId id) const;
  bool isFinished(ExpressionId id) const;

 private:
  struct Node {
    std::vector<uint64_t> ranks;  // bit set of the contributions
    bool isFinished = false;
  };
  ExpressionId add(std::vector<ExpressionId> key, Node node);
  const Node& node(ExpressionId id) const { return nodes_[static_cast<size_t>(id)]; }

  int size_;
  std::vector<Node> nodes_;
  std::map<std::vector<ExpressionId>, ExpressionId> known_;
};

// `length` elements of one expression; the first one stems from element `position` of the inputs.
struct Piece {
  int64_t length = 0;
  ExpressionId expression = kNothing;
  int64_t position = 0;
  bool operator==(const Piece&) const = default;
};
using Pieces = std::vector<Piece>;

// Appends, joining what continues the last piece.
void append(Pieces& pieces, const Piece& piece);
// Elements [begin, begin + length) of `pieces`.
Pieces cut(const Pieces& pieces, int64_t begin, int64_t length);

// A moment of a lane: its number among all lanes of all ranks, and its count of steps then.
struct Moment {
  int32_t lane = -1;  // -1: before everything
  uint32_t step = 0;
};

// What a lane knows: for every lane of every rank, the last step that happened before.
using Clock = std::vector<uint32_t>;
inline bool isBefore(const Moment& moment, const Clock& clock) {
  return moment.lane < 0 || moment.step <= clock[static_cast<size_t>(moment.lane)];
}
void join(Clock& clock, const Clock& other);

// The memory of one rank: input, output and scratch, in elements.
class SymbolicMemory {
 public:
  explicit SymbolicMemory(int64_t elements);

  // As the rank finds it at the start: no access is recorded.
  void fill(int64_t begin, const Pieces& pieces);

  // Reads at `now`, of a lane that knows `clock`. `conflict`: an unordered writer, if there is one.
  Pieces read(int64_t begin, int64_t length, Moment now, const Clock& clock, Moment& conflict);
  // Writes; `conflict`: an unordered reader or writer.
  void write(int64_t begin, const Pieces& pieces, Moment now, const Clock& clock, Moment& conflict);

  // An access to [begin, begin + length) that did not happen before `clock`, if there is one.
  Moment accessAfter(int64_t begin, int64_t length, const Clock& clock) const;
  Pieces look(int64_t begin, int64_t length) const;

 private:
  struct Cell {
    int64_t length = 0;
    ExpressionId expression = kNothing;
    int64_t position = 0;
    Moment writer;
    std::vector<Moment> readers;
  };
  using Cells = std::map<int64_t, Cell>;
  void split(int64_t at);

  Cells cells_;  // by their begin; without gaps
};

}  // namespace tutti::schedule
