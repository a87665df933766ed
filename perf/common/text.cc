#include "perf/common/text.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <ctime>

namespace tutti::perf {

std::optional<size_t> parseSize(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  if (copy.empty() || (copy[0] != '.' && (copy[0] < '0' || copy[0] > '9'))) return std::nullopt;
  const double number = std::strtod(copy.c_str(), &end);
  const std::string_view unit(end);
  int shift = 0;
  if (unit == "K" || unit == "k")
    shift = 10;
  else if (unit == "M" || unit == "m")
    shift = 20;
  else if (unit == "G" || unit == "g")
    shift = 30;
  else if (unit == "T" || unit == "t")
    shift = 40;
  else if (!unit.empty())
    return std::nullopt;
  const double bytes = std::ldexp(number, shift);
  if (!(bytes >= 0) || bytes >= 0x1p63) return std::nullopt;
  return static_cast<size_t>(bytes);
}

std::optional<long long> parseInteger(std::string_view text) {
  std::string copy(text);
  const size_t start = (!copy.empty() && (copy[0] == '-' || copy[0] == '+')) ? 1 : 0;
  int base = 10;
  if (copy.size() > start + 2 && copy[start] == '0') {
    const char mark = copy[start + 1];
    if (mark == 'x' || mark == 'X') base = 16;
    if (mark == 'b' || mark == 'B') base = 2;
    if (base != 10) copy.erase(start, 2);
  }
  if (copy.size() == start || std::isxdigit(static_cast<unsigned char>(copy[start])) == 0) {
    return std::nullopt;
  }
  char* end = nullptr;
  errno = 0;
  const long long value = std::strtoll(copy.c_str(), &end, base);
  if (errno != 0 || *end != '\0') return std::nullopt;
  return value;
}

std::string formatNumber(double value, int width) {
  int digits = 0;
  for (double power = 1; value >= power && digits < 20; power *= 10) ++digits;
  if (digits < width - 2) return fmt::format("{:{}.2f}", value, width);
  if (digits < width - 1) return fmt::format("{:{}.1f}", value, width);
  if (digits < width + 1) return fmt::format("{:{}.0f}", value, width);
  return fmt::format("{:{}.{}e}", value, width, width >= 7 ? 1 : 0);
}

std::string formatBytes(double bytes) {
  const char* unit = " B";
  for (const char* next : {" KB", " MB", " GB"}) {
    if (std::abs(bytes) < 1024) break;
    bytes /= 1024;
    unit = next;
  }
  const double size = std::abs(bytes);
  return fmt::format("{:.{}f}{}", bytes, size < 10 ? 2 : (size < 100 ? 1 : 0), unit);
}

std::string ranksOf(int process, int ranksPerProcess) {
  const int first = process * ranksPerProcess;
  if (ranksPerProcess == 1) return fmt::format("rank {}", first);
  return fmt::format("ranks {} to {}", first, first + ranksPerProcess - 1);
}

std::string formatNow() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &local);
  return text;
}

std::vector<std::string> splitText(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
    if (text.empty()) parts.emplace_back();
  }
  return parts;
}

}  // namespace tutti::perf
