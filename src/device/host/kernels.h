// Reductions and copies on host memory with SIMD, dispatched at run time to the best instruction
// set of the machine (Highway).
#pragma once

#include <cstddef>

#include "src/device/reduce.h"

namespace tutti::device::host {

// Runs one reduction in the calling thread. The contract is ReduceArgs'.
void reduce(const ReduceArgs& args);

// Copies `bytes` bytes; the ranges do not overlap or are identical. `streaming` stores around the
// caches (worth it where the destination is larger than the caches and not read again soon).
void copy(void* destination, const void* source, size_t bytes, bool streaming);

}  // namespace tutti::device::host
