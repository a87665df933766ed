// The arguments of one reduction on one device: k sources, m destinations, one pass over memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "src/ir/types.h"

namespace tutti::device {

// At most this many sources or destinations in one call; callers with more make several calls.
inline constexpr int kMaxReduceOperands = 16;

// One factor, held as the element type's own bits in the low bytes. The contribution is multiplied
// by it, and the product rounded to the element type, before it is combined (avg of floats: 1/n
// converted to the type; tuttiRedOpCreatePreMulSum: the user's scalar).
struct Factor {
  uint64_t bits = 0;
  bool isSet = false;
};

// destinations[j][i] = post( sources[0][i]*f0 (op) sources[1][i]*f1 (op) ... ) for i < count.
//
// Contract, the same on every device so that ranks of different make get the same bits:
// - operands combine left to right, in the order given;
// - fp16, bf16 and fp8 accumulate in fp32 and round once at the end (round to nearest even, fp8
//   saturates to the largest finite value as OCP FP8 "satfinite" does; NaN stays NaN);
// - fp32 and fp64 use one IEEE operation per operand, no fused multiply-add;
// - integers wrap modulo 2^w; `divisor` > 1 divides the final integer (truncating toward zero for
//   signed types), which is tuttiAvg on integers;
// - min and max: integers by value; floats by IEEE comparison, NaN wins (any NaN gives NaN);
// - stored NaNs are canonical (sign 0, quiet bit, no payload), fp8 included;
// - sourceCount == 1 with no factor and no divisor is a copy of the bits, NaNs untouched.
// Sources may be unaligned and may equal a destination exactly (in place); partial overlap is not
// allowed. Never blocks, never allocates, thread safe.
struct ReduceArgs {
  ir::DataType type = ir::DataType::kFloat32;
  ir::RedOp op = ir::RedOp::kSum;  // kSum, kProd, kMax or kMin; avg and premulsum are factors
  const void* const* sources = nullptr;
  const Factor* factors = nullptr;  // one per source, or null for none
  int sourceCount = 0;              // 1 .. kMaxReduceOperands
  void* const* destinations = nullptr;
  int destinationCount = 0;  // 1 .. kMaxReduceOperands
  size_t count = 0;          // elements
  uint64_t divisor = 0;      // integer average; 0 or 1 for none
  // Hint: destinations will not be read soon, so store around the caches (no read for ownership).
  bool streaming = false;
};

}  // namespace tutti::device
