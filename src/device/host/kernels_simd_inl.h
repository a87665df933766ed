// The SIMD kernels, compiled once per Highway target. Bits never depend on the target: every
// arithmetic operation here is one exactly rounded IEEE or integer operation, and the conversions
// equal numeric.h's.
//
// A Block is one vector's worth of consecutive elements of one type. Stored is the vector as it is in
// memory, Acc what operands combine in: widen() and narrow() convert, scale() multiplies by a factor
// and rounds to the type.
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
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2 || \
    (HWY_TARGET == HWY_NEON && TUTTI_HAS_NEON)
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
  static HWY_INLINE Acc scale(Acc value, Acc factor) { return combine<RedOp::kProd>(value, factor); }
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

// The three formats that convert through fp16 hardware or integer arithmetic: a part of a vector in
// memory, a vector of fp32 in registers. Codec is one of the structs below.
template <class Codec>
struct WidenedBlock {
  using TagFloat = hn::ScalableTag<float>;
  using Tag = hn::Rebind<typename Codec::Stored, TagFloat>;
  using Stored = hn::Vec<Tag>;
  using Acc = hn::Vec<TagFloat>;

  static HWY_INLINE Acc widen(Stored stored) { return Codec::decode(TagFloat(), stored); }
  static HWY_INLINE Acc factor(const Factor& factor) {
    return hn::Set(TagFloat(), factorOf<Element<Codec::kType>>(factor));
  }
  static HWY_INLINE Acc scale(Acc value, Acc factor) {
    return widen(narrow(hn::Mul(value, factor)));
  }
  template <RedOp op>
  static HWY_INLINE Acc combine(Acc a, Acc b) {
    return combineFloats<op>(a, b);
  }
  static HWY_INLINE Stored narrow(Acc value) { return Codec::encode(TagFloat(), value); }
};

struct Float16Codec {
  using Stored = uint16_t;
  static constexpr DataType kType = DataType::kFloat16;

  template <class DF, class V>
  static HWY_INLINE hn::Vec<DF> decode(DF df, V stored) {
    return hn::PromoteTo(df, hn::BitCast(hn::Rebind<hwy::float16_t, DF>(), stored));
  }
  template <class DF, class V>
  static HWY_INLINE auto encode(DF df, V value) {
    const hn::Rebind<hwy::float16_t, DF> d16;
    return hn::BitCast(hn::Rebind<uint16_t, DF>(), hn::DemoteTo(d16, canonicalNans(df, value)));
  }
};

// fp32 to fp8 in lanes of 32 bits. Clamping first makes overflow saturate, and is harmless since
// everything at or above the largest finite value becomes it.
template <class Format, class DF, class V>
HWY_INLINE auto encodeFloat8(DF df, V value) {
  constexpr int kDropped = 23 - Format::kMantissaBits;
  constexpr uint32_t kRebias = static_cast<uint32_t>(127 - Format::kBias);
  constexpr uint32_t kMax = std::bit_cast<uint32_t>(widen<Format>(Format::kMaxFinite));
  constexpr uint32_t kMinNormal = (kRebias + 1) << 23;
  // Adding 2^23 units of the smallest subnormal makes the fp32 addition itself round to them.
  constexpr uint32_t kMagic = (kRebias + 1 + static_cast<uint32_t>(kDropped)) << 23;
  const hn::RebindToUnsigned<DF> du;
  const hn::RebindToSigned<DF> di;
  const auto bits = hn::BitCast(du, value);
  const auto magnitude = hn::And(bits, hn::Set(du, 0x7FFFFFFFu));
  const auto clamped = hn::Min(magnitude, hn::Set(du, kMax));
  const auto odd = hn::And(hn::ShiftRight<kDropped>(clamped), hn::Set(du, 1u));
  const auto half = hn::Set(du, (1u << (kDropped - 1)) - 1 - (kRebias << 23));
  const auto normal = hn::ShiftRight<kDropped>(hn::Add(hn::Add(clamped, half), odd));
  const auto magic = hn::BitCast(df, hn::Set(du, kMagic));
  const auto shifted = hn::BitCast(du, hn::Add(hn::BitCast(df, clamped), magic));
  const auto tiny = hn::Sub(shifted, hn::Set(du, kMagic));
  const auto isTiny = hn::Lt(hn::BitCast(di, clamped),
                             hn::Set(di, static_cast<int32_t>(kMinNormal)));
  auto result = hn::BitCast(du, hn::IfThenElse(isTiny, hn::BitCast(di, tiny),
                                               hn::BitCast(di, normal)));
  result = hn::Or(result, hn::And(hn::ShiftRight<24>(bits), hn::Set(du, 0x80u)));
  const auto nan = hn::BitCast(df, hn::Set(du, Format::kCanonicalNan));
  const auto finished = hn::IfThenElse(hn::IsNaN(value), nan, hn::BitCast(df, result));
  return hn::TruncateTo(hn::Rebind<uint8_t, DF>(), hn::BitCast(du, finished));
}

struct Float8e5m2Codec {
  using Stored = uint8_t;
  static constexpr DataType kType = DataType::kFloat8e5m2;

  // e5m2 is the upper half of an fp16.
  template <class DF, class V>
  static HWY_INLINE hn::Vec<DF> decode(DF df, V stored) {
    const hn::Rebind<uint16_t, DF> d16;
    const auto bits = hn::ShiftLeft<8>(hn::PromoteTo(d16, stored));
    return hn::PromoteTo(df, hn::BitCast(hn::Rebind<hwy::float16_t, DF>(), bits));
  }
  template <class DF, class V>
  static HWY_INLINE auto encode(DF df, V value) {
    return encodeFloat8<Float8e5m2Format>(df, value);
  }
};

struct Float8e4m3Codec {
  using Stored = uint8_t;
  static constexpr DataType kType = DataType::kFloat8e4m3;

  // As an fp16 with the same exponent field the value is 2^-8 of what it should be (bias 7 and 15),
  // subnormals included; the format's NaN then reads as 480, above every number it has.
  template <class DF, class V>
  static HWY_INLINE hn::Vec<DF> decode(DF df, V stored) {
    const hn::Rebind<uint16_t, DF> d16;
    const hn::RebindToUnsigned<DF> du;
    const auto wide = hn::PromoteTo(d16, stored);
    const auto sign = hn::ShiftLeft<8>(hn::And(wide, hn::Set(d16, uint16_t{0x80})));
    const auto rest = hn::ShiftLeft<7>(hn::And(wide, hn::Set(d16, uint16_t{0x7F})));
    const auto half = hn::BitCast(hn::Rebind<hwy::float16_t, DF>(), hn::Or(sign, rest));
    const auto value = hn::Mul(hn::PromoteTo(df, half), hn::Set(df, 256.0f));
    const auto nan = hn::BitCast(df, hn::Set(du, kFloat32Nan));
    return hn::IfThenElse(hn::Gt(hn::Abs(value), hn::Set(df, 448.0f)), nan, value);
  }
  template <class DF, class V>
  static HWY_INLINE auto encode(DF df, V value) {
    return encodeFloat8<Float8e4m3Format>(df, value);
  }
};

template <DataType type>
struct BlockOf {
  using Type = NativeBlock<typename Element<type>::Stored>;
};
template <>
struct BlockOf<DataType::kFloat16> {
  using Type = WidenedBlock<Float16Codec>;
};
template <>
struct BlockOf<DataType::kFloat8e4m3> {
  using Type = WidenedBlock<Float8e4m3Codec>;
};
template <>
struct BlockOf<DataType::kFloat8e5m2> {
  using Type = WidenedBlock<Float8e5m2Codec>;
};
template <>
struct BlockOf<DataType::kBfloat16> {
  using Type = Bfloat16Block;
};

template <class B>
inline constexpr size_t kElements = hn::MaxLanes(typename B::Tag());
template <class B>
inline constexpr size_t kBytes = kElements<B> * sizeof(hn::TFromD<typename B::Tag>);

// How far ahead of the loads the group loop prefetches, in bytes of each source.
inline constexpr size_t kPrefetchAhead = 1024;
// Below this many bytes of one source the data is most likely in a cache already.
inline constexpr size_t kPrefetchFrom = 256 * 1024;

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
    (HWY_TARGET == HWY_AVX2 && sizeof(hn::TFromD<typename B::Tag>) >= 4);

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

template <size_t kGroupBytes, class SourceList>
HWY_INLINE void prefetchGroup(const SourceList& sources, size_t at) {
  for (int s = 0; s < sources.count(); ++s) {
    HWY_UNROLL(8)
    for (size_t line = 0; line < kGroupBytes; line += kStreamAlignment) {
      hwy::Prefetch(sources[s] + at + kPrefetchAhead + line);
    }
  }
}

inline constexpr int kGroupBlocks = 4;

// The whole groups of blocks of [0, args.count).
template <class B, RedOp op, class SourceList>
HWY_NOINLINE void reduceGroups(const ReduceArgs& args) {
  constexpr size_t kGroupBytes = kGroupBlocks * kBytes<B>;
  const SourceList sources(args);
  const WholeAccess<B> access{args.streaming};
  const size_t end = args.count / (kGroupBlocks * kElements<B>) * kGroupBytes;
  const bool prefetching = end >= kPrefetchFrom;
  for (size_t at = 0; at < end; at += kGroupBytes) {
    if (prefetching) prefetchGroup<kGroupBytes>(sources, at);
    reduceBlocks<B, kGroupBlocks, op>(args, sources, access, at);
  }
}

template <DataType type, RedOp op>
void reduceSimd(const ReduceArgs& args) {
  using B = typename BlockOf<type>::Type;
  using PartialAccess = std::conditional_t<kHasMasks<B>, MaskedAccess<B>, BufferedAccess<B>>;
  constexpr size_t kGroup = kGroupBlocks * kElements<B>;
  size_t done = 0;
  if (args.count >= kGroup) {
    const bool isUsual = args.sourceCount == 2 && args.factors == nullptr;
    isUsual ? reduceGroups<B, op, TwoSources>(args) : reduceGroups<B, op, AnySources>(args);
    done = args.count / kGroup * kGroup;
  }
  const AnySources sources(args);
  for (; done < args.count; done += kElements<B>) {
    const PartialAccess access(std::min(kElements<B>, args.count - done));
    reduceBlocks<B, 1, op>(args, sources, access, done * (kBytes<B> / kElements<B>));
  }
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
