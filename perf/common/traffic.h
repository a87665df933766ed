// Who sends how much to whom in alltoallv_perf, from nccl-tests' variables:
//   NCCL_TESTS_ALLTOALLV_SPREAD         0 uniform ... 1 proportional to the distance (default)
//   NCCL_TESTS_ALLTOALLV_MATRIX_FILE    or a square matrix of bytes, row = sender
//   NCCL_TESTS_ALLTOALLV_MATRIX_SCALE   factor on the matrix
//   NCCL_TESTS_ALLTOALLV_PRINT_SUMMARY  1: a line for each rank
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace tutti::perf {

class Traffic {
 public:
  // By distance: from nothing to itself up to most to the rank before it, mixed with uniform.
  static Traffic distanceWeighted(double spread);
  // Throws a Failure for a text that is no square matrix of numbers >= 0.
  static Traffic fromMatrix(const std::string& text, double scale);
  static Traffic fromEnvironment();

  // Bytes from one rank to another, a multiple of 16. `total` is what each rank sends in all; a
  // matrix does not depend on it.
  size_t bytes(int from, int to, int size, size_t total) const;

  // The most that one rank sends or receives.
  size_t largestSent(int size, size_t total) const;
  size_t largestReceived(int size, size_t total) const;

  bool isMatrix() const { return dimension_ > 0; }
  int dimension() const { return dimension_; }
  bool printsSummary() const { return printsSummary_; }
  // A line for each rank: bytes sent and received, and their bandwidth.
  std::string summary(int size, size_t total, double seconds) const;

 private:
  double spread_ = 1;
  int dimension_ = 0;
  std::vector<size_t> matrix_;
  bool printsSummary_ = false;
};

}  // namespace tutti::perf
