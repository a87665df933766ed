#include "src/cli/text.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>

namespace tutti::cli {

std::string formatBytes(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  const bool isWhole = value == static_cast<double>(static_cast<uint64_t>(value));
  return fmt::format("{:.{}f} {}", value, isWhole || value >= 100 ? 0 : 1, kUnits[unit]);
}

std::string formatMicroseconds(double microseconds) {
  if (microseconds < 999.5) return formatRate(microseconds) + " us";
  if (microseconds < 999.5e3) return formatRate(microseconds * 1e-3) + " ms";
  return formatRate(microseconds * 1e-6) + " s";
}

std::string formatRate(double value) {
  return fmt::format("{:.{}f}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}

std::optional<uint64_t> parseBytes(std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr == text.data()) return std::nullopt;
  std::string unit;
  for (const char* c = parsed.ptr; c != end; ++c) {
    unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
  }
  int shift = 0;
  if (!unit.empty() && unit != "b") {
    const size_t place = std::string_view("kmgt").find(unit[0]);
    const auto rest = std::string_view(unit).substr(1);
    if (place == std::string_view::npos || !(rest.empty() || rest == "b" || rest == "ib")) {
      return std::nullopt;
    }
    shift = 10 * (static_cast<int>(place) + 1);
  }
  constexpr uint64_t kMost = uint64_t{1} << 56;
  if (value > (kMost >> shift)) return std::nullopt;
  return value << shift;
}

std::string countOf(int64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

}  // namespace tutti::cli
