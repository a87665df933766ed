#include "src/plan/rational.h"

#include <limits>
#include <utility>

namespace tutti::plan {

Int128 greatestCommonDivisor(Int128 a, Int128 b) {
  // 128-bit divisions are slow, and most numbers are small.
  constexpr Int128 kSmall = std::numeric_limits<int64_t>::max();
  while (b != 0) {
    if (a <= kSmall && b <= kSmall) {
      auto x = static_cast<int64_t>(a);
      auto y = static_cast<int64_t>(b);
      while (y != 0) x = std::exchange(y, x % y);
      return x;
    }
    a = std::exchange(b, a % b);
  }
  return a;
}

Rational makeRational(Int128 num, Int128 den) {
  Int128 divisor = greatestCommonDivisor(num, den);
  constexpr Int128 kMost = std::numeric_limits<int64_t>::max();
  if (num / divisor > kMost || den / divisor > kMost) {
    num /= divisor;
    den /= divisor;
    for (; num > kMost || den > kMost; den /= 2) num = (num + 1) / 2;
    divisor = greatestCommonDivisor(num, den);
  }
  return {static_cast<int64_t>(num / divisor), static_cast<int64_t>(den / divisor)};
}

std::string toString(const Rational& value) {
  if (value.isUnlimited()) return "unlimited";
  if (value.den == 1) return std::to_string(value.num);
  return std::to_string(value.num) + "/" + std::to_string(value.den);
}

}  // namespace tutti::plan
