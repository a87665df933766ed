#include "tests/multi/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

namespace tutti::test {
namespace {

// Sign, exponent and mantissa of a binary format of at most 16 bits.
struct Narrow {
  int exponentBits;
  int mantissaBits;
  bool hasInfinity;
  int bias() const { return (1 << (exponentBits - 1)) - 1; }
  int minExponent() const { return 1 - bias(); }
  double largest() const {
    const int top = (1 << exponentBits) - (hasInfinity ? 2 : 1) - bias();
    // E4M3 has no infinity; all ones is its only not-a-number.
    const double ones = 2.0 - std::ldexp(hasInfinity ? 1.0 : 2.0, -mantissaBits);
    return std::ldexp(ones, top);
  }
};

constexpr Narrow kHalf{5, 10, true};
constexpr Narrow kBrain{8, 7, true};
constexpr Narrow kE4m3{4, 3, false};
constexpr Narrow kE5m2{5, 2, true};

const Narrow* narrowOf(tuttiDataType_t type) {
  switch (type) {
    case tuttiFloat16: return &kHalf;
    case tuttiBfloat16: return &kBrain;
    case tuttiFloat8e4m3: return &kE4m3;
    case tuttiFloat8e5m2: return &kE5m2;
    default: return nullptr;
  }
}

int mantissaBits(tuttiDataType_t type) {
  if (const auto* narrow = narrowOf(type)) return narrow->mantissaBits;
  return type == tuttiFloat32 ? 23 : 52;
}

double decodeNarrow(const Narrow& format, uint32_t bits) {
  const uint32_t mantissa = bits & ((1u << format.mantissaBits) - 1);
  const uint32_t top = (1u << format.exponentBits) - 1;
  const uint32_t exponent = (bits >> format.mantissaBits) & top;
  const double sign = (bits >> (format.mantissaBits + format.exponentBits)) != 0 ? -1 : 1;
  if (format.hasInfinity && exponent == top) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  if (!format.hasInfinity && exponent == top && mantissa + 1 == 1u << format.mantissaBits) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  const double fraction = std::ldexp(mantissa, -format.mantissaBits);
  if (exponent == 0) return sign * std::ldexp(fraction, format.minExponent());
  return sign * std::ldexp(1 + fraction, static_cast<int>(exponent) - format.bias());
}

uint32_t encodeNarrow(const Narrow& format, double value) {
  const uint32_t sign = std::signbit(value) ? 1u << (format.mantissaBits + format.exponentBits) : 0;
  double magnitude = std::fabs(value);
  if (magnitude == 0) return sign;
  int exponent = std::max(std::ilogb(magnitude), format.minExponent());
  magnitude = std::ldexp(std::nearbyint(std::ldexp(magnitude, format.mantissaBits - exponent)),
                         exponent - format.mantissaBits);
  magnitude = std::min(magnitude, format.largest());
  if (magnitude == 0) return sign;
  exponent = std::max(std::ilogb(magnitude), format.minExponent());
  const auto units = static_cast<uint32_t>(std::ldexp(magnitude, format.mantissaBits - exponent));
  // `units` of a normal number holds the hidden bit, which counts as one exponent.
  const auto biased = static_cast<uint32_t>(exponent - format.minExponent());
  return sign | ((biased << format.mantissaBits) + units);
}

template <typename T>
T load(const std::byte* element) {
  T value;
  std::memcpy(&value, element, sizeof(T));
  return value;
}

template <typename T>
void store(T value, std::byte* element) {
  std::memcpy(element, &value, sizeof(T));
}

// An integer element as 64 bits, sign-extended where signed.
uint64_t loadInteger(tuttiDataType_t type, const std::byte* element) {
  switch (type) {
    case tuttiInt8: return static_cast<uint64_t>(int64_t{load<int8_t>(element)});
    case tuttiUint8: return load<uint8_t>(element);
    case tuttiInt32: return static_cast<uint64_t>(int64_t{load<int32_t>(element)});
    case tuttiUint32: return load<uint32_t>(element);
    default: return load<uint64_t>(element);
  }
}

// Wraps.
void storeInteger(tuttiDataType_t type, uint64_t value, std::byte* element) {
  std::memcpy(element, &value, sizeOf(type));  // little endian
}

uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

uint64_t random(uint32_t seed, int rank, size_t index) {
  return mix(mix(seed * uint64_t{65536} + static_cast<uint64_t>(rank)) + index);
}

// The largest integer up to which sums of integers are exact.
int exactLimit(tuttiDataType_t type) {
  return std::min(1 << 20, 2 << std::min(mantissaBits(type), 19));
}

// A float whose sum over ranks (doubled: kPreMulSum) is exact in any order.
double exactTerm(tuttiDataType_t type, int rank, int size, uint64_t bits, size_t index) {
  const int limit = exactLimit(type) / 2;
  const int stride = (size + limit - 1) / limit;  // at most `limit` ranks contribute
  if ((static_cast<size_t>(rank) + index) % static_cast<size_t>(stride) != 0) return 0;
  const int active = (size + stride - 1) / stride;
  const int range = std::min(limit / active, 1000);
  return static_cast<double>(bits % static_cast<uint64_t>(2 * range + 1)) - range;
}

// A factor whose product over ranks is exact in any order: at most 7 of them are not 1 or -1.
double exactFactor(int rank, int size, uint64_t bits, size_t index) {
  const int stride = (size + 6) / 7;
  const double sign = (bits & 1) != 0 ? -1 : 1;
  if ((static_cast<size_t>(rank) + index) % static_cast<size_t>(stride) != 0) return sign;
  return sign * ((bits & 2) != 0 ? 2 : 1);
}

// Uniform in [-1, 1), with the bits a double has.
double uniform(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-52 - 1; }

double floatValue(tuttiDataType_t type, tuttiRedOp_t op, Data data, int rank, int size,
                  uint64_t bits, size_t index) {
  if (op == tuttiMin || op == tuttiMax) {
    // Away from zero: which of -0 and 0 is the smaller is not promised.
    const double value = uniform(bits) * 99;
    return value < 0 ? value - 1 : value + 1;
  }
  if (data == Data::kRandom) {
    // Products stay within every type's range.
    return op == tuttiProd ? 1 + uniform(bits) / 4 : uniform(bits);
  }
  if (op == tuttiProd) return exactFactor(rank, size, bits, index);
  const double term = exactTerm(type, rank, size, bits, index);
  // An average is exact where 1/size is, which means a power of two.
  return op == tuttiAvg ? term * size : term;
}

bool isPowerOfTwo(int size) { return (size & (size - 1)) == 0; }

Pattern makePattern(tuttiDataType_t type, const std::function<void(size_t, std::byte*)>& write) {
  std::vector<std::byte> period(kPeriod * sizeOf(type));
  for (size_t i = 0; i < kPeriod; ++i) write(i, &period[i * sizeOf(type)]);
  return {type, std::move(period)};
}

uint64_t reduceIntegers(tuttiDataType_t type, tuttiRedOp_t op, const std::vector<Pattern>& terms,
                        size_t index) {
  const bool isNegative = isSigned(type);
  uint64_t result = op == tuttiProd ? 1 : 0;
  for (size_t rank = 0; rank < terms.size(); ++rank) {
    const uint64_t term = loadInteger(type, terms[rank].at(index));
    const bool isLess =
        isNegative ? static_cast<int64_t>(term) < static_cast<int64_t>(result) : term < result;
    switch (static_cast<int>(op)) {
      case tuttiSum:
      case tuttiAvg: result += term; break;
      case tuttiProd: result *= term; break;
      case tuttiMin: result = rank == 0 || isLess ? term : result; break;
      case tuttiMax: result = rank == 0 || !isLess ? term : result; break;
      default: result += term * static_cast<uint64_t>(preMulScalar(static_cast<int>(rank)));
    }
  }
  if (op != tuttiAvg) return result;
  // The sum wraps in the type, then it is divided.
  std::byte wrapped[8] = {};
  storeInteger(type, result, wrapped);
  result = loadInteger(type, wrapped);
  const auto size = static_cast<int64_t>(terms.size());
  return isNegative ? static_cast<uint64_t>(static_cast<int64_t>(result) / size)
                    : result / static_cast<uint64_t>(size);
}

// u: the unit roundoff of the type, 2^-(mantissa bits + 1). A sum of n terms, each rounded once and
// added in any order with rounding to the type at every step, is off by at most
//   (n + 1) u A  where A = the sum of the magnitudes (Higham, "Accuracy and Stability of Numerical
//                Algorithms", section 4.2), n - 1 for the additions and 2 for the product with a
//                rounded factor;
//   n + 2 underflows of half the smallest subnormal.
// A product of n factors is off by a relative n u, and by the underflows times the other factors.
double toleranceOf(tuttiDataType_t type, tuttiRedOp_t op, int size, double magnitude) {
  const double unit = std::ldexp(1, -mantissaBits(type) - 1);
  const auto* narrow = narrowOf(type);
  const int minExponent = narrow != nullptr      ? narrow->minExponent()
                          : type == tuttiFloat32 ? -126
                                                 : -1022;
  const double underflow = std::ldexp(1, minExponent - mantissaBits(type) - 1);
  const double others = op == tuttiProd ? std::pow(1.25, size) : 1;
  return ((size + 2) * unit * magnitude + (size + 2) * underflow * others) * (1 + size * unit);
}

}  // namespace

size_t sizeOf(tuttiDataType_t type) {
  switch (type) {
    case tuttiInt32:
    case tuttiUint32:
    case tuttiFloat32: return 4;
    case tuttiInt64:
    case tuttiUint64:
    case tuttiFloat64: return 8;
    case tuttiFloat16:
    case tuttiBfloat16: return 2;
    default: return 1;
  }
}

bool isFloat(tuttiDataType_t type) { return type >= tuttiFloat16; }
bool isSigned(tuttiDataType_t type) {
  return type == tuttiInt8 || type == tuttiInt32 || type == tuttiInt64;
}

std::string name(tuttiDataType_t type) {
  static constexpr const char* kNames[] = {"int8",  "uint8",  "int32",   "uint32",
                                           "int64", "uint64", "fp16",    "fp32",
                                           "fp64",  "bf16",   "fp8e4m3", "fp8e5m2"};
  return kNames[type];
}

std::string name(tuttiRedOp_t op) {
  static constexpr const char* kNames[] = {"sum", "prod", "max", "min", "avg", "premulsum"};
  return kNames[op];
}

double decode(tuttiDataType_t type, const std::byte* element) {
  if (const auto* narrow = narrowOf(type)) {
    return decodeNarrow(*narrow,
                        sizeOf(type) == 2 ? load<uint16_t>(element) : load<uint8_t>(element));
  }
  if (type == tuttiFloat32) return load<float>(element);
  if (type == tuttiFloat64) return load<double>(element);
  const uint64_t value = loadInteger(type, element);
  return isSigned(type) ? static_cast<double>(static_cast<int64_t>(value))
                        : static_cast<double>(value);
}

void encode(tuttiDataType_t type, double value, std::byte* element) {
  if (const auto* narrow = narrowOf(type)) {
    const uint32_t bits = encodeNarrow(*narrow, value);
    std::memcpy(element, &bits, sizeOf(type));  // little endian
  } else if (type == tuttiFloat32) {
    store(static_cast<float>(value), element);
  } else if (type == tuttiFloat64) {
    store(value, element);
  } else {
    storeInteger(type, static_cast<uint64_t>(static_cast<int64_t>(value)), element);
  }
}

double preMulScalar(int rank) { return 1 + rank % 2; }

Pattern::Pattern(tuttiDataType_t type, std::vector<std::byte> period)
    : size_(sizeOf(type)), period_(std::move(period)) {}

void Pattern::fill(std::byte* to, size_t start, size_t count) const {
  for (size_t done = 0; done < count;) {
    const size_t from = (start + done) % kPeriod;
    const size_t run = std::min(kPeriod - from, count - done);
    std::memcpy(to + done * size_, &period_[from * size_], run * size_);
    done += run;
  }
}

ptrdiff_t Pattern::firstWrong(const std::byte* from, size_t start, size_t count) const {
  for (size_t done = 0; done < count;) {
    const size_t at = (start + done) % kPeriod;
    const size_t run = std::min(kPeriod - at, count - done);
    if (std::memcmp(from + done * size_, &period_[at * size_], run * size_) != 0) {
      for (size_t i = 0; i < run; ++i) {
        if (std::memcmp(from + (done + i) * size_, &period_[(at + i) * size_], size_) != 0) {
          return static_cast<ptrdiff_t>(done + i);
        }
      }
    }
    done += run;
  }
  return -1;
}

Pattern contribution(tuttiDataType_t type, tuttiRedOp_t op, Data data, int rank, int size,
                     uint32_t seed) {
  return makePattern(type, [&](size_t i, std::byte* element) {
    const uint64_t bits = random(seed, rank, i);
    if (isFloat(type)) {
      encode(type, floatValue(type, op, data, rank, size, bits, i), element);
    } else {
      storeInteger(type, bits, element);
    }
  });
}

Pattern anyBits(tuttiDataType_t type, int rank, uint32_t seed) {
  return makePattern(type, [&](size_t i, std::byte* element) {
    const uint64_t bits = random(seed, rank, i);
    std::memcpy(element, &bits, sizeOf(type));
  });
}

Reduced reduced(tuttiDataType_t type, tuttiRedOp_t op, Data data, int size, uint32_t seed) {
  std::vector<Pattern> terms;
  for (int rank = 0; rank < size; ++rank) {
    terms.push_back(contribution(type, op, data, rank, size, seed));
  }
  Reduced result;
  if (!isFloat(type)) {
    result.expected = makePattern(type, [&](size_t i, std::byte* element) {
      storeInteger(type, reduceIntegers(type, op, terms, i), element);
    });
    return result;
  }
  const bool isMinMax = op == tuttiMin || op == tuttiMax;
  result.isExact = isMinMax || (data == Data::kExact && (op != tuttiAvg || isPowerOfTwo(size)));
  std::byte factorBits[8];
  encode(type, 1.0 / size, factorBits);
  const double average = decode(type, factorBits);
  for (size_t i = 0; i < kPeriod; ++i) {
    double value = op == tuttiProd ? 1 : 0;
    double magnitude = 0;
    for (int rank = 0; rank < size; ++rank) {
      double term = decode(type, terms[static_cast<size_t>(rank)].at(i));
      if (op == tuttiAvg) term *= average;
      if (op == kPreMulSum) term *= preMulScalar(rank);
      magnitude += std::fabs(term);
      if (op == tuttiProd) {
        value *= term;
      } else if (isMinMax) {
        value = rank == 0 ? term : op == tuttiMin ? std::min(value, term) : std::max(value, term);
      } else {
        value += term;
      }
    }
    if (op == tuttiProd) magnitude = std::fabs(value);
    result.value.push_back(value);
    result.tolerance.push_back(toleranceOf(type, op, size, magnitude));
  }
  if (result.isExact) {
    result.expected = makePattern(
        type, [&](size_t i, std::byte* element) { encode(type, result.value[i] + 0.0, element); });
  }
  return result;
}

ptrdiff_t Reduced::firstWrong(tuttiDataType_t type, const std::byte* from, size_t start,
                              size_t count) const {
  if (isExact) return expected.firstWrong(from, start, count);
  for (size_t i = 0; i < count; ++i) {
    const size_t at = (start + i) % kPeriod;
    const double found = decode(type, from + i * sizeOf(type));
    if (!(std::fabs(found - value[at]) <= tolerance[at])) return static_cast<ptrdiff_t>(i);
  }
  return -1;
}

std::string show(tuttiDataType_t type, const std::byte* element) {
  std::string bits;
  for (size_t i = sizeOf(type); i-- > 0;)
    bits += fmt::format("{:02x}", static_cast<int>(element[i]));
  return fmt::format("{:.9g} (0x{})", decode(type, element), bits);
}

uint64_t hash(const std::byte* data, size_t bytes) {
  uint64_t result = bytes;
  for (; bytes >= 8; bytes -= 8, data += 8) result = mix(result ^ load<uint64_t>(data));
  for (; bytes > 0; --bytes, ++data) result = mix(result ^ static_cast<uint64_t>(*data));
  return result;
}

}  // namespace tutti::test
