// An index as containers take it: ranks, nodes and links are signed. Private to this room.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tutti::plan {

constexpr size_t at(int64_t index) { return static_cast<size_t>(index); }

}  // namespace tutti::plan
