// The kernels of every instruction set, behind kernels.h: what kernels.cc chooses from, and what
// tests run one by one. Private to this folder, its tests and its benchmarks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "src/device/reduce.h"

namespace tutti::device::host {

enum class Variant : int32_t { kPortable = 0, kNeon, kAvx2, kAvx3 };
inline constexpr int kVariantCount = 4;
inline constexpr int kKernelOpCount = 4;  // sum, prod, max, min: the first values of RedOp

// Reduces args.count elements; count may be 0. Ignores args.divisor. With args.streaming every
// destination is aligned to kStreamAlignment, and the caller fences the stores.
using ReduceKernel = void (*)(const ReduceArgs& args);

// Copies with non-temporal stores; `destination` is aligned to kStreamAlignment and `bytes` is a
// multiple of it. The caller fences the stores.
using StreamKernel = void (*)(uint8_t* destination, const uint8_t* source, size_t bytes);

// A cache line and the widest vector: a non-temporal store of less pays a read of the line.
inline constexpr size_t kStreamAlignment = 64;

struct KernelTable {
  ReduceKernel reduce[ir::kDataTypeCount][kKernelOpCount] = {};  // [type][op]
  StreamKernel stream = nullptr;
};

// Fill in the kernels of one family of types; a variant that is not compiled in is left alone.
void addFloatKernels(Variant variant, KernelTable& table);   // fp32, fp64, and `stream`
void addNarrowKernels(Variant variant, KernelTable& table);  // fp16, bf16, fp8
void addIntegerKernels(Variant variant, KernelTable& table);

// Is the variant compiled in, and can this machine run it?
bool isSupported(Variant variant);
const char* name(Variant variant);

// reduce() and copy() with the kernels of one supported variant.
void reduceWith(Variant variant, const ReduceArgs& args);
void copyWith(Variant variant, void* destination, const void* source, size_t bytes, bool streaming);

}  // namespace tutti::device::host
