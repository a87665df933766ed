// Every kernel of every instruction set that this machine has, against a reference that shares no
// code with them: narrow formats are tables of values searched for the nearest, in double.
#include "src/device/host/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "src/base/numeric.h"
#include "src/device/host/kernels_variants.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tutti::device::host {

using namespace tutti::base;  // conversions of numeric.h
namespace {

using ir::DataType;
using ir::RedOp;

constexpr DataType kFloatTypes[] = {DataType::kFloat16,    DataType::kFloat32,
                                    DataType::kFloat64,    DataType::kBfloat16,
                                    DataType::kFloat8e4m3, DataType::kFloat8e5m2};
constexpr RedOp kOps[] = {RedOp::kSum, RedOp::kProd, RedOp::kMax, RedOp::kMin};
constexpr int kSourceCounts[] = {1, 2, 3, 4, 5, 8, 16};
constexpr int kDestinationCounts[] = {1, 2, 4};
constexpr size_t kCounts[] = {0, 1, 2, 3, 7, 15, 16, 17, 31, 64, 100, 1000, 4097};
constexpr size_t kMaxCount = 4097;

std::vector<Variant> variants() {
  std::vector<Variant> result;
  for (int v = 0; v < kVariantCount; ++v) {
    if (isSupported(static_cast<Variant>(v))) result.push_back(static_cast<Variant>(v));
  }
  return result;
}

// ---- The reference: formats ----------------------------------------------------------------

// A narrow format as the sorted list of its non-negative finite values; the index is the encoding.
struct Format {
  Format(int exponentBits, int mantissaBits, bool hasInfinity, bool saturates)
      : mantissa(mantissaBits), isSaturating(saturates), isIeee(hasInfinity) {
    const int bias = (1 << (exponentBits - 1)) - 1;
    const uint32_t end = hasInfinity ? ((1u << exponentBits) - 1) << mantissaBits
                                     : (1u << (exponentBits + mantissaBits)) - 1;
    for (uint32_t code = 0; code < end; ++code) {
      const int exponent = static_cast<int>(code >> mantissaBits);
      const double fraction = code & ((1u << mantissaBits) - 1);
      const double unit = std::ldexp(1.0, -mantissaBits);
      values.push_back(exponent == 0 ? std::ldexp(fraction * unit, 1 - bias)
                                     : std::ldexp(1 + fraction * unit, exponent - bias));
    }
    signBit = 1u << (exponentBits + mantissaBits);
    next = 2 * values.back() - values[values.size() - 2];
  }

  double decode(uint32_t code) const {
    const uint32_t magnitude = code & (signBit - 1);
    const double sign = code & signBit ? -1.0 : 1.0;
    if (magnitude < values.size()) return sign * values[magnitude];
    if (isIeee && magnitude == values.size()) return sign * INFINITY;
    return NAN;
  }

  uint32_t encode(double value) const {
    const auto end = static_cast<uint32_t>(values.size());
    if (std::isnan(value)) return isIeee ? end | (1u << (mantissa - 1)) : signBit - 1;
    const uint32_t sign = std::signbit(value) ? signBit : 0;
    const double magnitude = std::fabs(value);
    auto above = static_cast<uint32_t>(std::lower_bound(values.begin(), values.end(), magnitude) -
                                       values.begin());
    if (above < end && values[above] == magnitude) return sign | above;
    const double up = above < end ? values[above] : next;
    const double toUp = up - magnitude;
    const double toDown = magnitude - values[above - 1];
    uint32_t nearest = toUp < toDown || (toUp == toDown && above % 2 == 0) ? above : above - 1;
    if (magnitude >= next) nearest = end;
    if (nearest == end && isSaturating) nearest = end - 1;
    return sign | nearest;
  }

  std::vector<double> values;
  double next;  // what would follow the largest finite value
  uint32_t signBit;
  int mantissa;
  bool isSaturating;
  bool isIeee;
};

const Format& formatOf(DataType type) {
  static const Format half(5, 10, true, false);
  static const Format brain(8, 7, true, false);
  static const Format e4m3(4, 3, false, true);
  static const Format e5m2(5, 2, true, true);
  switch (type) {
    case DataType::kFloat16: return half;
    case DataType::kBfloat16: return brain;
    case DataType::kFloat8e4m3: return e4m3;
    default: return e5m2;
  }
}

// ---- The reference: arithmetic on one element ----------------------------------------------

template <typename T>
T fromBits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

template <typename T>
uint64_t toBits(T value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}

template <typename T>
T combineFloat(RedOp op, T a, T b) {
  if (op == RedOp::kSum) return a + b;
  if (op == RedOp::kProd) return a * b;
  if (std::isnan(a)) return a;
  if (std::isnan(b)) return b;
  if (op == RedOp::kMax) return a < b ? b : a;
  return b < a ? b : a;
}

using Bits = std::vector<uint64_t>;  // one element's bits of every source

template <typename T>
uint64_t referenceFloat(RedOp op, const Bits& sources, const Factor* factors) {
  T result = 0;
  for (size_t s = 0; s < sources.size(); ++s) {
    volatile T value = fromBits<T>(sources[s]);  // volatile: never contracted
    if (factors != nullptr && factors[s].isSet) value = value * fromBits<T>(factors[s].bits);
    result = s == 0 ? static_cast<T>(value) : combineFloat<T>(op, result, value);
  }
  if (std::isnan(result)) return sizeof(T) == 4 ? 0x7FC00000 : 0x7FF8000000000000;
  return toBits(result);
}

uint64_t referenceNarrow(DataType type, RedOp op, const Bits& sources, const Factor* factors) {
  const Format& format = formatOf(type);
  const auto decode = [&](uint64_t bits) { return format.decode(static_cast<uint32_t>(bits)); };
  float result = 0;
  for (size_t s = 0; s < sources.size(); ++s) {
    double value = decode(sources[s]);
    if (factors != nullptr && factors[s].isSet) {
      value = decode(format.encode(value * decode(factors[s].bits)));
    }
    const auto narrow = static_cast<float>(value);
    result = s == 0 ? narrow : combineFloat<float>(op, result, narrow);
  }
  return format.encode(result);
}

template <typename T>
uint64_t referenceInteger(RedOp op, const Bits& sources, const Factor* factors, uint64_t divisor) {
  T result = 0;
  for (size_t s = 0; s < sources.size(); ++s) {
    uint64_t bits = sources[s];
    if (factors != nullptr && factors[s].isSet) bits *= factors[s].bits;
    const T value = fromBits<T>(bits);
    if (s == 0)
      result = value;
    else if (op == RedOp::kSum)
      result = fromBits<T>(toBits(result) + bits);
    else if (op == RedOp::kProd)
      result = fromBits<T>(toBits(result) * bits);
    else if (op == RedOp::kMax)
      result = std::max(result, value);
    else
      result = std::min(result, value);
  }
  if (divisor > 1) {
    const bool isNegative = result < 0;
    const auto wide = static_cast<uint64_t>(static_cast<int64_t>(result));
    const uint64_t quotient = (isNegative ? 0 - wide : wide) / divisor;
    result = fromBits<T>(isNegative ? 0 - quotient : quotient);
  }
  return toBits(result);
}

uint64_t reference(DataType type, RedOp op, const Bits& sources, const Factor* factors,
                   uint64_t divisor) {
  bool isCopy = sources.size() == 1;
  isCopy = isCopy && (factors == nullptr || !factors[0].isSet);
  isCopy = isCopy && (divisor < 2 || ir::isFloat(type));
  if (isCopy) return sources[0];
  switch (type) {
    case DataType::kInt8: return referenceInteger<int8_t>(op, sources, factors, divisor);
    case DataType::kUint8: return referenceInteger<uint8_t>(op, sources, factors, divisor);
    case DataType::kInt32: return referenceInteger<int32_t>(op, sources, factors, divisor);
    case DataType::kUint32: return referenceInteger<uint32_t>(op, sources, factors, divisor);
    case DataType::kInt64: return referenceInteger<int64_t>(op, sources, factors, divisor);
    case DataType::kUint64: return referenceInteger<uint64_t>(op, sources, factors, divisor);
    case DataType::kFloat32: return referenceFloat<float>(op, sources, factors);
    case DataType::kFloat64: return referenceFloat<double>(op, sources, factors);
    default: return referenceNarrow(type, op, sources, factors);
  }
}

// ---- Inputs ----------------------------------------------------------------------------------

// Bits that are uniform (so NaN, infinities and subnormals occur), or a number of ordinary size so
// that sums round and cancel, in turn.
uint64_t randomElement(DataType type, std::mt19937_64& random) {
  const uint64_t bits = random();
  const size_t size = ir::sizeOf(type);
  const uint64_t mask = size == 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * size)) - 1;
  if (bits >> 63 || !ir::isFloat(type)) return random() & mask;
  const double ordinary = (static_cast<double>(bits % 4001) - 2000) / 512;
  if (type == DataType::kFloat64) return toBits(ordinary * 1.1);
  if (type == DataType::kFloat32) return toBits(static_cast<float>(ordinary * 1.1));
  return formatOf(type).encode(ordinary);
}

void storeElement(uint8_t* to, size_t index, size_t size, uint64_t bits) {
  std::memcpy(to + index * size, &bits, size);
}

struct Inputs {
  Inputs(DataType elementType, int sourceCount, size_t elementCount, uint64_t seed)
      : type(elementType), count(elementCount) {
    std::mt19937_64 random(seed);
    const size_t size = ir::sizeOf(type);
    for (int s = 0; s < sourceCount; ++s) {
      bytes.emplace_back(count * size);
      for (size_t i = 0; i < count; ++i) {
        storeElement(bytes.back().data(), i, size, randomElement(type, random));
      }
    }
  }

  std::vector<uint8_t> expect(RedOp op, const Factor* factors, uint64_t divisor) const {
    const size_t size = ir::sizeOf(type);
    std::vector<uint8_t> result(count * size);
    Bits element(bytes.size());
    for (size_t i = 0; i < count; ++i) {
      for (size_t s = 0; s < bytes.size(); ++s) {
        element[s] = 0;
        std::memcpy(&element[s], bytes[s].data() + i * size, size);
      }
      storeElement(result.data(), i, size, reference(type, op, element, factors, divisor));
    }
    return result;
  }

  DataType type;
  size_t count;
  std::vector<std::vector<uint8_t>> bytes;
};

// ---- One call under test ---------------------------------------------------------------------

struct Layout {
  std::string name;
  size_t sourceOffset = 0;       // of source s: s * sourceOffset, past an aligned address
  size_t destinationOffset = 0;  // likewise
  bool isInPlace = false;        // destination d is source d, where there is one
  bool streaming = false;
};

struct Case {
  Variant variant;
  RedOp op;
  int destinationCount;
  size_t count;
  const Factor* factors;
  uint64_t divisor;
};

constexpr size_t kGuard = 64;
constexpr uint8_t kGuardByte = 0xA5;

// Memory for one operand with guards on both sides, at a chosen distance from a cache line.
class Operand {
 public:
  void place(size_t bytes, size_t offset) {
    if (storage_.size() < bytes + 4 * kGuard) storage_.resize(bytes + 4 * kGuard);
    const auto address = reinterpret_cast<uintptr_t>(storage_.data());
    const size_t toLine = (kGuard - address % kGuard) % kGuard;
    data_ = storage_.data() + toLine + kGuard + offset % kGuard;
    bytes_ = bytes;
    std::memset(data_ - kGuard, kGuardByte, bytes + 2 * kGuard);
  }
  uint8_t* data() { return data_; }
  bool isGuardIntact() const {
    for (size_t i = 0; i < kGuard; ++i) {
      if (data_[-1 - static_cast<ptrdiff_t>(i)] != kGuardByte) return false;
      if (data_[bytes_ + i] != kGuardByte) return false;
    }
    return true;
  }

 private:
  std::vector<uint8_t> storage_;
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

size_t firstDifference(const uint8_t* a, const uint8_t* b, size_t bytes) {
  return static_cast<size_t>(std::mismatch(a, a + bytes, b).first - a);
}

class Runner {
 public:
  void run(const Inputs& inputs, const std::vector<uint8_t>& expected, const Case& test,
           const Layout& layout) {
    const size_t bytes = test.count * ir::sizeOf(inputs.type);
    place(inputs, test, layout, bytes);
    ReduceArgs args;
    args.type = inputs.type;
    args.op = test.op;
    args.sources = sources_;
    args.factors = test.factors;
    args.sourceCount = static_cast<int>(inputs.bytes.size());
    args.destinations = destinations_;
    args.destinationCount = test.destinationCount;
    args.count = test.count;
    args.divisor = test.divisor;
    args.streaming = layout.streaming;
    reduceWith(test.variant, args);
    check(inputs, expected, test, layout, bytes);
  }

 private:
  void place(const Inputs& inputs, const Case& test, const Layout& layout, size_t bytes) {
    for (size_t s = 0; s < inputs.bytes.size(); ++s) {
      sourceMemory_[s].place(bytes, s * layout.sourceOffset);
      if (bytes > 0) std::memcpy(sourceMemory_[s].data(), inputs.bytes[s].data(), bytes);
      sources_[s] = sourceMemory_[s].data();
    }
    for (int d = 0; d < test.destinationCount; ++d) {
      const auto index = static_cast<size_t>(d);
      const bool isShared = layout.isInPlace && index < inputs.bytes.size();
      if (!isShared) destinationMemory_[d].place(bytes, index * layout.destinationOffset);
      destinations_[d] = isShared ? sourceMemory_[d].data() : destinationMemory_[d].data();
    }
  }

  void check(const Inputs& inputs, const std::vector<uint8_t>& expected, const Case& test,
             const Layout& layout, size_t bytes) {
    for (int d = 0; d < test.destinationCount; ++d) {
      const auto* result = static_cast<const uint8_t*>(destinations_[d]);
      const bool isShared = layout.isInPlace && d < static_cast<int>(inputs.bytes.size());
      const Operand& memory = isShared ? sourceMemory_[d] : destinationMemory_[d];
      const size_t at = firstDifference(result, expected.data(), bytes);
      if (at == bytes && memory.isGuardIntact()) continue;
      ADD_FAILURE() << name(test.variant) << ' ' << static_cast<int>(inputs.type) << " op "
                    << static_cast<int>(test.op) << " sources " << inputs.bytes.size()
                    << " destination " << d << " of " << test.destinationCount << " count "
                    << test.count << ' ' << layout.name << " divisor " << test.divisor
                    << (test.factors != nullptr ? " scaled" : "") << ": element "
                    << at / ir::sizeOf(inputs.type) << (at == bytes ? " guard" : "");
    }
  }

  Operand sourceMemory_[kMaxReduceOperands];
  Operand destinationMemory_[kMaxReduceOperands];
  const void* sources_[kMaxReduceOperands];
  void* destinations_[kMaxReduceOperands];
};

const std::vector<Layout>& layouts() {
  static const std::vector<Layout> all = {
      {"aligned", 0, 0, false, false},
      {"unaligned", 3, 5, false, false},
      {"in place", 1, 9, true, false},
      {"streaming", 7, 0, false, true},
      {"streaming unaligned", 0, 13, false, true},
  };
  return all;
}

// Factors for some of the sources, the first among them.
std::vector<Factor> makeFactors(DataType type, int sourceCount) {
  std::vector<Factor> factors(static_cast<size_t>(sourceCount));
  std::mt19937_64 random(static_cast<uint64_t>(type) * 100 + static_cast<uint64_t>(sourceCount));
  constexpr double kValues[] = {1.0 / 3, 1.1, -0.7, 3e-5};
  for (size_t s = 0; s < factors.size(); ++s) {
    factors[s].isSet = s % 3 != 1;
    const double value = kValues[s % 4];
    if (type == DataType::kFloat64)
      factors[s].bits = toBits(value);
    else if (type == DataType::kFloat32)
      factors[s].bits = toBits(static_cast<float>(value));
    else if (ir::isFloat(type))
      factors[s].bits = formatOf(type).encode(value);
    else
      factors[s].bits = randomElement(type, random);
  }
  return factors;
}

class KernelsTest : public testing::TestWithParam<DataType> {};

void runAll(Runner& runner, const Inputs& inputs, RedOp op, const Factor* factors,
            uint64_t divisor) {
  const auto expected = inputs.expect(op, factors, divisor);
  for (const Variant variant : variants()) {
    for (const int destinationCount : kDestinationCounts) {
      for (const size_t count : kCounts) {
        for (const Layout& layout : layouts()) {
          const Case test{variant, op, destinationCount, count, factors, divisor};
          runner.run(inputs, expected, test, layout);
        }
      }
    }
  }
}

TEST_P(KernelsTest, EqualTheReferenceBitForBit) {
  Runner runner;
  for (const int sourceCount : kSourceCounts) {
    const Inputs inputs(GetParam(), sourceCount, kMaxCount, static_cast<uint64_t>(sourceCount));
    const auto factors = makeFactors(GetParam(), sourceCount);
    for (const RedOp op : kOps) {
      runAll(runner, inputs, op, nullptr, 0);
      runAll(runner, inputs, op, factors.data(), 1);
    }
  }
}

TEST_P(KernelsTest, IntegersDivideTowardZeroAndFloatsIgnoreTheDivisor) {
  Runner runner;
  constexpr uint64_t kDivisors[] = {2,
                                    3,
                                    7,
                                    8,
                                    127,
                                    128,
                                    641,
                                    65537,
                                    0x80000000u,
                                    0x80000001u,
                                    0x7FFFFFFFFFFFFFFF,
                                    0x8000000000000000,
                                    ~uint64_t{0}};
  for (const int sourceCount : {1, 3}) {
    const Inputs inputs(GetParam(), sourceCount, kMaxCount, 77);
    for (const uint64_t divisor : kDivisors) {
      const auto expected = inputs.expect(RedOp::kSum, nullptr, divisor);
      for (const Variant variant : variants()) {
        for (const Layout& layout : layouts()) {
          const Case test{variant, RedOp::kSum, 2, kMaxCount, nullptr, divisor};
          runner.run(inputs, expected, test, layout);
        }
      }
    }
  }
}

TEST_P(KernelsTest, StreamToDestinationsOfAnyAlignment) {
  Runner runner;
  constexpr size_t kCount = 20011;
  for (const int sourceCount : {1, 3}) {
    const Inputs inputs(GetParam(), sourceCount, kCount, 5);
    const auto expected = inputs.expect(RedOp::kSum, nullptr, 0);
    for (const Variant variant : variants()) {
      for (const int destinationCount : {1, 2, 4}) {
        for (const size_t offset : {0, 1, 16, 63}) {
          const Case test{variant, RedOp::kSum, destinationCount, kCount, nullptr, 0};
          runner.run(inputs, expected, test, {"streaming", offset, offset, false, true});
          runner.run(inputs, expected, test, {"streaming in place", 8, offset, true, true});
        }
      }
    }
  }
}

std::string typeName(const testing::TestParamInfo<DataType>& info) {
  constexpr const char* kNames[] = {"int8",    "uint8",    "int32",   "uint32",
                                    "int64",   "uint64",   "float16", "float32",
                                    "float64", "bfloat16", "f8e4m3",  "f8e5m2"};
  return kNames[static_cast<int>(info.param)];
}

std::vector<DataType> allTypes() {
  std::vector<DataType> types;
  for (int t = 0; t < ir::kDataTypeCount; ++t) types.push_back(static_cast<DataType>(t));
  return types;
}

INSTANTIATE_TEST_SUITE_P(Types, KernelsTest, testing::ValuesIn(allTypes()), typeName);

// ---- Conversions -------------------------------------------------------------------------------

uint32_t encodeScalar(DataType type, float value) {
  switch (type) {
    case DataType::kFloat16: return float32ToFloat16(value);
    case DataType::kBfloat16: return float32ToBfloat16(value);
    case DataType::kFloat8e4m3: return float32ToFloat8e4m3(value);
    default: return float32ToFloat8e5m2(value);
  }
}

float decodeScalar(DataType type, uint32_t bits) {
  switch (type) {
    case DataType::kFloat16: return float16ToFloat32(static_cast<uint16_t>(bits));
    case DataType::kBfloat16: return bfloat16ToFloat32(static_cast<uint16_t>(bits));
    case DataType::kFloat8e4m3: return float8e4m3ToFloat32(static_cast<uint8_t>(bits));
    default: return float8e5m2ToFloat32(static_cast<uint8_t>(bits));
  }
}

constexpr DataType kNarrowTypes[] = {DataType::kFloat16, DataType::kBfloat16, DataType::kFloat8e4m3,
                                     DataType::kFloat8e5m2};

TEST(NumericTest, WidensEveryValue) {
  for (const DataType type : kNarrowTypes) {
    const uint32_t end = 1u << (8 * ir::sizeOf(type));
    for (uint32_t bits = 0; bits < end; ++bits) {
      const float expected = static_cast<float>(formatOf(type).decode(bits));
      const float actual = decodeScalar(type, bits);
      if (std::isnan(expected)) {
        EXPECT_TRUE(std::isnan(actual)) << bits;
      } else {
        EXPECT_EQ(std::bit_cast<uint32_t>(expected), std::bit_cast<uint32_t>(actual)) << bits;
      }
    }
  }
}

// At every value, at every midpoint, and one fp32 step to both sides of either.
TEST(NumericTest, NarrowsToNearestEven) {
  for (const DataType type : kNarrowTypes) {
    const Format& format = formatOf(type);
    for (size_t i = 0; i < format.values.size(); ++i) {
      const double up = i + 1 < format.values.size() ? format.values[i + 1] : format.next;
      for (const double at : {format.values[i], (format.values[i] + up) / 2}) {
        const auto middle = static_cast<float>(at);
        for (const float value :
             {middle, std::nextafter(middle, INFINITY), std::nextafter(middle, -INFINITY)}) {
          EXPECT_EQ(format.encode(value), encodeScalar(type, value)) << value;
          EXPECT_EQ(format.encode(-value), encodeScalar(type, -value)) << value;
        }
      }
    }
    constexpr float kMax = std::numeric_limits<float>::max();
    constexpr float kMin = std::numeric_limits<float>::denorm_min();
    for (const float value : {INFINITY, -INFINITY, NAN, kMax, -kMax, kMin, 0.0f, -0.0f}) {
      EXPECT_EQ(format.encode(value), encodeScalar(type, value)) << value;
    }
  }
}

TEST(NumericTest, IsConstexpr) {
  static_assert(float32ToFloat16(1.0f) == 0x3C00);
  static_assert(float16ToFloat32(0x0001) == 0x1p-24f);
  static_assert(float32ToBfloat16(1.0f) == 0x3F80);
  static_assert(float32ToFloat8e4m3(1e9f) == 0x7E);
  static_assert(float32ToFloat8e5m2(1e9f) == 0x7B);
  static_assert(float8e4m3ToFloat32(0x7E) == 448.0f);
}

// Runs op over two sources with every kernel and compares with the reference.
void runPairs(const Inputs& inputs) {
  Runner runner;
  for (const RedOp op : kOps) {
    const auto expected = inputs.expect(op, nullptr, 0);
    for (const Variant variant : variants()) {
      runner.run(inputs, expected, Case{variant, op, 1, inputs.count, nullptr, 0}, layouts()[0]);
    }
  }
}

TEST(ExhaustiveTest, EveryPairOfFloat8) {
  for (const DataType type : {DataType::kFloat8e4m3, DataType::kFloat8e5m2}) {
    Inputs inputs(type, 2, 65536, 1);
    for (size_t i = 0; i < 65536; ++i) {
      inputs.bytes[0][i] = static_cast<uint8_t>(i);
      inputs.bytes[1][i] = static_cast<uint8_t>(i >> 8);
    }
    runPairs(inputs);
  }
}

TEST(ExhaustiveTest, EveryFloat16AndBfloat16WithSomeOthers) {
  for (const DataType type : {DataType::kFloat16, DataType::kBfloat16}) {
    Inputs inputs(type, 2, 65536, 2);
    for (const uint64_t other : {0x8000u, 0x3C00u, 0x3F80u, 0x0001u, 0x7C00u, 0x7F80u, 0x5A5Au}) {
      for (size_t i = 0; i < 65536; ++i) {
        storeElement(inputs.bytes[0].data(), i, 2, i);
        storeElement(inputs.bytes[1].data(), i, 2, other ^ (i % 3));
      }
      runPairs(inputs);
    }
  }
}

// ---- Properties --------------------------------------------------------------------------------

TEST(KernelsPropertyTest, Float64SumStaysWithinTheRoundingBound) {
  constexpr size_t kCount = 1000;
  constexpr int kSources = 16;
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal;
  std::vector<std::vector<double>> sources(kSources, std::vector<double>(kCount));
  const void* pointers[kSources];
  for (int s = 0; s < kSources; ++s) {
    for (double& value : sources[static_cast<size_t>(s)]) value = normal(random);
    pointers[s] = sources[static_cast<size_t>(s)].data();
  }
  std::vector<double> result(kCount);
  void* destinations[] = {result.data()};
  ReduceArgs args;
  args.type = DataType::kFloat64;
  args.sources = pointers;
  args.sourceCount = kSources;
  args.destinations = destinations;
  args.destinationCount = 1;
  args.count = kCount;
  reduce(args);
  for (size_t i = 0; i < kCount; ++i) {
    long double exact = 0;
    long double magnitude = 0;
    for (const auto& source : sources) {
      exact += source[i];
      magnitude += std::fabs(source[i]);
    }
    const long double bound = (kSources - 1) * 1.1102230246251565e-16L * magnitude;
    EXPECT_LE(std::fabs(static_cast<double>(exact - result[i])), bound) << i;
  }
}

TEST(KernelsPropertyTest, ZerosOfTwoSignsKeepTheFirst) {
  for (const DataType type : kFloatTypes) {
    const size_t size = ir::sizeOf(type);
    const uint64_t minusZero = uint64_t{1} << (8 * size - 1);
    for (const RedOp op : {RedOp::kMax, RedOp::kMin}) {
      Inputs inputs(type, 2, 100, 1);
      for (size_t i = 0; i < 100; ++i) {
        storeElement(inputs.bytes[0].data(), i, size, i % 2 == 0 ? minusZero : 0);
        storeElement(inputs.bytes[1].data(), i, size, i % 2 == 0 ? 0 : minusZero);
      }
      Runner runner;
      for (const Variant variant : variants()) {
        runner.run(inputs, inputs.bytes[0], Case{variant, op, 1, 100, nullptr, 0}, layouts()[0]);
      }
    }
  }
}

#if defined(__x86_64__)
TEST(KernelsPropertyTest, IgnoresFlushToZeroOfTheCallingThread) {
  Inputs inputs(DataType::kFloat32, 2, 37, 9);
  for (size_t i = 0; i < 37; ++i) {
    storeElement(inputs.bytes[0].data(), i, 4, 0x00000123 + i);
    storeElement(inputs.bytes[1].data(), i, 4, 0x80000011);
  }
  const auto expected = inputs.expect(RedOp::kSum, nullptr, 0);
  const unsigned before = _mm_getcsr();
  const unsigned flushing = before | 0x8040;  // FTZ and DAZ
  Runner runner;
  for (const Variant variant : variants()) {
    _mm_setcsr(flushing);
    runner.run(inputs, expected, Case{variant, RedOp::kSum, 1, 37, nullptr, 0}, layouts()[0]);
    EXPECT_EQ(_mm_getcsr() & 0x8040, 0x8040u);
  }
  _mm_setcsr(before);
}
#endif

TEST(CopyTest, CopiesAnyLengthAndAlignment) {
  std::vector<uint8_t> source(300000);
  std::mt19937_64 random(4);
  for (auto& byte : source) byte = static_cast<uint8_t>(random());
  Operand destination;
  for (const Variant variant : variants()) {
    for (const size_t bytes : {0, 1, 63, 64, 65, 16383, 16384, 16385, 250001}) {
      for (const size_t offset : {0, 1, 7, 32, 63}) {
        for (const bool streaming : {false, true}) {
          destination.place(bytes, offset);
          copyWith(variant, destination.data(), source.data() + 17, bytes, streaming);
          EXPECT_EQ(firstDifference(destination.data(), source.data() + 17, bytes), bytes);
          EXPECT_TRUE(destination.isGuardIntact()) << bytes << ' ' << offset;
        }
      }
    }
  }
}

TEST(CopyTest, AcceptsIdenticalRanges) {
  std::vector<uint8_t> bytes(100000, 7);
  copy(bytes.data(), bytes.data(), bytes.size(), true);
  copy(bytes.data(), bytes.data(), bytes.size(), false);
  EXPECT_EQ(bytes, std::vector<uint8_t>(100000, 7));
}

}  // namespace
}  // namespace tutti::device::host
