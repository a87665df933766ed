// The configuration of this process. config.cc holds the project's only getenv.
//
// A parameter's value comes from, in this order: the environment as TUTTI_NAME, the environment
// under an alias (NCCL_NAME), a configuration file, its default. Files are read in this order, the
// first that sets a parameter wins: $TUTTI_CONF_FILE (else ~/.tutti.conf), /etc/tutti.conf,
// $NCCL_CONF_FILE (else ~/.nccl.conf), /etc/nccl.conf; lines are NAME=VALUE, # starts a comment.
// Nothing is ever written to the environment.
//
// To add a parameter, add its line to parameters.inc.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tutti::base {

enum class ParameterKind { kInt, kBool, kString, kDuration, kBytes };

struct Parameter {
  const char* name;  // without the TUTTI_ prefix
  ParameterKind kind;
  const char* defaultText;
  const char* aliases;  // full names separated by blanks
  const char* help;
};

// Every parameter, in the order of parameters.inc.
std::span<const Parameter> parameters();

// Index of a parameter with the type of its value.
template <ParameterKind kind>
struct ParameterKey {
  size_t index;
};

namespace param {
enum Index : size_t {
#define TUTTI_PARAMETER(key, name, kind, defaultText, aliases, help) key##Index,
#include "src/base/parameters.inc"
#undef TUTTI_PARAMETER
  kCount
};
#define TUTTI_PARAMETER(key, name, kind, defaultText, aliases, help) \
  inline constexpr ParameterKey<ParameterKind::k##kind> key{key##Index};
#include "src/base/parameters.inc"
#undef TUTTI_PARAMETER
}  // namespace param

struct ConfigValue {
  std::string text;    // as given, or the default
  int64_t number = 0;  // Int, Bool, Bytes; a Duration in milliseconds
  std::string origin;  // "environment TUTTI_TIMEOUT", "/etc/tutti.conf:3 NCCL_DEBUG", "default"
  bool isSet = false;  // false: the default
};

// An immutable set of values, one for each parameter.
class Config {
 public:
  using Environment = std::map<std::string, std::string>;

  // From the given variables and files; a file that cannot be read is ignored.
  static Config from(const Environment& environment, const std::vector<std::string>& files);
  static Config fromMap(const Environment& environment) { return from(environment, {}); }

  int64_t get(ParameterKey<ParameterKind::kInt> key) const { return at(key).number; }
  bool get(ParameterKey<ParameterKind::kBool> key) const { return at(key).number != 0; }
  uint64_t get(ParameterKey<ParameterKind::kBytes> key) const {
    return static_cast<uint64_t>(at(key).number);
  }
  const std::string& get(ParameterKey<ParameterKind::kString> key) const { return at(key).text; }
  std::chrono::milliseconds get(ParameterKey<ParameterKind::kDuration> key) const {
    return std::chrono::milliseconds(at(key).number);
  }

  // Whether somebody set it, as opposed to its default.
  template <ParameterKind kind>
  bool isSet(ParameterKey<kind> key) const {
    return at(key).isSet;
  }

  // The value with its origin; in the order of parameters() for iteration.
  template <ParameterKind kind>
  const ConfigValue& at(ParameterKey<kind> key) const {
    return values_[key.index];
  }
  std::span<const ConfigValue> values() const { return values_; }

  // The value as people may see it: a secret is not shown.
  std::string shown(size_t index) const;

  // What was wrong: unknown TUTTI_* names with the nearest known one, values that do not parse.
  // The log writes those of the process once.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  std::vector<ConfigValue> values_;
  std::vector<std::string> warnings_;
};

// The configuration of this process: read on the first call, the same ever after. Any thread.
const Config& processConfig();

// A variable as it is now, for names that are not Tutti's (a launcher's RANK, HOME). Nothing if it
// is not set; an empty variable is set.
std::optional<std::string> environmentVariable(const char* name);

// What another process was started with; nothing if it may not be read.
std::optional<Config::Environment> environmentOf(pid_t process);

// Whether `word` is allowed by a list "a,b" (only these; an empty list allows all) or "^a,b" (all
// but these). Compares without regard to case.
bool isAllowedByList(std::string_view list, std::string_view word);

// Whether a device's name is in a list "[^][=]a,b", as NCCL_SOCKET_IFNAME: names that start with a
// or b; with = exactly a or b; with ^ all but these. An empty list takes every name.
bool isNameChosen(std::string_view list, std::string_view name);
// The same for a port of a device, as NCCL_IB_HCA: "a:1" takes only that port.
bool isPortChosen(std::string_view list, std::string_view name, int port);

}  // namespace tutti::base
