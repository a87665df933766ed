// What the tools ask the operating system: memory, names, and the group of a rank.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace tutti::perf {

// Memory of this process that is in use: anonymous and shared pages. 0 where it cannot be told.
size_t usedBytes();

// Memory of this machine that is still free to take. 0 where it cannot be told.
size_t availableBytes();

std::string hostName();
std::string processorName();

// The colour of a rank from NCCL_TESTS_SPLIT_MASK ("0x7") or NCCL_TESTS_SPLIT ("AND 0x7", "&7",
// "OR 1", "|1", "MOD 2", "%2", "DIV 8", "/8"); nothing where neither is set. Throws a Failure for a
// text that is none of these.
std::optional<int> splitColor(int rank);

// The same from a text, for tests; nothing for a text that is no rule.
std::optional<int> colorOf(const std::string& rule, int rank);

}  // namespace tutti::perf
