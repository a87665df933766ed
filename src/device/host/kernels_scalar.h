// One element of every type: the kernels in plain C++. They finish what a SIMD kernel's vectors
// leave over, and are the whole of the portable variant.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "src/base/numeric.h"
#include "src/device/host/kernels_variants.h"

namespace tutti::device::host {

using namespace tutti::base;  // conversions of numeric.h

using ir::DataType;
using ir::RedOp;

// Element<type>: Stored is what memory holds, Value what operands combine in; round() brings a
// Value to the nearest one that the type holds (of interest after a factor only).
template <typename T>
struct IntegerElement {
  using Stored = T;
  using Value = T;
  // Arithmetic in an unsigned type of at least int's width: wraps, and never promotes to int.
  using Wide = std::common_type_t<std::make_unsigned_t<T>, unsigned>;
  static constexpr Value load(Stored bits) { return bits; }
  static constexpr Stored store(Value value) { return value; }
  static constexpr Value round(Value value) { return value; }
  static constexpr Value add(Value a, Value b) {
    return static_cast<T>(static_cast<Wide>(a) + static_cast<Wide>(b));
  }
  static constexpr Value multiply(Value a, Value b) {
    return static_cast<T>(static_cast<Wide>(a) * static_cast<Wide>(b));
  }
};

template <typename T>
struct FloatElement {
  using Stored = T;
  using Value = T;
  static constexpr Value load(Stored bits) { return bits; }
  static constexpr Stored store(Value value) { return canonical(value); }
  static constexpr Value round(Value value) { return value; }
  static constexpr Value add(Value a, Value b) { return a + b; }
  static constexpr Value multiply(Value a, Value b) { return a * b; }
};

template <typename T, float (*Widen)(T), T (*Narrow)(float)>
struct NarrowElement {
  using Stored = T;
  using Value = float;
  static constexpr Value load(Stored bits) { return Widen(bits); }
  static constexpr Stored store(Value value) { return Narrow(value); }
  static constexpr Value round(Value value) { return Widen(Narrow(value)); }
  static constexpr Value add(Value a, Value b) { return a + b; }
  static constexpr Value multiply(Value a, Value b) { return a * b; }
};

template <DataType type>
struct Element;
template <>
struct Element<DataType::kInt8> : IntegerElement<int8_t> {};
template <>
struct Element<DataType::kUint8> : IntegerElement<uint8_t> {};
template <>
struct Element<DataType::kInt32> : IntegerElement<int32_t> {};
template <>
struct Element<DataType::kUint32> : IntegerElement<uint32_t> {};
template <>
struct Element<DataType::kInt64> : IntegerElement<int64_t> {};
template <>
struct Element<DataType::kUint64> : IntegerElement<uint64_t> {};
template <>
struct Element<DataType::kFloat32> : FloatElement<float> {};
template <>
struct Element<DataType::kFloat64> : FloatElement<double> {};
template <>
struct Element<DataType::kFloat16> : NarrowElement<uint16_t, float16ToFloat32, float32ToFloat16> {};
template <>
struct Element<DataType::kBfloat16>
    : NarrowElement<uint16_t, bfloat16ToFloat32, float32ToBfloat16> {};
template <>
struct Element<DataType::kFloat8e4m3>
    : NarrowElement<uint8_t, float8e4m3ToFloat32, float32ToFloat8e4m3> {};
template <>
struct Element<DataType::kFloat8e5m2>
    : NarrowElement<uint8_t, float8e5m2ToFloat32, float32ToFloat8e5m2> {};

// Equal operands keep the first one (it matters for -0 and +0), and a NaN of either stays.
template <class E, RedOp op>
constexpr typename E::Value combine(typename E::Value a, typename E::Value b) {
  if constexpr (op == RedOp::kSum) {
    return E::add(a, b);
  } else if constexpr (op == RedOp::kProd) {
    return E::multiply(a, b);
  } else if constexpr (op == RedOp::kMax) {
    return (b > a || b != b) ? b : a;
  } else {
    return (b < a || b != b) ? b : a;
  }
}

template <class E>
typename E::Value factorOf(const Factor& factor) {
  typename E::Stored stored;
  std::memcpy(&stored, &factor.bits, sizeof(stored));  // low bytes first: little endian
  return E::load(stored);
}

// values[0..count) = the contribution of one source; or combined with what is there already.
template <class E, RedOp op, bool kCombine>
void takeSource(typename E::Value* values, const uint8_t* source, size_t count,
                const Factor* factor) {
  const bool isScaled = factor != nullptr && factor->isSet;
  const auto scale = isScaled ? factorOf<E>(*factor) : typename E::Value{};
  for (size_t i = 0; i < count; ++i) {
    typename E::Stored stored;
    std::memcpy(&stored, source + i * sizeof(stored), sizeof(stored));
    auto value = E::load(stored);
    if (isScaled) value = E::round(E::multiply(value, scale));
    values[i] = kCombine ? combine<E, op>(values[i], value) : value;
  }
}

// Elements [begin, args.count) by plain C++. Blocks keep the accumulators in the first cache.
template <DataType type, RedOp op>
void reduceScalar(const ReduceArgs& args, size_t begin) {
  using E = Element<type>;
  using Stored = typename E::Stored;
  constexpr size_t kBlock = 256;
  typename E::Value values[kBlock];
  Stored stored[kBlock];
  for (size_t at = begin; at < args.count; at += kBlock) {
    const size_t count = std::min(kBlock, args.count - at);
    for (int s = 0; s < args.sourceCount; ++s) {
      const auto* source = static_cast<const uint8_t*>(args.sources[s]) + at * sizeof(Stored);
      const Factor* factor = args.factors == nullptr ? nullptr : args.factors + s;
      if (s == 0) {
        takeSource<E, op, false>(values, source, count, factor);
      } else {
        takeSource<E, op, true>(values, source, count, factor);
      }
    }
    for (size_t i = 0; i < count; ++i) stored[i] = E::store(values[i]);
    for (int d = 0; d < args.destinationCount; ++d) {
      auto* destination = static_cast<uint8_t*>(args.destinations[d]) + at * sizeof(Stored);
      std::memcpy(destination, stored, count * sizeof(Stored));
    }
  }
}

template <DataType type, RedOp op>
void reducePortable(const ReduceArgs& args) {
  reduceScalar<type, op>(args, 0);
}

template <DataType type>
void addScalarType(KernelTable& table) {
  auto& kernels = table.reduce[static_cast<int>(type)];
  kernels[static_cast<int>(RedOp::kSum)] = reducePortable<type, RedOp::kSum>;
  kernels[static_cast<int>(RedOp::kProd)] = reducePortable<type, RedOp::kProd>;
  kernels[static_cast<int>(RedOp::kMax)] = reducePortable<type, RedOp::kMax>;
  kernels[static_cast<int>(RedOp::kMin)] = reducePortable<type, RedOp::kMin>;
}

}  // namespace tutti::device::host
