// Decimal numbers without binary fractions: what a file says is what is taken.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tutti::topology {

struct Scaled {
  int64_t value = 0;
  bool isExact = true;  // nothing was rounded away or cut off
  bool operator==(const Scaled&) const = default;
};

// `text` ("12", "-0.5", "1.5e3") times 10^power, rounded toward zero; what is out of range becomes
// the number in range that is nearest. Nothing if the text is no decimal number. Linear in the
// text.
std::optional<Scaled> scaleDecimal(std::string_view text, int power);

// value / 10^power (0 <= power <= 18), exactly and without idle zeros: decimalText(957000, 6) is
// "0.957".
std::string decimalText(int64_t value, int power);

}  // namespace tutti::topology
