// Test data whose right result is known exactly, whatever the order and precision of the reduction.
//
// What a rank contributes to an element is looked up in a small table by two numbers: a variant of
// the element, and the rank's place in an order that is rotated from element to element. The set of
// all places is the same for every element, so the result depends on the variant alone, and all the
// arithmetic is done once, exactly, when the table is built:
//   sum, mulsum  small integers whose every partial sum is representable; only as many places
//                contribute as the type has room for (16 in f8e4m3, all ranks in float)
//   prod         powers of two in floats, odd numbers (modulo 2^w) in integers
//   min, max     neighbours in the order of values, around any finite value of either sign
//   avg          floats: two places contribute, each multiplied by 1/n first, within 2 units in the
//                last place; integers: sums that do not wrap, divided towards zero
//   none         any bits, hashed from source rank and position
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "perf/common/element.h"

namespace tutti::perf {

class Pattern {
 public:
  // `op` is empty where nothing is reduced. `seed` changes the data; all ranks use the same. At
  // most 16,000 ranks.
  Pattern(const TypeInfo& type, std::optional<Op> op, int ranks, uint64_t seed);

  // Elements [first, first + count) of what `rank` contributes, to `out` (aligned to the type).
  void input(int rank, size_t first, size_t count, void* out) const;

  // The same elements of the result of the reduction. Only with an operator.
  void reduced(size_t first, size_t count, void* out) const;

  // How many elements differ (for avg of floats: by more than 2 units in the last place).
  size_t countWrong(const void* got, const void* expected, size_t count) const;

  static constexpr uint32_t kVariants = 64;

  // The factor of `rank` under mulsum: 1 for even ranks, 2 for odd ones.
  static int factor(int rank) { return 1 + rank % 2; }

 private:
  void buildSums();
  void buildIntegerSums();
  void buildProducts();
  void buildExtremes();
  void buildAverages();
  void reserve(int places);
  void set(uint32_t variant, int place, uint64_t bits);
  uint64_t mask() const;
  void places(int rank, uint16_t seed, const uint16_t* turns, size_t length, uint16_t* out) const;
  template <typename Word>
  void lookUp(int rank, size_t first, size_t count, Word* out) const;

  const TypeInfo& type_;
  std::optional<Op> op_;
  int ranks_;
  uint64_t seed_;
  // Places 0 .. places_-1 contribute; place places_ is every other rank.
  int places_ = 0;
  std::vector<uint64_t> contributions_;     // [place][variant]
  std::vector<uint64_t> oddContributions_;  // the same for odd ranks, mulsum only
  std::vector<uint64_t> results_;           // [variant]
};

}  // namespace tutti::perf
