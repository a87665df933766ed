// What a large all-reduce does to memory, and nothing else: the yardstick for its speed.
#pragma once

#include <cstddef>

namespace tutti::cli {

// Reads each of `count` floats at `from` once and writes each at `to` once, around the caches where
// the processor can: to[i] = to[i + count / 2] = from[i] + from[i + count / 2]. Both are 64-byte
// aligned, count is a multiple of 32.
void streamHalves(float* to, const float* from, size_t count);

}  // namespace tutti::cli
