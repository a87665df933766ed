// Scalar conversions between fp32 and the narrow float formats, the reference for every SIMD and
// device kernel. Portable integer arithmetic: the same bits on every machine, whatever its
// floating-point environment.
//
// Narrowing rounds to nearest even. fp16 and bf16 overflow to infinity; the two fp8 formats
// saturate to their largest finite value, also from infinity (OCP OFP8 specification, "saturating"
// conversion; the satfinite mode of GPUs). NaN becomes the canonical NaN: positive, quiet, no
// payload. Widening is exact.
#pragma once

#include <bit>
#include <cstdint>

namespace tutti::base {

// IEEE-like binary formats of up to 16 bits: sign, kExponentBits, kMantissaBits.
template <int ExponentBits, int MantissaBits, bool HasInfinity, bool Saturates>
struct NarrowFormat {
  static constexpr int kExponentBits = ExponentBits;
  static constexpr int kMantissaBits = MantissaBits;
  static constexpr int kBias = (1 << (ExponentBits - 1)) - 1;
  static constexpr bool kHasInfinity = HasInfinity;
  static constexpr bool kSaturates = Saturates;
  static constexpr uint32_t kMagnitudeMask = (1u << (ExponentBits + MantissaBits)) - 1;
  static constexpr int kSignShift = ExponentBits + MantissaBits;
  // All exponent bits set, no mantissa bit: infinity where the format has one.
  static constexpr uint32_t kTopExponent = kMagnitudeMask & ~((1u << MantissaBits) - 1);
  static constexpr uint32_t kMaxFinite = HasInfinity ? kTopExponent - 1 : kMagnitudeMask - 1;
  static constexpr uint32_t kCanonicalNan =
      HasInfinity ? kTopExponent | (1u << (MantissaBits - 1)) : kMagnitudeMask;
};

using Float16Format = NarrowFormat<5, 10, true, false>;
using Float8e4m3Format = NarrowFormat<4, 3, false, true>;
using Float8e5m2Format = NarrowFormat<5, 2, true, true>;

inline constexpr uint32_t kFloat32Nan = 0x7FC00000;
inline constexpr uint64_t kFloat64Nan = 0x7FF8000000000000;
inline constexpr uint16_t kBfloat16Nan = 0x7FC0;

// value / 2^shift, rounded to nearest even; 1 <= shift <= 31.
constexpr uint32_t shiftRightToNearestEven(uint32_t value, int shift) {
  const uint64_t half = (uint64_t{1} << (shift - 1)) - 1 + ((value >> shift) & 1);
  return static_cast<uint32_t>((value + half) >> shift);
}

template <class Format>
constexpr uint32_t narrow(float value) {
  constexpr int kDropped = 23 - Format::kMantissaBits;
  constexpr uint32_t kRebias = 127 - Format::kBias;
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  const uint32_t sign = (bits >> 31) << Format::kSignShift;
  if (magnitude > 0x7F800000) return Format::kCanonicalNan;
  const uint32_t exponent = magnitude >> 23;
  uint32_t result = 0;
  if (exponent > kRebias) {
    result = shiftRightToNearestEven(magnitude, kDropped) - (kRebias << Format::kMantissaBits);
  } else if (exponent + 24 > kRebias) {
    const uint32_t significand = (magnitude & 0x7FFFFF) | 0x800000;
    const int shift = kDropped + static_cast<int>(kRebias + 1 - exponent);
    result = shift > 31 ? 0 : shiftRightToNearestEven(significand, shift);
  }
  if (result > Format::kMaxFinite) {
    result = Format::kSaturates ? Format::kMaxFinite : Format::kTopExponent;
  }
  return sign | result;
}

template <class Format>
constexpr float widen(uint32_t bits) {
  constexpr uint32_t kRebias = 127 - Format::kBias;
  constexpr int kGained = 23 - Format::kMantissaBits;
  const uint32_t sign = (bits >> Format::kSignShift) << 31;
  const uint32_t magnitude = bits & Format::kMagnitudeMask;
  if (magnitude > (Format::kHasInfinity ? Format::kTopExponent : Format::kMaxFinite)) {
    return std::bit_cast<float>(kFloat32Nan);
  }
  if (Format::kHasInfinity && magnitude == Format::kTopExponent) {
    return std::bit_cast<float>(sign | 0x7F800000);
  }
  const uint32_t exponent = magnitude >> Format::kMantissaBits;
  if (exponent != 0) {
    return std::bit_cast<float>(sign | ((magnitude << kGained) + (kRebias << 23)));
  }
  if (magnitude == 0) return std::bit_cast<float>(sign);
  // Subnormal: normalise, since every one of these formats' subnormals is a normal fp32.
  const int lead = std::countl_zero(magnitude) - (31 - Format::kMantissaBits);
  const uint32_t mantissa = (magnitude << lead) & ((1u << Format::kMantissaBits) - 1);
  const uint32_t biased = kRebias + 1 - static_cast<uint32_t>(lead);
  return std::bit_cast<float>(sign | (biased << 23) | (mantissa << kGained));
}

constexpr float float16ToFloat32(uint16_t bits) { return widen<Float16Format>(bits); }
constexpr float float8e4m3ToFloat32(uint8_t bits) { return widen<Float8e4m3Format>(bits); }
constexpr float float8e5m2ToFloat32(uint8_t bits) { return widen<Float8e5m2Format>(bits); }

constexpr uint16_t float32ToFloat16(float value) {
  return static_cast<uint16_t>(narrow<Float16Format>(value));
}
constexpr uint8_t float32ToFloat8e4m3(float value) {
  return static_cast<uint8_t>(narrow<Float8e4m3Format>(value));
}
constexpr uint8_t float32ToFloat8e5m2(float value) {
  return static_cast<uint8_t>(narrow<Float8e5m2Format>(value));
}

// bf16 is the upper half of fp32, subnormals included.
constexpr float bfloat16ToFloat32(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}
constexpr uint16_t float32ToBfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return kBfloat16Nan;
  return static_cast<uint16_t>(shiftRightToNearestEven(bits, 16));
}

// NaNs become the canonical one, everything else stays.
constexpr float canonical(float value) {
  return value != value ? std::bit_cast<float>(kFloat32Nan) : value;
}
constexpr double canonical(double value) {
  return value != value ? std::bit_cast<double>(kFloat64Nan) : value;
}

}  // namespace tutti::base
