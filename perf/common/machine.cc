#include "perf/common/machine.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "perf/common/failure.h"
#include "perf/common/text.h"

namespace tutti::perf {
namespace {

// The rest of the first line of `path` that starts with `key`, without leading blanks.
std::string lineAfter(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t start = line.find_first_not_of(" \t:", key.size());
    return start == std::string::npos ? std::string() : line.substr(start);
  }
  return {};
}

size_t kilobytesAfter(const char* path, const char* key) {
  return static_cast<size_t>(std::strtoull(lineAfter(path, key).c_str(), nullptr, 10)) << 10;
}

}  // namespace

size_t usedBytes() {
  return kilobytesAfter("/proc/self/status", "RssAnon") +
         kilobytesAfter("/proc/self/status", "RssShmem");
}

size_t availableBytes() { return kilobytesAfter("/proc/meminfo", "MemAvailable"); }

std::string hostName() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  const std::string text(name.data());
  return text.substr(0, text.find('.'));
}

std::string processorName() {
  const std::string name = lineAfter("/proc/cpuinfo", "model name");
  return name.empty() ? "processor" : name;
}

std::optional<int> colorOf(const std::string& rule, int rank) {
  static constexpr std::array<std::pair<const char*, char>, 8> kRules{{{"AND", '&'},
                                                                       {"OR", '|'},
                                                                       {"MOD", '%'},
                                                                       {"DIV", '/'},
                                                                       {"&", '&'},
                                                                       {"|", '|'},
                                                                       {"%", '%'},
                                                                       {"/", '/'}}};
  for (const auto& [word, operation] : kRules) {
    if (!rule.starts_with(word)) continue;
    const size_t start = rule.find_first_not_of(' ', std::string(word).size());
    const auto number = start == std::string::npos ? std::nullopt : parseInteger(&rule[start]);
    if (!number || *number < 0) return std::nullopt;
    const auto value = static_cast<int>(*number);
    if (operation == '&') return rank & value;
    if (operation == '|') return rank | value;
    if (value == 0) return std::nullopt;
    return operation == '%' ? rank % value : rank / value;
  }
  return std::nullopt;
}

std::optional<int> splitColor(int rank) {
  if (const char* mask = std::getenv("NCCL_TESTS_SPLIT_MASK")) {
    return rank & static_cast<int>(std::strtoul(mask, nullptr, 16));
  }
  const char* rule = std::getenv("NCCL_TESTS_SPLIT");
  if (rule == nullptr) return std::nullopt;
  const std::optional<int> color = colorOf(rule, rank);
  if (!color) throw Failure(kExitUsage, fmt::format("NCCL_TESTS_SPLIT: cannot read '{}'", rule));
  return color;
}

}  // namespace tutti::perf
