#include "src/schedule/symbolic.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace tutti::schedule {
namespace {

constexpr int kWordBits = 64;

// Keys of `finish` start with this, which is no expression.
constexpr ExpressionId kFinishMark = -1;

}  // namespace

Expressions::Expressions(int size) : size_(size) {
  const auto words = static_cast<size_t>((size + kWordBits - 1) / kWordBits);
  nodes_.resize(static_cast<size_t>(1 + 2 * size));
  for (Node& each : nodes_) each.ranks.resize(words);
  for (int rank = 0; rank < size; ++rank) {
    const uint64_t bit = uint64_t{1} << (rank % kWordBits);
    nodes_[static_cast<size_t>(raw(rank))].ranks[static_cast<size_t>(rank / kWordBits)] |= bit;
    nodes_[static_cast<size_t>(contribution(rank))].ranks[static_cast<size_t>(rank / kWordBits)] |=
        bit;
  }
}

ExpressionId Expressions::add(std::vector<ExpressionId> key, Node node) {
  const auto [at, isNew] =
      known_.try_emplace(std::move(key), static_cast<ExpressionId>(nodes_.size()));
  if (isNew) nodes_.push_back(std::move(node));
  return at->second;
}

ExpressionId Expressions::combine(const std::vector<ExpressionId>& operands, std::string& error) {
  std::vector<ExpressionId> key = operands;
  // a + b and b + a are the same bits; further operands join in order.
  if (key.size() > 1 && key[0] > key[1]) std::swap(key[0], key[1]);
  if (const auto at = known_.find(key); at != known_.end()) return at->second;
  Node sum;
  sum.ranks.resize(nodes_.front().ranks.size());
  for (const ExpressionId operand : operands) {
    const Node& part = node(operand);
    if (part.isFinished) {
      error = "combines a result that is final already";
      return kNothing;
    }
    for (size_t word = 0; word < sum.ranks.size(); ++word) {
      const uint64_t twice = sum.ranks[word] & part.ranks[word];
      if (twice != 0) {
        error = fmt::format("has the contribution of rank {} twice",
                            static_cast<int>(word) * kWordBits + __builtin_ctzll(twice));
        return kNothing;
      }
      sum.ranks[word] |= part.ranks[word];
    }
  }
  return add(std::move(key), std::move(sum));
}

ExpressionId Expressions::finish(ExpressionId id, std::string& error) {
  if (node(id).isFinished) {
    error = "makes a result final that is final already";
    return kNothing;
  }
  Node done = node(id);
  done.isFinished = true;
  return add({kFinishMark, id}, std::move(done));
}

std::vector<ir::Rank> Expressions::missing(ExpressionId id) const {
  std::vector<ir::Rank> ranks;
  for (int rank = 0; rank < size_; ++rank) {
    const uint64_t word = node(id).ranks[static_cast<size_t>(rank / kWordBits)];
    if ((word >> (rank % kWordBits) & 1) == 0) ranks.push_back(rank);
  }
  return ranks;
}

bool Expressions::isFinished(ExpressionId id) const { return node(id).isFinished; }

void append(Pieces& pieces, const Piece& piece) {
  if (piece.length == 0) return;
  if (!pieces.empty()) {
    Piece& last = pieces.back();
    if (last.expression == piece.expression && last.position + last.length == piece.position) {
      last.length += piece.length;
      return;
    }
  }
  pieces.push_back(piece);
}

Pieces cut(const Pieces& pieces, int64_t begin, int64_t length) {
  Pieces result;
  int64_t at = 0;
  for (const Piece& piece : pieces) {
    const int64_t from = std::max(begin, at);
    const int64_t to = std::min(begin + length, at + piece.length);
    if (from < to) append(result, {to - from, piece.expression, piece.position + from - at});
    at += piece.length;
  }
  return result;
}

void join(Clock& clock, const Clock& other) {
  for (size_t lane = 0; lane < clock.size(); ++lane) {
    clock[lane] = std::max(clock[lane], other[lane]);
  }
}

SymbolicMemory::SymbolicMemory(int64_t elements) {
  if (elements > 0) cells_[0].length = elements;
}

void SymbolicMemory::split(int64_t at) {
  auto after = cells_.upper_bound(at);
  if (after == cells_.begin()) return;
  auto cell = std::prev(after);
  const int64_t head = at - cell->first;
  if (head == 0 || head >= cell->second.length) return;
  Cell tail = cell->second;
  tail.length -= head;
  tail.position += head;
  cell->second.length = head;
  cells_.emplace_hint(after, at, std::move(tail));
}

void SymbolicMemory::fill(int64_t begin, const Pieces& pieces) {
  Moment ignored;
  write(begin, pieces, {}, {}, ignored);
}

Pieces SymbolicMemory::read(int64_t begin, int64_t length, Moment now, const Clock& clock,
                            Moment& conflict) {
  Pieces pieces;
  if (length == 0) return pieces;
  split(begin);
  split(begin + length);
  for (auto cell = cells_.find(begin); cell != cells_.end() && cell->first < begin + length;
       ++cell) {
    Cell& found = cell->second;
    if (!isBefore(found.writer, clock)) conflict = found.writer;
    append(pieces, {found.length, found.expression, found.position});
    const auto same = std::find_if(found.readers.begin(), found.readers.end(),
                                   [&](const Moment& each) { return each.lane == now.lane; });
    if (same == found.readers.end()) {
      found.readers.push_back(now);
    } else {
      *same = now;
    }
  }
  return pieces;
}

void SymbolicMemory::write(int64_t begin, const Pieces& pieces, Moment now, const Clock& clock,
                           Moment& conflict) {
  int64_t end = begin;
  for (const Piece& piece : pieces) end += piece.length;
  if (end == begin) return;
  split(begin);
  split(end);
  const auto first = cells_.find(begin);
  const auto last = cells_.lower_bound(end);
  for (auto cell = first; cell != last && now.lane >= 0; ++cell) {
    if (!isBefore(cell->second.writer, clock)) conflict = cell->second.writer;
    for (const Moment& reader : cell->second.readers) {
      if (!isBefore(reader, clock)) conflict = reader;
    }
  }
  cells_.erase(first, last);
  int64_t at = begin;
  for (const Piece& piece : pieces) {
    cells_[at] = {piece.length, piece.expression, piece.position, now, {}};
    at += piece.length;
  }
}

Moment SymbolicMemory::accessAfter(int64_t begin, int64_t length, const Clock& clock) const {
  for (auto cell = cells_.lower_bound(begin); cell != cells_.end() && cell->first < begin + length;
       ++cell) {
    if (!isBefore(cell->second.writer, clock)) return cell->second.writer;
    for (const Moment& reader : cell->second.readers) {
      if (!isBefore(reader, clock)) return reader;
    }
  }
  return {};
}

Pieces SymbolicMemory::look(int64_t begin, int64_t length) const {
  Pieces pieces;
  if (length == 0) return pieces;
  for (auto cell = std::prev(cells_.upper_bound(begin));
       cell != cells_.end() && cell->first < begin + length; ++cell) {
    const int64_t from = std::max(begin, cell->first);
    const int64_t to = std::min(begin + length, cell->first + cell->second.length);
    append(pieces,
           {to - from, cell->second.expression, cell->second.position + from - cell->first});
  }
  return pieces;
}

}  // namespace tutti::schedule
