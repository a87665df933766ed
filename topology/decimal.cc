#include "topology/decimal.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace tutti::topology {
namespace {

constexpr bool isDigit(char c) { return c >= '0' && c <= '9'; }

std::string_view takeDigits(std::string_view& text) {
  const auto end = std::find_if_not(text.begin(), text.end(), isDigit);
  const std::string_view digits = text.substr(0, static_cast<size_t>(end - text.begin()));
  text.remove_prefix(digits.size());
  return digits;
}

bool takeChar(std::string_view& text, std::string_view any) {
  if (text.empty() || any.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

// The number after "e"; far beyond what matters it stays at a bound.
std::optional<int64_t> takeExponent(std::string_view& text) {
  constexpr int64_t kBound = 1'000'000'000'000;
  const bool isNegative = !text.empty() && text.front() == '-';
  takeChar(text, "+-");
  const std::string_view digits = takeDigits(text);
  if (digits.empty()) return {};
  int64_t value = 0;
  for (const char c : digits) value = std::min(kBound, value * 10 + (c - '0'));
  return isNegative ? -value : value;
}

}  // namespace

std::optional<Scaled> scaleDecimal(std::string_view text, int power) {
  const bool isNegative = takeChar(text, "-");
  const std::string_view whole = takeDigits(text);
  const std::string_view fraction = takeChar(text, ".") ? takeDigits(text) : std::string_view();
  if (whole.empty() && fraction.empty()) return {};
  int64_t exponent = 0;
  if (takeChar(text, "eE")) {
    const auto taken = takeExponent(text);
    if (!taken) return {};
    exponent = *taken;
  }
  if (!text.empty()) return {};
  // Of all digits in a row, `kept` are before the point once the number is scaled.
  const auto count = static_cast<int64_t>(whole.size() + fraction.size());
  const int64_t kept = static_cast<int64_t>(whole.size()) + power + exponent;
  const auto digit = [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    return (at < whole.size() ? whole[at] : fraction[at - whole.size()]) - '0';
  };
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  Scaled scaled;
  for (int64_t i = 0; i < kept && (i < count || scaled.value != 0); ++i) {
    const int next = i < count ? digit(i) : 0;
    if (scaled.value > (kMost - next) / 10) {
      scaled = {kMost, false};
      break;
    }
    scaled.value = scaled.value * 10 + next;
  }
  for (int64_t i = std::max<int64_t>(0, kept); i < count && scaled.isExact; ++i) {
    scaled.isExact = digit(i) == 0;
  }
  if (isNegative) scaled.value = -scaled.value;
  return scaled;
}

std::string decimalText(int64_t value, int power) {
  std::string digits = fmt::format("{:0{}}", value < 0 ? -value : value, power + 1);
  digits.insert(digits.size() - static_cast<size_t>(power), 1, '.');
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.back() == '.') digits.pop_back();
  if (value < 0) digits.insert(0, 1, '-');
  return digits;
}

}  // namespace tutti::topology
