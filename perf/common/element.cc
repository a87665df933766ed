#include "perf/common/element.h"

#include <array>
#include <bit>
#include <cmath>

namespace tutti::perf {
namespace {

constexpr std::array<TypeInfo, 12> kTypes{{
    {"int8", tuttiInt8, 1, false, true, 0, 0, 0, false},
    {"uint8", tuttiUint8, 1, false, false, 0, 0, 0, false},
    {"int32", tuttiInt32, 4, false, true, 0, 0, 0, false},
    {"uint32", tuttiUint32, 4, false, false, 0, 0, 0, false},
    {"int64", tuttiInt64, 8, false, true, 0, 0, 0, false},
    {"uint64", tuttiUint64, 8, false, false, 0, 0, 0, false},
    {"half", tuttiFloat16, 2, true, true, 11, 15, 0x7bff, false},
    {"float", tuttiFloat32, 4, true, true, 24, 127, 0x7f7fffff, false},
    {"double", tuttiFloat64, 8, true, true, 53, 1023, 0x7fefffffffffffff, false},
    {"bfloat16", tuttiBfloat16, 2, true, true, 8, 127, 0x7f7f, false},
    {"f8e4m3", tuttiFloat8e4m3, 1, true, true, 4, 7, 0x7e, true},
    {"f8e5m2", tuttiFloat8e5m2, 1, true, true, 3, 15, 0x7b, true},
}};

constexpr std::array<OpInfo, 6> kOps{{{"sum", Op::kSum},
                                      {"prod", Op::kProd},
                                      {"max", Op::kMax},
                                      {"min", Op::kMin},
                                      {"avg", Op::kAvg},
                                      {"mulsum", Op::kMulSum}}};

uint64_t signBit(const TypeInfo& type) { return uint64_t{1} << (8 * type.bytes - 1); }

}  // namespace

std::span<const TypeInfo> allTypes() { return kTypes; }
const TypeInfo& typeInfo(tuttiDataType_t type) { return kTypes.at(static_cast<size_t>(type)); }

const TypeInfo* findType(std::string_view name) {
  for (const TypeInfo& type : kTypes) {
    if (name == type.name) return &type;
  }
  return nullptr;
}

std::span<const OpInfo> allOps() { return kOps; }
const OpInfo& opInfo(Op op) { return kOps.at(static_cast<size_t>(op)); }

const OpInfo* findOp(std::string_view name) {
  for (const OpInfo& op : kOps) {
    if (name == op.name) return &op;
  }
  return nullptr;
}

uint64_t encodeFloat(const TypeInfo& type, double value) {
  if (type.bytes == 8) return std::bit_cast<uint64_t>(value);
  const uint64_t sign = std::signbit(value) ? signBit(type) : 0;
  const double magnitude = std::abs(value);
  if (magnitude == 0) return sign;
  const int mantissaBits = type.precision - 1;
  const int lowest = 1 - type.bias;  // exponent of the smallest normal value
  const int exponent = std::max(std::ilogb(magnitude), lowest);
  // In units of the last place this is an integer below 2^precision, after rounding at most equal.
  const double units = std::nearbyint(std::ldexp(magnitude, mantissaBits - exponent));
  // A value of 2^mantissaBits units or more carries the hidden bit; adding it to the exponent field
  // also carries a rounding up to the next power of two.
  uint64_t bits = static_cast<uint64_t>(units);
  bits += static_cast<uint64_t>(exponent - lowest) << mantissaBits;
  if (bits > type.maxBits) bits = type.saturates ? type.maxBits : type.maxBits + 1;
  return sign | bits;
}

double decodeFloat(const TypeInfo& type, uint64_t bits) {
  if (type.bytes == 8) return std::bit_cast<double>(bits);
  const uint64_t magnitude = bits & (signBit(type) - 1);
  const int mantissaBits = type.precision - 1;
  const uint64_t fraction = magnitude & ((uint64_t{1} << mantissaBits) - 1);
  const int field = static_cast<int>(magnitude >> mantissaBits);
  const uint64_t hidden = field == 0 ? 0 : uint64_t{1} << mantissaBits;
  const int exponent = (field == 0 ? 1 : field) - type.bias;
  const double value = std::ldexp(static_cast<double>(fraction + hidden), exponent - mantissaBits);
  return (bits & signBit(type)) != 0 ? -value : value;
}

int64_t orderedKey(const TypeInfo& type, uint64_t bits) {
  const auto magnitude = static_cast<int64_t>(bits & (signBit(type) - 1));
  return (bits & signBit(type)) != 0 ? -magnitude : magnitude;
}

uint64_t keyToBits(const TypeInfo& type, int64_t key) {
  return key < 0 ? signBit(type) | static_cast<uint64_t>(-key) : static_cast<uint64_t>(key);
}

}  // namespace tutti::perf
