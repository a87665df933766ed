// The element types and operators of the tools, by nccl-tests' names, and the exact encoding of
// values in each type.
#pragma once

#include <tutti/tutti.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tutti::perf {

// How a type lays out its bits. Integers have no exponent.
struct TypeInfo {
  const char* name;
  tuttiDataType_t type;
  int bytes;
  bool isFloat;
  bool isSigned;
  int precision;     // floats: bits of the significand with the hidden one
  int bias;          // floats: exponent bias
  uint64_t maxBits;  // floats: encoding of the largest finite value
  bool saturates;    // floats: overflow gives the largest finite value
};

// In the order of tuttiDataType_t.
std::span<const TypeInfo> allTypes();
const TypeInfo& typeInfo(tuttiDataType_t type);
const TypeInfo* findType(std::string_view name);

enum class Op { kSum, kProd, kMax, kMin, kAvg, kMulSum };

struct OpInfo {
  const char* name;
  Op op;
};

std::span<const OpInfo> allOps();
const OpInfo& opInfo(Op op);
const OpInfo* findOp(std::string_view name);

// The bits of `value` in a floating type: round to nearest, ties to even; in the low bytes.
uint64_t encodeFloat(const TypeInfo& type, double value);
// The value of the bits; every floating type here is exact in double.
double decodeFloat(const TypeInfo& type, uint64_t bits);

// Position of finite bits in the order of values (0 for both zeros), and back.
int64_t orderedKey(const TypeInfo& type, uint64_t bits);
uint64_t keyToBits(const TypeInfo& type, int64_t key);

}  // namespace tutti::perf
