#include "perf/common/pattern.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

namespace tutti::perf {
namespace {

constexpr size_t kCount = 5000;  // more than one block
constexpr size_t kFirst = 4000;

uint64_t at(const std::vector<char>& data, size_t index, int bytes) {
  uint64_t bits = 0;
  std::memcpy(&bits, data.data() + index * bytes, bytes);
  return bits;
}

int64_t asSigned(const TypeInfo& type, uint64_t bits) {
  const int shift = 64 - 8 * type.bytes;
  return static_cast<int64_t>(bits << shift) >> shift;
}

bool isLess(const TypeInfo& type, uint64_t a, uint64_t b) {
  if (type.isFloat) return decodeFloat(type, a) < decodeFloat(type, b);
  return type.isSigned ? asSigned(type, a) < asSigned(type, b) : a < b;
}

// One step as a library would take it, rounded to the type at once: the least precise way there is.
uint64_t combine(const TypeInfo& type, Op op, uint64_t a, uint64_t b) {
  const uint64_t mask = type.bytes == 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * type.bytes)) - 1;
  if (op == Op::kMin) return isLess(type, a, b) ? a : b;
  if (op == Op::kMax) return isLess(type, a, b) ? b : a;
  if (!type.isFloat) return (op == Op::kProd ? a * b : a + b) & mask;
  const double x = decodeFloat(type, a);
  const double y = decodeFloat(type, b);
  return encodeFloat(type, op == Op::kProd ? x * y : x + y);
}

// What a rank's contribution counts for, under the operators with a factor.
uint64_t scaled(const TypeInfo& type, Op op, int rank, int ranks, uint64_t bits) {
  const uint64_t mask = type.bytes == 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * type.bytes)) - 1;
  if (op == Op::kMulSum && !type.isFloat) return bits * Pattern::factor(rank) & mask;
  if (op == Op::kMulSum) return encodeFloat(type, decodeFloat(type, bits) * Pattern::factor(rank));
  if (op != Op::kAvg || !type.isFloat) return bits;
  const double share = decodeFloat(type, encodeFloat(type, 1.0 / ranks));
  return encodeFloat(type, decodeFloat(type, bits) * share);
}

uint64_t finished(const TypeInfo& type, Op op, int ranks, uint64_t bits) {
  if (op != Op::kAvg || type.isFloat) return bits;
  const uint64_t mask = type.bytes == 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * type.bytes)) - 1;
  if (!type.isSigned) return bits / static_cast<uint64_t>(ranks);
  return static_cast<uint64_t>(asSigned(type, bits) / ranks) & mask;
}

// The reduction of all ranks' inputs, in the given order of ranks.
std::vector<char> reduceInOrder(const Pattern& pattern, const TypeInfo& type, Op op,
                                const std::vector<int>& order) {
  const int ranks = static_cast<int>(order.size());
  std::vector<std::vector<char>> inputs;
  for (const int rank : order) {
    inputs.emplace_back(kCount * type.bytes);
    pattern.input(rank, kFirst, kCount, inputs.back().data());
  }
  std::vector<char> result(kCount * type.bytes);
  for (size_t i = 0; i < kCount; ++i) {
    uint64_t sum = scaled(type, op, order[0], ranks, at(inputs[0], i, type.bytes));
    for (int r = 1; r < ranks; ++r) {
      sum = combine(type, op, sum, scaled(type, op, order[r], ranks, at(inputs[r], i, type.bytes)));
    }
    sum = finished(type, op, ranks, sum);
    std::memcpy(result.data() + i * type.bytes, &sum, type.bytes);
  }
  return result;
}

class PatternTest : public testing::TestWithParam<int> {};

TEST_P(PatternTest, EveryOrderGivesTheExpectedBits) {
  const int ranks = GetParam();
  std::vector<int> order(ranks);
  std::iota(order.begin(), order.end(), 0);
  std::vector<int> shuffled = order;
  for (int i = 0; i < ranks; ++i) std::swap(shuffled[i], shuffled[(i * 7 + 3) % ranks]);
  std::vector<int> reversed(order.rbegin(), order.rend());
  for (const TypeInfo& type : allTypes()) {
    for (const OpInfo& op : allOps()) {
      const Pattern pattern(type, op.op, ranks, 42);
      std::vector<char> expected(kCount * type.bytes);
      pattern.reduced(kFirst, kCount, expected.data());
      for (const std::vector<int>& one : {order, reversed, shuffled}) {
        const std::vector<char> got = reduceInOrder(pattern, type, op.op, one);
        EXPECT_EQ(pattern.countWrong(got.data(), expected.data(), kCount), 0u)
            << type.name << ' ' << op.name << ' ' << ranks;
      }
    }
  }
}

// A library that forgets one rank must be found out.
TEST_P(PatternTest, AMissingRankShows) {
  const int ranks = GetParam();
  if (ranks < 2) return;
  for (const TypeInfo& type : allTypes()) {
    for (const OpInfo& op : allOps()) {
      // Many ranks leave a byte's average too few values to tell.
      if (op.op == Op::kAvg && !type.isFloat && type.bytes == 1 && ranks > 16) continue;
      const Pattern pattern(type, op.op, ranks, 7);
      std::vector<int> order(ranks);
      std::iota(order.begin(), order.end(), 0);
      order[ranks - 1] = 0;  // rank 0 twice, the last never
      const std::vector<char> got = reduceInOrder(pattern, type, op.op, order);
      std::vector<char> expected(kCount * type.bytes);
      pattern.reduced(kFirst, kCount, expected.data());
      EXPECT_GT(pattern.countWrong(got.data(), expected.data(), kCount), 0u)
          << type.name << ' ' << op.name << ' ' << ranks;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, PatternTest, testing::Values(1, 2, 3, 4, 5, 8, 16, 33, 64));

TEST(Pattern, PiecesAreThoseOfTheWhole) {
  for (const TypeInfo& type : allTypes()) {
    for (const bool isReduction : {false, true}) {
      const auto op = isReduction ? std::optional<Op>(Op::kSum) : std::nullopt;
      const Pattern pattern(type, op, 5, 1);
      std::vector<char> whole(20000 * type.bytes);
      pattern.input(3, 0, 20000, whole.data());
      for (const size_t first : {size_t{0}, size_t{1}, size_t{4095}, size_t{4097}, size_t{12345}}) {
        std::vector<char> piece(1001 * type.bytes);
        pattern.input(3, first, 1001, piece.data());
        EXPECT_EQ(std::memcmp(piece.data(), whole.data() + first * type.bytes, piece.size()), 0)
            << type.name << ' ' << first;
      }
    }
  }
}

TEST(Pattern, CopiesDifferByRankSeedAndPlace) {
  const TypeInfo& type = *findType("float");
  const Pattern pattern(type, std::nullopt, 2, 1);
  const Pattern other(type, std::nullopt, 2, 2);
  std::vector<char> a(kCount * 4);
  std::vector<char> b(kCount * 4);
  pattern.input(0, 0, kCount, a.data());
  pattern.input(1, 0, kCount, b.data());
  EXPECT_GT(pattern.countWrong(a.data(), b.data(), kCount), kCount - 10);
  other.input(0, 0, kCount, b.data());
  EXPECT_GT(pattern.countWrong(a.data(), b.data(), kCount), kCount - 10);
  pattern.input(0, 4096, kCount, b.data());
  EXPECT_GT(pattern.countWrong(a.data(), b.data(), kCount), kCount - 10);
}

TEST(Pattern, CountsSingleElements) {
  const TypeInfo& type = *findType("half");
  const Pattern pattern(type, Op::kSum, 3, 1);
  std::vector<char> expected(kCount * 2);
  pattern.reduced(0, kCount, expected.data());
  std::vector<char> got = expected;
  got[10] ^= 1;
  got[11] ^= 1;  // the same element
  got[2 * kCount - 1] ^= 0x40;
  EXPECT_EQ(pattern.countWrong(got.data(), expected.data(), kCount), 2u);
}

TEST(Pattern, AverageOfFloatsToleratesTwoUlps) {
  const TypeInfo& type = *findType("float");
  const Pattern pattern(type, Op::kAvg, 3, 1);
  std::vector<uint32_t> expected(kCount);
  pattern.reduced(0, kCount, expected.data());
  std::vector<uint32_t> got = expected;
  got[5] += 2;
  EXPECT_EQ(pattern.countWrong(got.data(), expected.data(), kCount), 0u);
  got[5] += 1;
  EXPECT_EQ(pattern.countWrong(got.data(), expected.data(), kCount), 1u);
}

}  // namespace
}  // namespace tutti::perf
