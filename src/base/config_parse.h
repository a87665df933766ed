// How values and names of parameters are read. Private to src/base.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "src/base/config.h"

namespace tutti::base {

// The number of a value of a kind (0 for a string), or nothing if it does not parse.
std::optional<int64_t> parseValue(ParameterKind kind, std::string_view text);

// The parameter name nearest to `name` by edit distance; empty if none is similar.
std::string nearestParameter(std::string_view name);

}  // namespace tutti::base
