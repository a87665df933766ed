// The limits that control groups, version 1 and 2, put on this process. Private to this folder and
// its tests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tutti::topology {

struct CgroupLimits {
  double cpus = 0;           // processors' worth of time; 0: no limit
  uint64_t memoryBytes = 0;  // 0: no limit
};

// The tightest limit of the process's group and those above it, as far as they are visible below
// `root`/sys/fs/cgroup; `root` is "" but in tests.
CgroupLimits readCgroupLimits(const std::string& root = {});

// A whole small file of the kernel, without its last newline; nothing if it cannot be read.
// Reads at most 16 KiB.
std::optional<std::string> readSmallFile(const std::string& path);

// The number that `text` starts with.
std::optional<uint64_t> parseNumber(std::string_view text);

}  // namespace tutti::topology
