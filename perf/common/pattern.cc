#include "perf/common/pattern.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace tutti::perf {
namespace {

// Elements share a hash seed in blocks of this size, which keeps the inner loop in 32 bits.
constexpr size_t kBlock = 4096;
constexpr int kToleratedUlps = 2;
// Beyond this many ranks the others contribute nothing.
constexpr int kMostPlaces = 1000;

uint64_t mix64(uint64_t value) {  // splitmix64's finaliser
  value += 0x9e3779b97f4a7c15u;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

inline uint32_t mix32(uint32_t value) {  // Wellons' lowbias32
  value = (value ^ (value >> 16)) * 0x7feb352du;
  value = (value ^ (value >> 15)) * 0x846ca68bu;
  return value ^ (value >> 16);
}

// Most contributors that sums of base + place, base >= 1, allow below `limit`.
int contributorsWithin(uint64_t limit, int ranks) {
  int count = 1;
  while (count < std::min(ranks, kMostPlaces) &&
         static_cast<uint64_t>(count + 1) * (count + 2) / 2 <= limit)
    ++count;
  return count;
}

// The random numbers of one block; each block flips them with its own seed.
struct Noise {
  std::array<uint16_t, kBlock> turn;
  std::array<uint16_t, kBlock> variant;

  static const Noise& get() {
    static const Noise noise;
    return noise;
  }

 private:
  Noise() {
    for (uint32_t i = 0; i < kBlock; ++i) {
      const uint32_t hash = mix32(i + 1);
      turn[i] = static_cast<uint16_t>(hash);
      variant[i] = static_cast<uint16_t>((hash >> 16) % Pattern::kVariants);
    }
  }
};

// Calls body(blockSeed, offsetInBlock, length, done) for each block that a range touches.
template <typename Body>
void forEachBlock(uint64_t seed, size_t first, size_t count, Body body) {
  for (size_t done = 0; done < count;) {
    const size_t block = (first + done) / kBlock;
    const size_t offset = (first + done) % kBlock;
    const size_t length = std::min(kBlock - offset, count - done);
    body(static_cast<uint32_t>(mix64(seed ^ mix64(block))), static_cast<uint32_t>(offset), length,
         done);
    done += length;
  }
}

// Hashed bytes [first, first + bytes) of a stream.
void hashBytes(uint64_t seed, size_t first, size_t bytes, char* out) {
  constexpr size_t kWords = kBlock / sizeof(uint32_t);
  uint32_t words[kWords];
  forEachBlock(seed, first, bytes, [&](uint32_t base, uint32_t offset, size_t length, size_t done) {
    const size_t end = (offset + length + 3) / 4;
    for (size_t i = offset / 4; i < end; ++i) words[i] = mix32(base + static_cast<uint32_t>(i));
    std::memcpy(out + done, reinterpret_cast<const char*>(words) + offset, length);
  });
}

// The pointers may have any alignment.
template <typename Word>
size_t countDifferent(const void* got, const void* expected, size_t count) {
  size_t wrong = 0;
  for (size_t at = 0; at < count * sizeof(Word); at += sizeof(Word)) {
    Word a;
    Word b;
    std::memcpy(&a, static_cast<const char*>(got) + at, sizeof(Word));
    std::memcpy(&b, static_cast<const char*>(expected) + at, sizeof(Word));
    wrong += a != b;
  }
  return wrong;
}

uint64_t loadBits(const void* from, size_t index, int bytes) {
  uint64_t bits = 0;
  std::memcpy(&bits, static_cast<const char*>(from) + index * bytes, bytes);
  return bits;
}

}  // namespace

Pattern::Pattern(const TypeInfo& type, std::optional<Op> op, int ranks, uint64_t seed)
    : type_(type), op_(op), ranks_(ranks), seed_(mix64(seed)) {
  if (!op_) return;
  switch (*op_) {
    case Op::kProd: buildProducts(); break;
    case Op::kMin:
    case Op::kMax: buildExtremes(); break;
    case Op::kAvg: buildAverages(); break;
    default: type_.isFloat ? buildSums() : buildIntegerSums(); break;
  }
}

uint64_t Pattern::mask() const {
  return type_.bytes == 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * type_.bytes)) - 1;
}

void Pattern::reserve(int places) {
  places_ = places;
  contributions_.assign(static_cast<size_t>(places + 1) * kVariants, 0);
  oddContributions_ = contributions_;
  results_.assign(kVariants, 0);
}

void Pattern::set(uint32_t variant, int place, uint64_t bits) {
  contributions_[static_cast<size_t>(place) * kVariants + variant] = bits;
  oddContributions_[static_cast<size_t>(place) * kVariants + variant] = bits;
}

void Pattern::buildSums() {
  const uint64_t limit = uint64_t{1} << std::min(type_.precision, 40);
  reserve(contributorsWithin(limit, ranks_));
  const auto places = static_cast<uint64_t>(places_);
  const uint64_t bases = (limit - places * (places - 1) / 2) / places;
  for (uint32_t variant = 0; variant < kVariants; ++variant) {
    const uint64_t random = mix64(seed_ + variant);
    const double unit = ((random & 1) != 0 ? -1.0 : 1.0) * std::ldexp(1.0, (random >> 1) % 3);
    const uint64_t base = 1 + (random >> 8) % bases;
    double sum = 0;
    for (int place = 0; place < places_; ++place) {
      const double value = unit * static_cast<double>(base + place);
      set(variant, place, encodeFloat(type_, value));
      if (*op_ == Op::kMulSum) {
        oddContributions_[place * kVariants + variant] = encodeFloat(type_, value / 2);
      }
      sum += value;
    }
    results_[variant] = encodeFloat(type_, sum);
  }
}

void Pattern::buildIntegerSums() {
  reserve(std::min(ranks_, kMostPlaces));
  const uint64_t scale = *op_ == Op::kMulSum ? 2 : 1;
  for (uint32_t variant = 0; variant < kVariants; ++variant) {
    const uint64_t base = mix64(seed_ + variant);
    uint64_t sum = 0;
    for (int place = 0; place < places_; ++place) {
      set(variant, place, scale * (base + place) & mask());
      oddContributions_[place * kVariants + variant] = (base + place) & mask();
      sum += scale * (base + place);
    }
    results_[variant] = sum & mask();
  }
}

void Pattern::buildProducts() {
  // Every factor is 2 or 1/2: no order of multiplying leaves the range of normal numbers.
  const int room = type_.isFloat ? std::min(type_.bias - 1, 100) : kMostPlaces;
  reserve(std::min(ranks_, room));
  const uint64_t one = type_.isFloat ? encodeFloat(type_, 1.0) : 1;
  for (uint32_t variant = 0; variant < kVariants; ++variant) {
    double product = 1;
    uint64_t integerProduct = 1;
    for (int place = 0; place < places_; ++place) {
      const uint64_t random = mix64(seed_ + variant + uint64_t{kVariants} * place);
      const double value = ((random & 1) != 0 ? 2.0 : 0.5) * ((random & 2) != 0 ? -1 : 1);
      product *= value;
      integerProduct *= random | 1;
      set(variant, place, type_.isFloat ? encodeFloat(type_, value) : (random | 1) & mask());
    }
    set(variant, places_, one);
    results_[variant] = type_.isFloat ? encodeFloat(type_, product) : integerProduct & mask();
  }
}

void Pattern::buildExtremes() {
  const int bits = 8 * type_.bytes;
  // Keys run over [low, low + span] in the order of values; 64-bit integers use their middle half.
  const uint64_t span = type_.isFloat ? 2 * std::min(type_.maxBits, uint64_t{1} << 61)
                                      : (bits == 64 ? uint64_t{1} << 62 : mask());
  const int64_t low = type_.isFloat || type_.isSigned ? -static_cast<int64_t>(span / 2) : 0;
  reserve(static_cast<int>(std::min<uint64_t>(ranks_, 200)));
  for (uint32_t variant = 0; variant < kVariants; ++variant) {
    const uint64_t room = span - static_cast<uint64_t>(places_ - 1);
    const int64_t base = low + static_cast<int64_t>(mix64(seed_ + variant) % room);
    const auto encode = [&](int64_t key) {
      return type_.isFloat ? keyToBits(type_, key) : static_cast<uint64_t>(key) & mask();
    };
    for (int place = 0; place < places_; ++place) set(variant, place, encode(base + place));
    set(variant, places_, encode(base + places_ / 2));
    results_[variant] = encode(*op_ == Op::kMin ? base : base + places_ - 1);
  }
}

void Pattern::buildAverages() {
  const uint64_t limit = type_.isFloat     ? uint64_t{1} << std::min(type_.precision, 12)
                         : type_.bytes > 1 ? uint64_t{1} << 24
                         : type_.isSigned  ? 127
                                           : 255;
  reserve(type_.isFloat ? std::min(ranks_, 2) : contributorsWithin(limit, ranks_));
  const auto places = static_cast<uint64_t>(places_);
  const uint64_t bases = (limit - places * (places - 1) / 2) / places;
  const auto rounded = [&](double x) { return decodeFloat(type_, encodeFloat(type_, x)); };
  for (uint32_t variant = 0; variant < kVariants; ++variant) {
    const uint64_t random = mix64(seed_ + variant);
    const int64_t sign = type_.isSigned && (random & 1) != 0 ? -1 : 1;
    const auto base = static_cast<int64_t>(1 + (random >> 8) % bases);
    const double share = type_.isFloat ? rounded(1.0 / ranks_) : 0;
    double sum = 0;
    int64_t integerSum = 0;
    for (int place = 0; place < places_; ++place) {
      // Floats: far apart, so that two units in the last place do not hide a missing rank.
      const int64_t value = sign * (type_.isFloat ? base << (2 * place) : base + place);
      const auto real = static_cast<double>(value);
      set(variant, place,
          type_.isFloat ? encodeFloat(type_, real) : static_cast<uint64_t>(value) & mask());
      sum = rounded(sum + rounded(real * share));
      integerSum += value;
    }
    results_[variant] = type_.isFloat ? encodeFloat(type_, sum)
                                      : static_cast<uint64_t>(integerSum / ranks_) & mask();
  }
}

template <typename Word>
void Pattern::lookUp(int rank, size_t first, size_t count, Word* out) const {
  const bool isResult = rank < 0;
  const std::vector<uint64_t>& source =
      isResult ? results_ : (factor(rank) == 2 ? oddContributions_ : contributions_);
  const std::vector<Word> table(source.begin(), source.end());
  const Word* words = table.data();
  const Noise& noise = Noise::get();
  forEachBlock(seed_, first, count, [&](uint32_t seed, uint32_t at, size_t length, size_t done) {
    Word* to = out + done;
    const uint16_t* variants = noise.variant.data() + at;
    const auto flip = static_cast<uint16_t>((seed >> 16) % kVariants);
    if (isResult) {
      for (size_t i = 0; i < length; ++i) to[i] = words[variants[i] ^ flip];
      return;
    }
    std::array<uint16_t, kBlock> index;
    places(rank, static_cast<uint16_t>(seed), noise.turn.data() + at, length, index.data());
    for (size_t i = 0; i < length; ++i) {
      to[i] = words[index[i] * kVariants + static_cast<uint16_t>(variants[i] ^ flip)];
    }
  });
}

// Sixteen bits all the way: eight or more elements at a time on every vector unit.
void Pattern::places(int rank, uint16_t seed, const uint16_t* turns, size_t length,
                     uint16_t* out) const {
  const auto own = static_cast<uint16_t>(rank);
  const auto ranks = static_cast<uint16_t>(ranks_);
  const auto last = static_cast<int16_t>(places_);
  for (size_t i = 0; i < length; ++i) {
    const auto turn = static_cast<uint16_t>(turns[i] ^ seed);
    const auto place = static_cast<int16_t>(own + (static_cast<uint32_t>(turn) * ranks >> 16));
    const auto wrapped = static_cast<int16_t>(place - ranks);
    const int16_t rotated = wrapped >= 0 ? wrapped : place;
    out[i] = static_cast<uint16_t>(std::min(rotated, last));
  }
}

void Pattern::input(int rank, size_t first, size_t count, void* out) const {
  if (!op_) {
    hashBytes(mix64(seed_ + static_cast<uint64_t>(rank)), first * type_.bytes, count * type_.bytes,
              static_cast<char*>(out));
    return;
  }
  switch (type_.bytes) {
    case 1: lookUp(rank, first, count, static_cast<uint8_t*>(out)); break;
    case 2: lookUp(rank, first, count, static_cast<uint16_t*>(out)); break;
    case 4: lookUp(rank, first, count, static_cast<uint32_t*>(out)); break;
    default: lookUp(rank, first, count, static_cast<uint64_t*>(out)); break;
  }
}

void Pattern::reduced(size_t first, size_t count, void* out) const { input(-1, first, count, out); }

size_t Pattern::countWrong(const void* got, const void* expected, size_t count) const {
  if (count == 0 || std::memcmp(got, expected, count * type_.bytes) == 0) return 0;
  if (!op_ || *op_ != Op::kAvg || !type_.isFloat) {
    switch (type_.bytes) {
      case 1: return countDifferent<uint8_t>(got, expected, count);
      case 2: return countDifferent<uint16_t>(got, expected, count);
      case 4: return countDifferent<uint32_t>(got, expected, count);
      default: return countDifferent<uint64_t>(got, expected, count);
    }
  }
  size_t wrong = 0;
  for (size_t i = 0; i < count; ++i) {
    const int64_t distance = orderedKey(type_, loadBits(got, i, type_.bytes)) -
                             orderedKey(type_, loadBits(expected, i, type_.bytes));
    wrong += std::abs(distance) > kToleratedUlps;
  }
  return wrong;
}

}  // namespace tutti::perf
