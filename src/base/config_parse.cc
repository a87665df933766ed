#include "src/base/config_parse.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <vector>

#include "src/base/words.h"

namespace tutti::base {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

std::string toLower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

std::optional<int64_t> parseInt(const std::string& text) {
  char* end = nullptr;
  errno = 0;
  const long long value = std::strtoll(text.c_str(), &end, 0);
  if (text.empty() || *end != '\0' || errno == ERANGE) return std::nullopt;
  return value;
}

std::optional<int64_t> parseBool(const std::string& text) {
  const std::string word = toLower(text);
  for (const char* yes : {"true", "yes", "on"}) {
    if (word == yes) return 1;
  }
  for (const char* no : {"false", "no", "off"}) {
    if (word == no) return 0;
  }
  const std::optional<int64_t> number = parseInt(text);
  if (!number || *number < 0 || *number > 1) return std::nullopt;
  return number;
}

// A non-negative decimal number with one of the units; the first unit is the empty one.
template <size_t count>
std::optional<int64_t> parseWithUnit(const std::string& text,
                                     const std::array<Unit, count>& units) {
  if (text.empty() || !(std::isdigit(static_cast<unsigned char>(text[0])) || text[0] == '.')) {
    return std::nullopt;
  }
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str()) return std::nullopt;
  const std::string unit = toLower(end);
  for (const Unit& known : units) {
    if (unit != known.name) continue;
    const double scaled = std::ceil(value * known.factor);
    if (!(scaled < 9e18)) return std::nullopt;
    return static_cast<int64_t>(scaled);
  }
  return std::nullopt;
}

constexpr std::array<Unit, 10> kByteUnits{{{"", 1.0},
                                           {"b", 1.0},
                                           {"k", 1024.0},
                                           {"kib", 1024.0},
                                           {"kb", 1024.0},
                                           {"m", 1048576.0},
                                           {"mib", 1048576.0},
                                           {"mb", 1048576.0},
                                           {"g", 1073741824.0},
                                           {"gib", 1073741824.0}}};

// To milliseconds. What is not zero never rounds to zero, which would mean "for ever".
constexpr std::array<Unit, 6> kTimeUnits{
    {{"", 1e3}, {"s", 1e3}, {"ms", 1.0}, {"us", 1e-3}, {"min", 6e4}, {"h", 3.6e6}}};

}  // namespace

std::optional<int64_t> parseValue(ParameterKind kind, std::string_view text) {
  const std::string value(text);
  switch (kind) {
    case ParameterKind::kInt: return parseInt(value);
    case ParameterKind::kBool: return parseBool(value);
    case ParameterKind::kString: return 0;
    case ParameterKind::kDuration: return parseWithUnit(value, kTimeUnits);
    case ParameterKind::kBytes: return parseWithUnit(value, kByteUnits);
  }
  return std::nullopt;
}

std::string nearestParameter(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Parameter& parameter : parameters()) names.emplace_back(parameter.name);
  return std::string(nearestWord(name, names));
}

bool isAllowedByList(std::string_view list, std::string_view word) {
  const bool isNegated = !list.empty() && list.front() == '^';
  if (isNegated) list.remove_prefix(1);
  if (list.empty()) return true;
  const std::string wanted = toLower(word);
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (toLower(list.substr(0, comma)) == wanted) return !isNegated;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return isNegated;
}

namespace {

template <typename Matches>
bool isAnyChosen(std::string_view list, const Matches& matches) {
  if (list.empty()) return true;
  const bool isNegated = list.front() == '^';
  if (isNegated) list.remove_prefix(1);
  const bool isExact = !list.empty() && list.front() == '=';
  if (isExact) list.remove_prefix(1);
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string_view item = list.substr(0, comma);
    if (!item.empty() && matches(item, isExact)) return !isNegated;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return isNegated;
}

bool isNamed(std::string_view item, bool isExact, std::string_view name) {
  return isExact ? name == item : name.starts_with(item);
}

}  // namespace

bool isNameChosen(std::string_view list, std::string_view name) {
  return isAnyChosen(
      list, [name](std::string_view item, bool isExact) { return isNamed(item, isExact, name); });
}

bool isPortChosen(std::string_view list, std::string_view name, int port) {
  return isAnyChosen(list, [name, port](std::string_view item, bool isExact) {
    const size_t colon = std::min(item.find(':'), item.size());
    const bool isPort = colon == item.size() || item.substr(colon + 1) == std::to_string(port);
    return isPort && isNamed(item.substr(0, colon), isExact, name);
  });
}

}  // namespace tutti::base
