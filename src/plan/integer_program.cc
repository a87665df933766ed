#include "src/plan/integer_program.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "src/plan/index.h"

namespace tutti::plan {
namespace {

int bitsOf(Int128 value) {
  const Int128 magnitude = value < 0 ? -value : value;
  const auto high = static_cast<uint64_t>(magnitude >> 64);
  const auto low = static_cast<uint64_t>(magnitude);
  return static_cast<int>(high != 0 ? 64 + std::bit_width(high) : std::bit_width(low));
}

}  // namespace

IntegerProgram::IntegerProgram(int variables) : width_(at(variables)), rows_(1) {
  rows_[0].coefficients.assign(width_, 1);
  for (int32_t i = 0; i < variables; ++i) outside_.push_back(i);
}

void IntegerProgram::add(std::vector<int64_t> coefficients, int64_t limit) {
  inside_.push_back(-1 - static_cast<int32_t>(inside_.size()));
  rows_.push_back({{coefficients.begin(), coefficients.end()}, limit});
}

void IntegerProgram::solve() {
  const size_t most = 8 * width_ + 64;
  for (size_t pivots = 0; pivots < most; ++pivots) {
    // The steepest column is fast, the first one never goes round in a circle (Bland).
    const size_t column = findColumn(2 * pivots > most);
    const size_t row = column < width_ ? findRow(column) : 0;
    if (row == 0) return;
    const int bits = widestProduct();
    if (bits > 125) return;
    if (bits <= 61) {
      pivot<int64_t>(row, column);
    } else {
      pivot<Int128>(row, column);
    }
  }
}

size_t IntegerProgram::findColumn(bool isFirst) const {
  const std::vector<Int128>& gains = rows_[0].coefficients;
  size_t best = width_;
  for (size_t i = 0; i < width_; ++i) {
    if (gains[i] <= 0) continue;
    const bool isBetter =
        best == width_ || (isFirst ? outside_[i] < outside_[best] : gains[i] > gains[best]);
    if (isBetter) best = i;
  }
  return best;
}

// The row that is full first, or 0.
size_t IntegerProgram::findRow(size_t column) const {
  size_t best = 0;
  for (size_t i = 1; i < rows_.size(); ++i) {
    const Int128 coefficient = rows_[i].coefficients[column];
    if (coefficient <= 0) continue;
    const bool isBetter = best == 0 || rows_[i].limit * rows_[best].coefficients[column] <
                                           rows_[best].limit * coefficient;
    if (isBetter) best = i;
  }
  return best;
}

// Bits of the difference of two products of an entry and a coefficient.
int IntegerProgram::widestProduct() const {
  int coefficients = 0;
  int limits = 0;
  for (const Row& row : rows_) {
    limits = std::max(limits, bitsOf(row.limit));
    for (const Int128 value : row.coefficients)
      coefficients = std::max(coefficients, bitsOf(value));
  }
  return coefficients + std::max(coefficients, limits) + 1;
}

template <typename Word>
void IntegerProgram::pivot(size_t row, size_t column) {
  const Row by = rows_[row];
  const auto divisor = static_cast<Word>(denominator_);
  const auto pivot = static_cast<Word>(by.coefficients[column]);
  for (size_t i = 0; i < rows_.size(); ++i) {
    Row& each = rows_[i];
    const auto factor = static_cast<Word>(each.coefficients[column]);
    if (i == row || (factor == 0 && pivot == divisor)) continue;
    const auto change = [&](Int128& value, Int128 against) {
      value = (static_cast<Word>(value) * pivot - factor * static_cast<Word>(against)) / divisor;
    };
    for (size_t j = 0; j < width_; ++j) change(each.coefficients[j], by.coefficients[j]);
    change(each.limit, by.limit);
    each.coefficients[column] = -factor;
    work_ += static_cast<int64_t>(width_);
  }
  rows_[row].coefficients[column] = denominator_;
  denominator_ = pivot;
  std::swap(outside_[column], inside_[row - 1]);
}

std::vector<Int128> IntegerProgram::variables() const {
  std::vector<Int128> variables(width_, 0);
  for (size_t i = 0; i < inside_.size(); ++i) {
    if (inside_[i] >= 0) variables[at(inside_[i])] = rows_[i + 1].limit;
  }
  return variables;
}

std::vector<Int128> IntegerProgram::prices() const {
  std::vector<Int128> prices(inside_.size(), 0);
  for (size_t i = 0; i < width_; ++i) {
    if (outside_[i] >= 0) continue;
    prices[at(-1 - outside_[i])] = std::max<Int128>(0, -rows_[0].coefficients[i]);
  }
  return prices;
}

}  // namespace tutti::plan
