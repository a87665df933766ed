// Every collective once, with inputs whose results are known exactly. Private to the demonstration.
#pragma once

#include <tutti/tutti.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace tutti::cli {

// Inputs are small whole numbers, so that sums over all ranks are exact in a float, and repeat
// after a prime number of elements, so that a block in the wrong place is noticed.
class Pattern {
 public:
  explicit Pattern(int size);

  // Elements [first, first + count) of what `rank` contributes.
  void fill(float* to, int rank, size_t first, size_t count) const;
  // How many elements differ from what `rank` contributes, or (kSumOfRanks) from the sum over all.
  size_t countWrong(const float* found, int rank, size_t first, size_t count) const;

 private:
  static constexpr size_t kPeriod = 4093;
  const float* table(int rank) const;

  std::vector<std::array<float, kPeriod>> tables_;  // by rank, then the sum
};

inline constexpr int kSumOfRanks = -1;

// One collective on this rank's buffers.
struct Check {
  const char* name;
  std::function<tuttiResult_t()> run;
  std::function<size_t()> countWrong;  // elements
};

// Buffers for all checks of one rank, which `checks` refer to.
class Checks {
 public:
  Checks(tuttiComm_t comm, int rank, int size);
  ~Checks();
  Checks(const Checks&) = delete;
  Checks& operator=(const Checks&) = delete;

  // In the order in which every rank runs them.
  const std::vector<Check>& list() const { return checks_; }
  // What the receive buffer holds before each run: nothing that could be right.
  void spoil();

  // Elements of one rank's block: odd, so that no boundary is round.
  static constexpr size_t kCount = 65537;

 private:
  void addEqual();
  void addVariable();
  void addMessages();
  void add(const char* name, std::function<tuttiResult_t()> run, std::function<size_t()> count);
  // Wrong elements of [at, at + count) of the receive buffer.
  size_t wrongInput(size_t at, size_t count, int from, size_t first) const;

  tuttiComm_t comm_;
  int rank_;
  int size_;
  int root_;
  Pattern pattern_;
  tuttiStream_t stream_ = nullptr;
  std::vector<float> send_;
  std::vector<float> recv_;
  std::vector<size_t> counts_;  // of the V forms, by rank, with their sums
  std::vector<size_t> starts_;
  std::vector<size_t> sendCounts_;  // of all_to_all_v
  std::vector<size_t> recvCounts_;
  std::vector<Check> checks_;
};

// The names of the checks in their order, for reports.
const std::vector<std::string>& checkNames();

}  // namespace tutti::cli
