// Time since an arbitrary start that never jumps (CLOCK_MONOTONIC).
#pragma once

#include <time.h>

#include <cstdint>

namespace tutti::base {

// Nanoseconds; comparable between processes of one host, not between hosts. About 20 ns a call.
inline int64_t nowNs() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

inline int64_t nowMs() { return nowNs() / 1'000'000; }

}  // namespace tutti::base
