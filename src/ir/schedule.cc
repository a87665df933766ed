#include "src/ir/schedule.h"

#include <algorithm>
#include <numeric>

namespace tutti::ir {
namespace {

constexpr uint64_t kAlignmentBytes = 128;

// floor(count * part / whole), aligned down, without overflow.
uint64_t boundary(uint64_t count, uint64_t elementBytes, uint64_t part, uint64_t whole) {
  if (part >= whole) return count;
  const uint64_t exact = count / whole * part + count % whole * part / whole;
  const uint64_t unit = std::max<uint64_t>(1, kAlignmentBytes / elementBytes);
  return exact / unit * unit;
}

BlockRange between(uint64_t count, uint64_t elementBytes, uint64_t from, uint64_t to,
                   uint64_t whole) {
  const uint64_t begin = boundary(count, elementBytes, from, whole);
  return {begin, boundary(count, elementBytes, to, whole) - begin};
}

}  // namespace

uint64_t iterationCount(uint64_t longestBlockBytes, uint64_t chunkBytes) {
  if (chunkBytes == 0 || longestBlockBytes == 0) return 1;
  return (longestBlockBytes - 1) / chunkBytes + 1;
}

BlockRange equalBlock(uint64_t count, uint64_t elementBytes, int blocks, int index) {
  const auto part = static_cast<uint64_t>(index);
  return between(count, elementBytes, part, part + 1, static_cast<uint64_t>(blocks));
}

BlockRange weightedSlice(uint64_t count, uint64_t elementBytes, const std::vector<int32_t>& weights,
                         int index) {
  const auto at = weights.begin() + index;
  const auto before = std::accumulate(weights.begin(), at, uint64_t{0});
  const auto whole = std::accumulate(at, weights.end(), before);
  // The last slice takes the rest also where its weight is 0.
  const bool isLast = at + 1 == weights.end();
  const uint64_t after = isLast ? whole : before + static_cast<uint64_t>(*at);
  return between(count, elementBytes, before, after, whole);
}

}  // namespace tutti::ir
