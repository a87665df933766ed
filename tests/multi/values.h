// Elements for tests: periodic data whose every collective's result is known.
//
// Element i of rank r's contribution depends on r and on i modulo kPeriod, a prime, so data that
// ends up in the wrong place, block or chunk differs, while filling and checking cost little more
// than copying.
//
// Exact data: every order of combining gives the same bits (small integers, powers of two).
// Random data: compared with an fp64 reference within the bound of values.cc (toleranceOf).
#pragma once

#include <tutti/tutti.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tutti::test {

inline constexpr size_t kPeriod = 1021;

// Stands for an operator made by tuttiRedOpCreatePreMulSum with preMulScalar(rank).
inline constexpr auto kPreMulSum = static_cast<tuttiRedOp_t>(tuttiNumOps);

size_t sizeOf(tuttiDataType_t type);
bool isFloat(tuttiDataType_t type);
bool isSigned(tuttiDataType_t type);
std::string name(tuttiDataType_t type);
std::string name(tuttiRedOp_t op);

// Conversions written from the formats' definitions, not from the library's code. encode rounds to
// nearest even and saturates.
double decode(tuttiDataType_t type, const std::byte* element);
void encode(tuttiDataType_t type, double value, std::byte* element);

// The scalar of kPreMulSum.
double preMulScalar(int rank);

enum class Data { kExact, kRandom };

// A period of elements, repeated.
class Pattern {
 public:
  Pattern() = default;
  Pattern(tuttiDataType_t type, std::vector<std::byte> period);

  // Writes elements [start, start + count).
  void fill(std::byte* to, size_t start, size_t count) const;
  // The index of the first element of `from` that differs from [start, start + count), or -1.
  ptrdiff_t firstWrong(const std::byte* from, size_t start, size_t count) const;
  const std::byte* at(size_t index) const { return &period_[index % kPeriod * size_]; }

 private:
  size_t size_ = 1;
  std::vector<std::byte> period_;
};

// What rank `rank` of `size` contributes to a reduction.
Pattern contribution(tuttiDataType_t type, tuttiRedOp_t op, Data data, int rank, int size,
                     uint32_t seed);
// Any bits, not-a-numbers included: what moves must not change.
Pattern anyBits(tuttiDataType_t type, int rank, uint32_t seed);

// The reduction of all ranks' contributions.
struct Reduced {
  bool isExact = true;
  Pattern expected;
  std::vector<double> value, tolerance;  // one period, where not exact

  ptrdiff_t firstWrong(tuttiDataType_t type, const std::byte* from, size_t start,
                       size_t count) const;
};
Reduced reduced(tuttiDataType_t type, tuttiRedOp_t op, Data data, int size, uint32_t seed);

// One element for people.
std::string show(tuttiDataType_t type, const std::byte* element);

uint64_t hash(const std::byte* data, size_t bytes);

}  // namespace tutti::test
