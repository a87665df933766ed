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

Part partOf(const Schedule& schedule, const Lane& lane, const Step& step) {
  if (lane.slice >= 0) return {lane.slice, 1, lane.chunkBytes};
  const auto first = schedule.sliceChunks.begin() + step.slice;
  return {step.slice, step.slices, std::accumulate(first, first + step.slices, uint64_t{0})};
}

std::vector<Part> rulingParts(const Schedule& schedule, const Lane& lane) {
  if (lane.slice >= 0) return {{lane.slice, 1, lane.chunkBytes}};
  std::vector<Part> parts;
  for (const uint64_t chunkBytes : schedule.sliceChunks) {
    parts.push_back({static_cast<int32_t>(parts.size()), 1, chunkBytes});
  }
  return parts;
}

uint64_t iterationCount(uint64_t longestBlockBytes, uint64_t chunkBytes) {
  if (chunkBytes == 0 || longestBlockBytes == 0) return 1;
  return (longestBlockBytes - 1) / chunkBytes + 1;
}

uint64_t narrowOffset(const std::vector<uint64_t>& narrowBytes, size_t index) {
  const auto end = narrowBytes.begin() + static_cast<std::ptrdiff_t>(index);
  return std::accumulate(narrowBytes.begin(), end, uint64_t{0});
}

BlockRange equalBlock(uint64_t count, uint64_t elementBytes, int blocks, int index) {
  const auto part = static_cast<uint64_t>(index);
  return between(count, elementBytes, part, part + 1, static_cast<uint64_t>(blocks));
}

BlockRange weightedSlice(uint64_t count, uint64_t elementBytes, const std::vector<int32_t>& weights,
                         int index, int slices) {
  const auto first = weights.begin() + index;
  const auto last = first + slices;
  const auto before = std::accumulate(weights.begin(), first, uint64_t{0});
  const auto after = std::accumulate(first, last, before);
  const auto whole = std::accumulate(last, weights.end(), after);
  return between(count, elementBytes, before, after, whole);
}

}  // namespace tutti::ir
