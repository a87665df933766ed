// The SIMD kernels, compiled once per Highway target. Bits never depend on the target: every
// arithmetic operation here is one exactly rounded IEEE or integer operation, and the conversions
// equal numeric.h's.
//
// A Block is one vector's worth of consecutive elements of one type. Stored is the vector as it is
// in memory, Acc what operands combine in: widen() and narrow() convert, scale() multiplies by a
// factor and rounds to the type.
#if defined(TUTTI_DEVICE_HOST_KERNELS_SIMD_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TUTTI_DEVICE_HOST_KERNELS_SIMD_INL_H
#undef TUTTI_DEVICE_HOST_KERNELS_SIMD_INL_H
#else
#define TUTTI_DEVICE_HOST_KERNELS_SIMD_INL_H
#endif

#include <bit>

#include "src/device/host/kernels_scalar.h"

// After foreach_target has set the target.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

// The fallback targets have no kernels here: the portable variant takes their place.
#undef TUTTI_TARGET_HAS_KERNELS
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2 || (HWY_TARGET == HWY_NEON && TUTTI_HAS_NEON)
#define TUTTI_TARGET_HAS_KERNELS 1
#else
#define TUTTI_TARGET_HAS_KERNELS 0
#endif

#if TUTTI_TARGET_HAS_KERNELS

HWY_BEFORE_NAMESPACE();
namespace tutti::device::host::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

static_assert(std::endian::native == std::endian::little);

template <RedOp op, class V>
HWY_INLINE V combineFloats(V a, V b) {
  if constexpr (op == RedOp::kSum) {
    return hn::Add(a, b);
  } else if constexpr (op == RedOp::kProd) {
    return hn::Mul(a, b);
  } else {
    // Not Highway's Min and Max: their results for NaN and for zeros of two signs differ by target.
    const auto isBetter = op == RedOp::kMax ? hn::Gt(b, a) : hn::Lt(b, a);
    return hn::IfThenElse(hn::Or(isBetter, hn::IsNaN(b)), b, a);
  }
}

template <class D, class V>
HWY_INLINE V multiplyIntegers(D d, V a, V b) {
  if constexpr (sizeof(hn::TFromD<D>) == 1) {
    const hn::Repartition<uint16_t, D> d16;
    const auto low = hn::Set(d16, uint16_t{0x00FF});
    const auto a16 = hn::BitCast(d16, a);
    const auto b16 = hn::BitCast(d16, b);
    const auto even = hn::And(hn::Mul(a16, b16), low);
    const auto odd = hn::Mul(hn::ShiftRight<8>(a16), hn::AndNot(low, b16));
    return hn::BitCast(d, hn::Or(even, odd));
  } else {
    return a * b;
  }
}

template <RedOp op, class D, class V>
HWY_INLINE V combineIntegers(D d, V a, V b) {
  if constexpr (op == RedOp::kSum) return hn::Add(a, b);
  if constexpr (op == RedOp::kProd) return multiplyIntegers(d, a, b);
  if constexpr (op == RedOp::kMax) return hn::Max(a, b);
  if constexpr (op == RedOp::kMin) return hn::Min(a, b);
}

template <class D, class V>
HWY_INLINE V canonicalNans(D d, V v) {
  const hn::RebindToUnsigned<D> du;
  using Bits = hn::TFromD<decltype(du)>;
  constexpr Bits kNan = static_cast<Bits>(sizeof(Bits) == 4 ? kFloat32Nan : kFloat64Nan);
  return hn::IfThenElse(hn::IsNaN(v), hn::BitCast(d, hn::Set(du, kNan)), v);
}

// Integers, fp32 and fp64: memory and registers hold the same type.
template <typename T>
struct NativeBlock {
  using Tag = hn::ScalableTag<T>;
  using Stored = hn::Vec<Tag>;
  using Acc = Stored;
  static constexpr bool kIsFloat = std::is_floating_point_v<T>;

  static HWY_INLINE Acc widen(Stored stored) { return stored; }
  static HWY_INLINE Acc factor(const Factor& factor) {
    T value;
    std::memcpy(&value, &factor.bits, sizeof(value));
    return hn::Set(Tag(), value);
  }
  static HWY_INLINE Acc scale(Acc value, Acc factor) {
    return combine<RedOp::kProd>(value, factor);
  }
  template <RedOp op>
  static HWY_INLINE Acc combine(Acc a, Acc b) {
    if constexpr (kIsFloat) return combineFloats<op>(a, b);
    if constexpr (!kIsFloat) return combineIntegers<op>(Tag(), a, b);
  }
  static HWY_INLINE Stored narrow(Acc value) {
    if constexpr (kIsFloat) return canonicalNans(Tag(), value);
    if constexpr (!kIsFloat) return value;
  }
};

// bf16 is the upper half of an fp32, so a vector of pairs splits into the odd elements (a mask) and
// the even ones (a shift) with no movement across lanes.
struct Bfloat16Block {
  using Tag = hn::ScalableTag<uint16_t>;
  using Tag32 = hn::ScalableTag<uint32_t>;
  using TagFloat = hn::ScalableTag<float>;
  using Stored = hn::Vec<Tag>;
  using Bits = hn::Vec<Tag32>;
  using Floats = hn::Vec<TagFloat>;
  struct Acc {
    // Declared, since implicit constructors would not be compiled for this target.
    HWY_INLINE Acc() {}
    HWY_INLINE Acc(Floats evens, Floats odds) : even(evens), odd(odds) {}
    Floats even, odd;
  };

  static HWY_INLINE Bits upperHalves(Bits bits) {
    return hn::And(bits, hn::Set(Tag32(), 0xFFFF0000u));
  }
  static HWY_INLINE Acc widen(Stored stored) {
    const auto pairs = hn::BitCast(Tag32(), stored);
    return Acc{hn::BitCast(TagFloat(), hn::ShiftLeft<16>(pairs)),
               hn::BitCast(TagFloat(), upperHalves(pairs))};
  }
  static HWY_INLINE Acc factor(const Factor& factor) {
    const auto value = hn::Set(TagFloat(), factorOf<Element<DataType::kBfloat16>>(factor));
    return Acc{value, value};
  }
  static HWY_INLINE Acc scale(Acc a, Acc b) {
    const auto even = upperHalves(rounded(hn::Mul(a.even, b.even)));
    const auto odd = upperHalves(rounded(hn::Mul(a.odd, b.odd)));
    return Acc{hn::BitCast(TagFloat(), even), hn::BitCast(TagFloat(), odd)};
  }
  template <RedOp op>
  static HWY_INLINE Acc combine(Acc a, Acc b) {
    return Acc{combineFloats<op>(a.even, b.even), combineFloats<op>(a.odd, b.odd)};
  }
  // The upper 16 bits are the rounded result.
  static HWY_INLINE Bits rounded(Floats value) {
    const auto bits = hn::BitCast(Tag32(), value);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(Tag32(), 1u));
    const auto up = hn::Add(hn::Add(bits, hn::Set(Tag32(), 0x7FFFu)), odd);
    const auto nan = hn::BitCast(TagFloat(), hn::Set(Tag32(), kFloat32Nan));
    const auto result = hn::IfThenElse(hn::IsNaN(value), nan, hn::BitCast(TagFloat(), up));
    return hn::BitCast(Tag32(), result);
  }
  static HWY_INLINE Stored narrow(Acc acc) {
    const auto even = hn::ShiftRight<16>(rounded(acc.even));
    return hn::BitCast(Tag(), hn::Or(upperHalves(rounded(acc.odd)), even));
  }
};

// Half a vector in memory, a vector of fp32 in registers, by the conversion instructions.
struct Float16Block {
  using TagFloat = hn::ScalableTag<float>;
  using Tag = hn::Rebind<uint16_t, TagFloat>;
  using TagHalf = hn::Rebind<hwy::float16_t, TagFloat>;
  using Stored = hn::Vec<Tag>;
  using Acc = hn::Vec<TagFloat>;

  static HWY_INLINE Acc widen(Stored stored) {
    return hn::PromoteTo(TagFloat(), hn::BitCast(TagHalf(), stored));
  }
  static HWY_INLINE Acc factor(const Factor& factor) {
    return hn::Set(TagFloat(), factorOf<Element<DataType::kFloat16>>(factor));
  }
  static HWY_INLINE Acc scale(Acc value, Acc factor) {
    return widen(narrow(hn::Mul(value, factor)));
  }
  template <RedOp op>
  static HWY_INLINE Acc combine(Acc a, Acc b) {
    return combineFloats<op>(a, b);
  }
  static HWY_INLINE Stored narrow(Acc value) {
    const auto half = hn::DemoteTo(TagHalf(), canonicalNans(TagFloat(), value));
    return hn::BitCast(Tag(), half);
  }
};

// fp8 passes through fp16, which holds every fp8 value exactly, so that the conversion instructions
// do the exponents. e5m2 is the upper half of an fp16. e4m3, moved to where its exponent ends with
// an fp16's, reads as 2^-8 of its value (bias 7 and 15), subnormals included. That scale commutes
// with sums, minima and maxima (a power of two, far from fp32's limits), so it stays in until
// narrow() moves the bits back; products could come to those limits, so they take it out at once.
template <DataType type, RedOp op>
struct Float8Block {
  using Format =
      std::conditional_t<type == DataType::kFloat8e4m3, Float8e4m3Format, Float8e5m2Format>;
  using Tag16 = hn::ScalableTag<uint16_t>;
  using TagSigned16 = hn::ScalableTag<int16_t>;
  using TagFloat = hn::ScalableTag<float>;
  using TagSigned = hn::ScalableTag<int32_t>;
  using HalfTag16 = hn::Half<Tag16>;  // halves of a vector: as many lanes as a vector of fp32
  using HalfTagFloat16 = hn::Rebind<hwy::float16_t, TagFloat>;
  using Tag = hn::Rebind<uint8_t, Tag16>;
  using Stored = hn::Vec<Tag>;
  using Words = hn::Vec<Tag16>;
  using Floats = hn::Vec<TagFloat>;
  struct Acc {
    HWY_INLINE Acc() {}
    HWY_INLINE Acc(Floats lower, Floats upper) : low(lower), high(upper) {}
    Floats low, high;
  };
  // The format's bits stand this far left in an fp16.
  static constexpr int kShift = 10 - Format::kMantissaBits;
  static constexpr uint16_t kMagnitudes = static_cast<uint16_t>(Format::kMagnitudeMask << kShift);
  static constexpr uint16_t kMax = static_cast<uint16_t>(Format::kMaxFinite << kShift);
  static constexpr uint16_t kNan = static_cast<uint16_t>(Format::kCanonicalNan << kShift);
  static constexpr bool kTakesOutScale = type == DataType::kFloat8e4m3 && op == RedOp::kProd;

  static HWY_INLINE Words words(uint16_t value) { return hn::Set(Tag16(), value); }

  static HWY_INLINE Acc widen(Stored stored) {
    Words half;
    if constexpr (type == DataType::kFloat8e4m3) {
      const auto extended =
          hn::PromoteTo(TagSigned16(), hn::BitCast(hn::RebindToSigned<Tag>(), stored));
      const auto shifted = hn::ShiftLeft<kShift>(hn::BitCast(Tag16(), extended));
      half = hn::And(shifted, words(0x8000 | kMagnitudes));
      const auto isNan = hn::Eq(hn::And(half, words(kNan)), words(kNan));
      half = hn::IfThenElse(isNan, words(0x7E00), half);
    } else {
      half = hn::ShiftLeft<8>(hn::PromoteTo(Tag16(), stored));
    }
    const Acc result{toFloats(hn::LowerHalf(HalfTag16(), half)),
                     toFloats(hn::UpperHalf(HalfTag16(), half))};
    return kTakesOutScale ? scale(result, 256.0f) : result;
  }
  static HWY_INLINE Floats toFloats(hn::Vec<HalfTag16> half) {
    return hn::PromoteTo(TagFloat(), hn::BitCast(HalfTagFloat16(), half));
  }

  static HWY_INLINE Acc factor(const Factor& factor) {
    const auto value = hn::Set(TagFloat(), factorOf<Element<type>>(factor));
    return Acc{value, value};
  }
  static HWY_INLINE Acc scale(Acc a, Acc b) {
    return widen(narrow(Acc{hn::Mul(a.low, b.low), hn::Mul(a.high, b.high)}));
  }
  static HWY_INLINE Acc scale(Acc a, float exact) {
    const auto by = hn::Set(TagFloat(), exact);
    return Acc{hn::Mul(a.low, by), hn::Mul(a.high, by)};
  }
  template <RedOp combineOp>
  static HWY_INLINE Acc combine(Acc a, Acc b) {
    return Acc{combineFloats<combineOp>(a.low, b.low), combineFloats<combineOp>(a.high, b.high)};
  }

  // Rounds to the format's precision: adding 1.5 * 2^n leaves as many bits as the format has below
  // the value's exponent (its subnormals all have the smallest exponent), and subtracting it again
  // is exact. Values too large for that stay too large.
  static HWY_INLINE hn::Vec<HalfTag16> toHalf(Floats value) {
    constexpr int32_t kMinExponent = 113 << 23;
    constexpr int32_t kAbove = ((23 - Format::kMantissaBits) << 23) | 0x400000;
    const auto infinity = hn::Set(TagSigned(), 0x7F800000);
    const auto exponent = hn::And(hn::BitCast(TagSigned(), value), infinity);
    const auto clamped = hn::Max(exponent, hn::Set(TagSigned(), kMinExponent));
    const auto shift = hn::BitCast(TagFloat(), hn::Add(clamped, hn::Set(TagSigned(), kAbove)));
    const auto rounded = hn::Sub(hn::Add(value, shift), shift);
    const auto sign = hn::And(value, hn::Set(TagFloat(), -0.0f));  // lost where it rounds to zero
    return hn::BitCast(HalfTag16(), hn::DemoteTo(HalfTagFloat16(), hn::Or(rounded, sign)));
  }

  static HWY_INLINE Stored narrow(Acc acc) {
    if constexpr (kTakesOutScale) acc = scale(acc, 1.0f / 256);
    const auto bits = hn::Combine(Tag16(), toHalf(acc.high), toHalf(acc.low));
    const auto magnitude = hn::And(bits, words(0x7FFF));
    const auto isNan =
        hn::Gt(hn::BitCast(TagSigned16(), magnitude), hn::Set(TagSigned16(), int16_t{0x7C00}));
    const auto saturated = hn::Min(magnitude, words(kMax));
    const auto sign = hn::And(hn::ShiftRight<8>(bits), words(0x80));
    const auto number = hn::Or(hn::ShiftRight<kShift>(saturated), sign);
    const auto nan = hn::Set(TagSigned16(), static_cast<int16_t>(Format::kCanonicalNan));
    const auto result = hn::IfThenElse(isNan, nan, hn::BitCast(TagSigned16(), number));
    return hn::TruncateTo(Tag(), hn::BitCast(Tag16(), result));
  }
};

template <DataType type, RedOp op>
struct BlockOf {
  using Type = NativeBlock<typename Element<type>::Stored>;
};
template <RedOp op>
struct BlockOf<DataType::kFloat16, op> {
  using Type = Float16Block;
};
template <RedOp op>
struct BlockOf<DataType::kBfloat16, op> {
  using Type = Bfloat16Block;
};
template <RedOp op>
struct BlockOf<DataType::kFloat8e4m3, op> {
  using Type = Float8Block<DataType::kFloat8e4m3, op>;
};
template <RedOp op>
struct BlockOf<DataType::kFloat8e5m2, op> {
  using Type = Float8Block<DataType::kFloat8e5m2, op>;
};

template <class B>
inline constexpr size_t kElements = hn::MaxLanes(typename B::Tag());
template <class B>
inline constexpr size_t kBytes = kElements<B> * sizeof(hn::TFromD<typename B::Tag>);

// The order in which large operands pass, measured on one core against DRAM:
// - linear, with software prefetches this many bytes ahead in each source, which carry over the
//   hardware prefetcher's stop at every page (2 to 8 % with many operands);
// - with few streams, and no destination that has to be read before it is written, several pages
//   in turn, which keeps more of the DRAM's banks busy (two sources: 15 to 25 %; a streaming copy:
//   20 %; more operands lose by it).
inline constexpr size_t kPrefetchAhead = 1024;
inline constexpr size_t kPage = 4096;
inline constexpr size_t kPagesInTurn = 4;
inline constexpr size_t kTurn = kPagesInTurn * kPage;
// Below this many bytes of one operand the data is most likely in a cache already.
inline constexpr size_t kLarge = 256 * 1024;

// Where the step of kStep bytes is that comes i bytes after the start, with pages in turn.
template <size_t kStep>
HWY_INLINE size_t inTurn(size_t i) {
  const size_t step = i % kTurn / kStep;
  return i / kTurn * kTurn + step % kPagesInTurn * kPage + step / kPagesInTurn * kStep;
}

// The commonest reduction by far: no factors, and both pointers in registers.
struct TwoSources {
  explicit HWY_INLINE TwoSources(const ReduceArgs& args)
      : first(static_cast<const uint8_t*>(args.sources[0])),
        second(static_cast<const uint8_t*>(args.sources[1])) {}
  HWY_INLINE const uint8_t* operator[](int s) const { return s == 0 ? first : second; }
  static constexpr const Factor* factor(int) { return nullptr; }
  static constexpr int count() { return 2; }
  const uint8_t* first;
  const uint8_t* second;
};

struct AnySources {
  explicit HWY_INLINE AnySources(const ReduceArgs& reduceArgs) : args(reduceArgs) {}
  HWY_INLINE const uint8_t* operator[](int s) const {
    return static_cast<const uint8_t*>(args.sources[s]);
  }
  HWY_INLINE const Factor* factor(int s) const {
    return args.factors == nullptr ? nullptr : args.factors + s;
  }
  HWY_INLINE int count() const { return args.sourceCount; }
  const ReduceArgs& args;
};

// Whole blocks, at `at` bytes into each operand.
template <class B>
struct WholeAccess {
  using T = hn::TFromD<typename B::Tag>;
  HWY_INLINE typename B::Stored load(const uint8_t* p) const {
    return hn::LoadU(typename B::Tag(), reinterpret_cast<const T*>(p));
  }
  HWY_INLINE void store(typename B::Stored v, uint8_t* p) const {
    auto* destination = reinterpret_cast<T*>(p);
    // Highway's Stream always writes a multiple of 16 bytes.
    if (kBytes<B> >= HWY_STREAM_MULTIPLE && streaming) {
      hn::Stream(v, typename B::Tag(), destination);
    } else {
      hn::StoreU(v, typename B::Tag(), destination);
    }
  }
  bool streaming;
};

// Only AVX-512 and, for lanes of 32 and 64 bits, AVX2 have masks that also suppress faults.
template <class B>
inline constexpr bool kHasMasks = HWY_TARGET == HWY_AVX3 ||
                                  (HWY_TARGET == HWY_AVX2 &&
                                   sizeof(hn::TFromD<typename B::Tag>) >= 4);

// The first `count` elements of a block; the others read as zero and are not written.
template <class B>
struct MaskedAccess {
  using T = hn::TFromD<typename B::Tag>;
  explicit HWY_INLINE MaskedAccess(size_t count) : mask(hn::FirstN(typename B::Tag(), count)) {}
  HWY_INLINE typename B::Stored load(const uint8_t* p) const {
    return hn::MaskedLoad(mask, typename B::Tag(), reinterpret_cast<const T*>(p));
  }
  HWY_INLINE void store(typename B::Stored v, uint8_t* p) const {
    hn::BlendedStore(v, mask, typename B::Tag(), reinterpret_cast<T*>(p));
  }
  hn::Mask<typename B::Tag> mask;
};

template <typename Word>
HWY_INLINE void copyTwoWords(uint8_t* to, const uint8_t* from, size_t bytes) {
  Word first;
  Word last;
  std::memcpy(&first, from, sizeof(Word));
  std::memcpy(&last, from + bytes - sizeof(Word), sizeof(Word));
  std::memcpy(to, &first, sizeof(Word));
  std::memcpy(to + bytes - sizeof(Word), &last, sizeof(Word));
}

// 1 to kMax - 1 bytes, for a kMax of at most 32: a quarter of what a call of memcpy costs.
template <size_t kMax>
HWY_INLINE void copyPart(uint8_t* to, const uint8_t* from, size_t bytes) {
  if constexpr (kMax > 16) {
    if (bytes >= 16) return copyTwoWords<hn::Vec<hn::FixedTag<uint8_t, 16>>>(to, from, bytes);
  }
  if constexpr (kMax > 8) {
    if (bytes >= 8) return copyTwoWords<uint64_t>(to, from, bytes);
  }
  if constexpr (kMax > 4) {
    if (bytes >= 4) return copyTwoWords<uint32_t>(to, from, bytes);
  }
  if (bytes >= 2) return copyTwoWords<uint16_t>(to, from, bytes);
  *to = *from;
}

// The same by way of a buffer.
template <class B>
struct BufferedAccess {
  using T = hn::TFromD<typename B::Tag>;
  explicit HWY_INLINE BufferedAccess(size_t count) : bytes(count * sizeof(T)) {}
  HWY_INLINE typename B::Stored load(const uint8_t* p) const {
    if (bytes == kBytes<B>) return WholeAccess<B>{false}.load(p);
    alignas(kStreamAlignment) T buffer[kElements<B>] = {};
    copyPart<kBytes<B>>(reinterpret_cast<uint8_t*>(buffer), p, bytes);
    return hn::Load(typename B::Tag(), buffer);
  }
  HWY_INLINE void store(typename B::Stored v, uint8_t* p) const {
    if (bytes == kBytes<B>) return WholeAccess<B>{false}.store(v, p);
    alignas(kStreamAlignment) T buffer[kElements<B>];
    hn::Store(v, typename B::Tag(), buffer);
    copyPart<kBytes<B>>(p, reinterpret_cast<const uint8_t*>(buffer), bytes);
  }
  static_assert(kBytes<B> <= 32 || kHasMasks<B>);
  size_t bytes;
};

// kBlocks consecutive blocks of one source, scaled where it has a factor.
template <class B, int kBlocks, class Access>
HWY_INLINE void loadBlocks(typename B::Acc* acc, const Access& access, const uint8_t* source,
                           const Factor* factor) {
  HWY_UNROLL(8)
  for (int b = 0; b < kBlocks; ++b) acc[b] = B::widen(access.load(source + b * kBytes<B>));
  if (factor == nullptr || !factor->isSet) return;
  const auto scale = B::factor(*factor);
  HWY_UNROLL(8)
  for (int b = 0; b < kBlocks; ++b) acc[b] = B::scale(acc[b], scale);
}

// Reduces kBlocks blocks from byte `at`: all operands pass through registers once.
template <class B, int kBlocks, RedOp op, class Access, class SourceList>
HWY_INLINE void reduceBlocks(const ReduceArgs& args, const SourceList& sources,
                             const Access& access, size_t at) {
  typename B::Acc acc[kBlocks];
  loadBlocks<B, kBlocks>(acc, access, sources[0] + at, sources.factor(0));
  for (int s = 1; s < sources.count(); ++s) {
    typename B::Acc next[kBlocks];
    loadBlocks<B, kBlocks>(next, access, sources[s] + at, sources.factor(s));
    HWY_UNROLL(8)
    for (int b = 0; b < kBlocks; ++b) acc[b] = B::template combine<op>(acc[b], next[b]);
  }
  typename B::Stored result[kBlocks];
  HWY_UNROLL(8)
  for (int b = 0; b < kBlocks; ++b) result[b] = B::narrow(acc[b]);
  int d = 0;
  do {
    auto* destination = static_cast<uint8_t*>(args.destinations[d]) + at;
    HWY_UNROLL(8)
    for (int b = 0; b < kBlocks; ++b) access.store(result[b], destination + b * kBytes<B>);
  } while (++d < args.destinationCount);
}

template <size_t kSize, class SourceList>
HWY_INLINE void prefetchGroup(const SourceList& sources, size_t at) {
  for (int s = 0; s < sources.count(); ++s) {
    HWY_UNROLL(8)
    for (size_t line = 0; line < kSize; line += kStreamAlignment) {
      hwy::Prefetch(sources[s] + at + kPrefetchAhead + line);
    }
  }
}

inline constexpr int kGroupBlocks = 4;
template <class B>
inline constexpr size_t kGroupBytes = kGroupBlocks* kBytes<B>;

// The whole groups of blocks in bytes [begin, end) of the operands.
template <class B, RedOp op, class SourceList>
HWY_NOINLINE void reduceLinear(const ReduceArgs& args, size_t begin, size_t end) {
  const SourceList sources(args);
  const WholeAccess<B> access{args.streaming};
  const bool isLarge = end - begin >= kLarge;
  for (size_t at = begin; at < end; at += kGroupBytes<B>) {
    if (isLarge) prefetchGroup<kGroupBytes<B>>(sources, at);
    reduceBlocks<B, kGroupBlocks, op>(args, sources, access, at);
  }
}

// The same with pages in turn.
template <class B, RedOp op>
HWY_NOINLINE void reduceInTurn(const ReduceArgs& args, size_t end) {
  const TwoSources sources(args);
  const WholeAccess<B> access{args.streaming};
  for (size_t i = 0; i < end; i += kGroupBytes<B>) {
    reduceBlocks<B, kGroupBlocks, op>(args, sources, access, inTurn<kGroupBytes<B>>(i));
  }
}

template <class B, RedOp op>
HWY_INLINE void reduceTwo(const ReduceArgs& args, size_t end) {
  size_t endOfTurns = 0;
  if (end >= kLarge && args.destinationCount == 1) {
    const void* destination = args.destinations[0];
    const bool isInPlace = destination == args.sources[0] || destination == args.sources[1];
    if (args.streaming || isInPlace) endOfTurns = end / kTurn * kTurn;
  }
  if (endOfTurns > 0) reduceInTurn<B, op>(args, endOfTurns);
  reduceLinear<B, op, TwoSources>(args, endOfTurns, end);
}

// What is less than a group, by masks or buffers, one block at a time.
template <class B, RedOp op>
HWY_INLINE void reduceRest(const ReduceArgs& args, size_t begin) {
  using Access = std::conditional_t<kHasMasks<B>, MaskedAccess<B>, BufferedAccess<B>>;
  const AnySources sources(args);
  for (size_t i = begin; i < args.count; i += kElements<B>) {
    const Access access(std::min(kElements<B>, args.count - i));
    reduceBlocks<B, 1, op>(args, sources, access, i * (kBytes<B> / kElements<B>));
  }
}

template <DataType type, RedOp op>
void reduceSimd(const ReduceArgs& args) {
  using B = typename BlockOf<type, op>::Type;
  constexpr size_t kGroup = kGroupBlocks * kElements<B>;
  const size_t groups = args.count / kGroup;
  if (groups > 0) {
    const size_t end = groups * kGroupBytes<B>;
    if (args.sourceCount == 2 && args.factors == nullptr) {
      reduceTwo<B, op>(args, end);
    } else {
      reduceLinear<B, op, AnySources>(args, 0, end);
    }
  }
  reduceRest<B, op>(args, groups * kGroup);
}

template <DataType type>
void addType(KernelTable& table) {
  auto& kernels = table.reduce[static_cast<int>(type)];
  kernels[static_cast<int>(RedOp::kSum)] = reduceSimd<type, RedOp::kSum>;
  kernels[static_cast<int>(RedOp::kProd)] = reduceSimd<type, RedOp::kProd>;
  kernels[static_cast<int>(RedOp::kMax)] = reduceSimd<type, RedOp::kMax>;
  kernels[static_cast<int>(RedOp::kMin)] = reduceSimd<type, RedOp::kMin>;
}

}  // namespace tutti::device::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // TUTTI_TARGET_HAS_KERNELS
#endif  // per-target include guard
