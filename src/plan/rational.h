// Fractions of 64-bit integers: rates that ranks must agree on to the last bit.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace tutti::plan {

__extension__ using Int128 = __int128;

// In lowest terms, den > 0; or 1/0, "without limit", which is above everything else.
struct Rational {
  int64_t num = 0;
  int64_t den = 1;

  static constexpr Rational unlimited() { return {1, 0}; }
  constexpr bool isUnlimited() const { return den == 0; }
  // For people and models; decisions compare the fractions.
  constexpr double value() const { return static_cast<double>(num) / static_cast<double>(den); }

  friend constexpr bool operator==(const Rational&, const Rational&) = default;
  friend constexpr std::strong_ordering operator<=>(const Rational& a, const Rational& b) {
    return static_cast<Int128>(a.num) * b.den <=> static_cast<Int128>(b.num) * a.den;
  }
};

// num / den for 0 <= num and 0 < den, both below 2^126, and a value below 2^60. Where the lowest
// terms do not fit 64 bits, rounded up by less than (value + 1 / value) / 2^60 of it.
Rational makeRational(Int128 num, Int128 den);

Int128 greatestCommonDivisor(Int128 a, Int128 b);

// "25", "520/3", "unlimited".
std::string toString(const Rational& value);

}  // namespace tutti::plan
