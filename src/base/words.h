// Words that people write: which one was meant?
#pragma once

#include <span>
#include <string_view>

namespace tutti::base {

// The one of `known` that begins with `word`, else the nearest by edit distance; the earlier of
// equal ones. Empty if none is similar: 2 edits or a third of the word at most, and half of a short
// one.
std::string_view nearestWord(std::string_view word, std::span<const std::string_view> known);

}  // namespace tutti::base
