// How GoogleTest prints values of this room.
#pragma once

#include <ostream>

#include "src/plan/rational.h"

namespace tutti::plan {

inline void PrintTo(const Rational& value, std::ostream* out) { *out << toString(value); }

}  // namespace tutti::plan
