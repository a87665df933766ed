// A linear program solved in integers. Private to this room.
#pragma once

#include <cstdint>
#include <vector>

#include "src/plan/rational.h"

namespace tutti::plan {

// Maximise the sum of variables >= 0 under rows "coefficients * variables <= limit", limits >= 0.
// The primal simplex method on a dictionary of integers over one common denominator, by exact
// divisions only (Edmonds, Bareiss): the same on every machine, no tolerance. A basis is feasible
// at any time; where numbers would outgrow 128 bits, or pivots their number, the last one is the
// answer.
class IntegerProgram {
 public:
  explicit IntegerProgram(int variables);
  void add(std::vector<int64_t> coefficients, int64_t limit);  // of a row; at most 2^40 each
  void solve();

  // After solve, times denominator(). Prices of rows are their dual values: at the optimum, what
  // one more of the limit would add to the sum; never below 0.
  std::vector<Int128> variables() const;
  std::vector<Int128> prices() const;
  Int128 denominator() const { return denominator_; }
  int64_t work() const { return work_; }  // numbers touched

 private:
  struct Row {
    std::vector<Int128> coefficients;  // of what is outside the basis
    Int128 limit = 0;
  };

  size_t findColumn(bool isFirst) const;
  size_t findRow(size_t column) const;
  int widestProduct() const;
  template <typename Word>
  void pivot(size_t row, size_t column);

  size_t width_;
  Int128 denominator_ = 1;
  int64_t work_ = 0;
  std::vector<Row> rows_;         // the first is the objective: what is gained by each column
  std::vector<int32_t> outside_;  // by column: a variable, or -1 - row for a row's slack
  std::vector<int32_t> inside_;   // by row but the first, likewise
};

}  // namespace tutti::plan
