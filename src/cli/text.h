// Sizes, times and rates as people read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tutti::cli {

// "8 B", "64 KiB", "1.5 GiB": three digits at most.
std::string formatBytes(uint64_t bytes);

// "0.42 us", "12.3 us", "1.24 ms", "2.1 s": three digits.
std::string formatMicroseconds(double microseconds);

// Three digits, no exponent: "0.02", "4.60", "27.1", "128".
std::string formatRate(double value);

// "8", "64K", "1MiB", "2g": powers of 1024. Nothing for any other text, or more than 2^56.
std::optional<uint64_t> parseBytes(std::string_view text);

// "1 rank", "2 ranks".
std::string countOf(int64_t count, std::string_view noun);

}  // namespace tutti::cli
