#include "src/base/config.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <set>

#include <fmt/format.h>

#include "src/base/config_parse.h"

namespace tutti::base {
namespace {

constexpr std::string_view kPrefix = "TUTTI_";

constexpr std::array<Parameter, param::kCount> kParameters{{
#define TUTTI_PARAMETER(key, name, kind, defaultText, aliases, help) \
  {name, ParameterKind::k##kind, defaultText, aliases, help},
#include "src/base/parameters.inc"
#undef TUTTI_PARAMETER
}};

// Names with the prefix that are read elsewhere than in the table.
constexpr std::string_view kOtherNames[] = {"TUTTI_CONF_FILE"};

// One place where values may come from: the environment or a file.
struct Source {
  struct Entry {
    std::string value;
    std::string origin;
  };
  std::map<std::string, Entry> entries;
  bool isEnvironment = false;
};

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

Source readEnvironment(const Config::Environment& environment) {
  Source source;
  source.isEnvironment = true;
  for (const auto& [name, value] : environment) {
    source.entries[name] = {value, "environment " + name};
  }
  return source;
}

Source readFile(const std::string& path) {
  Source source;
  std::ifstream file(path);
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    const std::string_view text = trim(line);
    const size_t equals = text.find('=');
    if (text.empty() || text.front() == '#' || equals == std::string_view::npos) continue;
    const std::string name(trim(text.substr(0, equals)));
    source.entries[name] = {std::string(trim(text.substr(equals + 1))),
                            fmt::format("{}:{} {}", path, number, name)};
  }
  return source;
}

// Names under which a parameter may be set, best first.
std::vector<std::string> namesOf(const Parameter& parameter) {
  std::vector<std::string> names{std::string(kPrefix) + parameter.name};
  std::string_view aliases = parameter.aliases;
  while (!aliases.empty()) {
    const size_t blank = std::min(aliases.find(' '), aliases.size());
    names.emplace_back(aliases.substr(0, blank));
    aliases.remove_prefix(std::min(blank + 1, aliases.size()));
  }
  return names;
}

// The value of one parameter from the sources; null if none sets it. An empty variable counts as
// not set, as shells and job scripts often pass those on.
const Source::Entry* findEntry(const std::vector<Source>& sources, const Parameter& parameter) {
  for (const Source& source : sources) {
    for (const std::string& name : namesOf(parameter)) {
      const auto found = source.entries.find(name);
      if (found != source.entries.end() && !found->second.value.empty()) return &found->second;
    }
  }
  return nullptr;
}

ConfigValue resolve(const std::vector<Source>& sources, const Parameter& parameter,
                    std::vector<std::string>& warnings) {
  ConfigValue result;
  result.text = parameter.defaultText;
  result.number = parseValue(parameter.kind, parameter.defaultText).value_or(0);
  result.origin = "default";
  const Source::Entry* entry = findEntry(sources, parameter);
  if (entry == nullptr) return result;
  const std::optional<int64_t> number = parseValue(parameter.kind, entry->value);
  if (!number) {
    warnings.push_back(fmt::format("{}: cannot read \"{}\" ({}); using the default \"{}\"",
                                   entry->origin, entry->value, parameter.help,
                                   parameter.defaultText));
    return result;
  }
  return {entry->value, *number, entry->origin, true};
}

void findUnknownNames(const Source& source, std::vector<std::string>& warnings) {
  for (const auto& [name, entry] : source.entries) {
    if (!name.starts_with(kPrefix)) continue;
    const std::string bare = name.substr(kPrefix.size());
    bool isKnown = false;
    for (const Parameter& parameter : kParameters) isKnown |= bare == parameter.name;
    for (const std::string_view other : kOtherNames) isKnown |= name == other;
    if (isKnown) continue;
    const std::string nearest = nearestParameter(bare);
    warnings.push_back(nearest.empty()
                           ? fmt::format("{}: unknown parameter, ignored", entry.origin)
                           : fmt::format("{}: unknown parameter, ignored; did you mean {}{}?",
                                         entry.origin, kPrefix, nearest));
  }
}

void addVariable(Config::Environment& environment, std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) return;
  environment.emplace(text.substr(0, equals), text.substr(equals + 1));
}

Config::Environment wholeEnvironment() {
  Config::Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    addVariable(environment, *entry);
  }
  return environment;
}

std::vector<std::string> configFiles() {
  const std::string home = environmentVariable("HOME").value_or("");
  std::vector<std::string> files;
  for (const std::string_view family : {"tutti", "nccl"}) {
    const char* variable = family == "tutti" ? "TUTTI_CONF_FILE" : "NCCL_CONF_FILE";
    const std::string named = environmentVariable(variable).value_or("");
    if (!named.empty()) {
      files.push_back(named);
    } else if (!home.empty()) {
      files.push_back(fmt::format("{}/.{}.conf", home, family));
    }
    files.push_back(fmt::format("/etc/{}.conf", family));
  }
  return files;
}

}  // namespace

std::span<const Parameter> parameters() { return kParameters; }

Config Config::from(const Environment& environment, const std::vector<std::string>& files) {
  std::vector<Source> sources{readEnvironment(environment)};
  for (const std::string& file : files) sources.push_back(readFile(file));
  Config config;
  for (const Parameter& parameter : kParameters) {
    config.values_.push_back(resolve(sources, parameter, config.warnings_));
  }
  for (const Source& source : sources) findUnknownNames(source, config.warnings_);
  return config;
}

std::string Config::shown(size_t index) const {
  const bool isHidden = index == param::kSecretIndex && values_[index].isSet;
  return isHidden ? "(hidden)" : values_[index].text;
}

const Config& processConfig() {
  // Never freed: threads may still read it while the process exits.
  static const Config* const config = new Config(Config::from(wholeEnvironment(), configFiles()));
  return *config;
}

std::optional<std::string> environmentVariable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return value;
}

std::optional<Config::Environment> environmentOf(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/environ", process), std::ios::binary);
  if (!file) return std::nullopt;
  Config::Environment environment;
  for (std::string entry; std::getline(file, entry, '\0');) addVariable(environment, entry);
  return environment;
}

}  // namespace tutti::base
