// Numbers as nccl-tests reads and writes them, so that its users' scripts and parsers keep working.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tutti::perf {

// "8", "1.5M", "32m", "4G": binary units K, M, G, T in either case. Nothing for anything else,
// negative numbers and what does not fit included.
std::optional<size_t> parseSize(std::string_view text);

// A decimal, 0x or 0b integer with an optional sign, the whole text.
std::optional<long long> parseInteger(std::string_view text);

// `value` in at least `width` (6 or 7) characters: two decimals while they fit, then one, then
// none, then an exponent.
std::string formatNumber(double value, int width);

// "512 B", "1.50 MB", "24.0 MB", "513 GB": binary units, three digits.
std::string formatBytes(double bytes);

// The ranks of a process for people: "rank 3", "ranks 4 to 7".
std::string ranksOf(int process, int ranksPerProcess);

// Local time as "2026-01-31 12:34:56".
std::string formatNow();

// Parts between separators; empty parts are kept, an empty text gives no parts.
std::vector<std::string> splitText(std::string_view text, char separator);

}  // namespace tutti::perf
