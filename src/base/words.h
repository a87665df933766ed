// Words that people write: which one was meant?
#pragma once

#include <span>
#include <string_view>

namespace tutti::base {

// The one of `known` nearest to `word` by edit distance, the earlier of equal ones; empty if none is
// similar (more than 2 edits, and more than a third of the word).
std::string_view nearestWord(std::string_view word, std::span<const std::string_view> known);

}  // namespace tutti::base
