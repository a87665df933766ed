// Chooses the kernels of this machine, and deals with what is the same for all of them: plain
// copies, streaming to destinations of any alignment, integer division.
#include "src/device/host/kernels.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "src/device/host/kernels_targets.h"
#include "src/device/host/kernels_variants.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tutti::device::host {
namespace {

// One pass of a reduction that needs its result in memory before it reaches the destinations: small
// enough for the first cache beside the sources' lines.
constexpr size_t kBlockBytes = 8192;
// Below this many bytes per destination, bypassing the caches costs more than it saves.
constexpr size_t kStreamFrom = 16384;

// The floating-point control register, and its value for IEEE arithmetic with nothing trapped.
#if defined(__x86_64__)
constexpr uint64_t kControlBits = 0xFFC0;  // the others are sticky status flags
constexpr uint64_t kIeeeControl = 0x1F80;
uint64_t getControl() { return _mm_getcsr() & kControlBits; }
void setControl(uint64_t control) { _mm_setcsr(static_cast<unsigned>(control)); }
#elif defined(__aarch64__)
constexpr uint64_t kIeeeControl = 0;
uint64_t getControl() {
  uint64_t control;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  return control;
}
void setControl(uint64_t control) { asm volatile("msr fpcr, %0" : : "r"(control)); }
#else
constexpr uint64_t kIeeeControl = 0;
uint64_t getControl() { return kIeeeControl; }
void setControl(uint64_t) {}
#endif

// The contract is IEEE arithmetic, whatever the calling thread's modes are: flush-to-zero (set by
// many machine learning programs and by -ffast-math), a rounding mode, unmasked exceptions.
class IeeeMode {
 public:
  IeeeMode() : saved_(getControl()) {
    if (saved_ != kIeeeControl) [[unlikely]]
      setControl(kIeeeControl);
  }
  ~IeeeMode() {
    if (saved_ != kIeeeControl) [[unlikely]]
      setControl(saved_);
  }
  IeeeMode(const IeeeMode&) = delete;
  IeeeMode& operator=(const IeeeMode&) = delete;

 private:
  const uint64_t saved_;
};

__extension__ using Uint128 = unsigned __int128;

// Division by an invariant: Granlund and Montgomery, "Division by Invariant Integers using
// Multiplication" (PLDI 1994), figure 4.1 with N = 64. Divisors of 2 and more.
class Divider {
 public:
  explicit Divider(uint64_t divisor) {
    const int log = 64 - std::countl_zero(divisor - 1);  // the ceiling
    const auto power = Uint128{1} << log;
    multiplier_ = static_cast<uint64_t>(((power - divisor) << 64) / divisor + 1);
    shift_ = log - 1;
  }
  uint64_t operator()(uint64_t value) const {
    const auto high = static_cast<uint64_t>((Uint128{multiplier_} * value) >> 64);
    return (high + ((value - high) >> 1)) >> shift_;
  }

 private:
  uint64_t multiplier_;
  int shift_;
};

template <typename T>
void divideElements(uint8_t* block, size_t bytes, const Divider& divide) {
  for (size_t i = 0; i < bytes; i += sizeof(T)) {
    T value;
    std::memcpy(&value, block + i, sizeof(T));
    const bool isNegative = value < 0;
    const auto wide = static_cast<uint64_t>(value);
    const uint64_t quotient = divide(isNegative ? 0 - wide : wide);
    value = static_cast<T>(isNegative ? 0 - quotient : quotient);
    std::memcpy(block + i, &value, sizeof(T));
  }
}

void divideBlock(ir::DataType type, uint8_t* block, size_t bytes, const Divider& divide) {
  switch (type) {
    case ir::DataType::kInt8: return divideElements<int8_t>(block, bytes, divide);
    case ir::DataType::kUint8: return divideElements<uint8_t>(block, bytes, divide);
    case ir::DataType::kInt32: return divideElements<int32_t>(block, bytes, divide);
    case ir::DataType::kUint32: return divideElements<uint32_t>(block, bytes, divide);
    case ir::DataType::kInt64: return divideElements<int64_t>(block, bytes, divide);
    case ir::DataType::kUint64: return divideElements<uint64_t>(block, bytes, divide);
    default: return;
  }
}

void fenceStreams() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

size_t misalignment(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % kStreamAlignment;
}

// Streams the whole lines of the destination and stores its ends; the caller fences.
void streamBytes(const KernelTable& table, uint8_t* destination, const uint8_t* source,
                 size_t bytes) {
  const size_t head =
      std::min(bytes, (kStreamAlignment - misalignment(destination)) % kStreamAlignment);
  const size_t body = (bytes - head) / kStreamAlignment * kStreamAlignment;
  std::memcpy(destination, source, head);
  table.stream(destination + head, source + head, body);
  std::memcpy(destination + head + body, source + head + body, bytes - head - body);
}

void copyRange(const KernelTable& table, uint8_t* destination, const uint8_t* source, size_t bytes,
               bool streaming) {
  if (destination == source || bytes == 0) return;
  if (!streaming || bytes < kStreamFrom) {
    std::memcpy(destination, source, bytes);
    return;
  }
  streamBytes(table, destination, source, bytes);
  fenceStreams();
}

// One source to several destinations reads the source from memory once.
void copyToAll(const KernelTable& table, const ReduceArgs& args) {
  const size_t bytes = args.count * ir::sizeOf(args.type);
  const auto* source = static_cast<const uint8_t*>(args.sources[0]);
  const size_t step = args.destinationCount == 1 ? bytes : 2 * kStreamFrom;
  for (size_t at = 0; at < bytes; at += step) {
    for (int d = 0; d < args.destinationCount; ++d) {
      copyRange(table, static_cast<uint8_t*>(args.destinations[d]) + at, source + at,
                std::min(step, bytes - at), args.streaming);
    }
  }
}

// A part of a reduction: the same operands, moved on by `at` elements.
struct Part {
  Part(const ReduceArgs& whole, size_t at, size_t count) : args(whole) {
    const size_t offset = at * ir::sizeOf(whole.type);
    for (int s = 0; s < whole.sourceCount; ++s) {
      sources[s] = static_cast<const uint8_t*>(whole.sources[s]) + offset;
    }
    for (int d = 0; d < whole.destinationCount; ++d) {
      destinations[d] = static_cast<uint8_t*>(whole.destinations[d]) + offset;
    }
    args.sources = sources;
    args.destinations = destinations;
    args.count = count;
  }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  const void* sources[kMaxReduceOperands];
  void* destinations[kMaxReduceOperands];
  ReduceArgs args;
};

// In place the line is in the cache already: to store around it costs what it should save.
bool isInPlace(const ReduceArgs& args, int destination) {
  const void* address = args.destinations[destination];
  return std::find(args.sources, args.sources + args.sourceCount, address) !=
         args.sources + args.sourceCount;
}

// Reduces into a block that stays in the first cache, divides there, and copies the block to each
// destination, whatever their alignments.
void reduceThroughBlock(const KernelTable& table, ReduceKernel kernel, const ReduceArgs& args,
                        bool streaming) {
  alignas(kStreamAlignment) uint8_t block[kBlockBytes];
  const size_t size = ir::sizeOf(args.type);
  const size_t step = kBlockBytes / size;
  const bool dividing = args.divisor > 1 && !ir::isFloat(args.type);
  const Divider divide(dividing ? args.divisor : 2);
  for (size_t at = 0; at < args.count; at += step) {
    Part part(args, at, std::min(step, args.count - at));
    const size_t bytes = part.args.count * size;
    void* blocks[] = {block};
    part.args.destinations = blocks;
    part.args.destinationCount = 1;
    part.args.streaming = false;
    kernel(part.args);
    if (dividing) divideBlock(args.type, block, bytes, divide);
    for (int d = 0; d < args.destinationCount; ++d) {
      auto* destination = static_cast<uint8_t*>(part.destinations[d]);
      if (streaming && !isInPlace(args, d)) {
        streamBytes(table, destination, block, bytes);
      } else {
        std::memcpy(destination, block, bytes);
      }
    }
  }
  if (streaming) fenceStreams();
}

// Can every destination be brought to a line's start by reducing the same few elements first?
bool areAlignedAlike(const ReduceArgs& args) {
  const size_t first = misalignment(args.destinations[0]);
  if (first % ir::sizeOf(args.type) != 0) return false;
  for (int d = 1; d < args.destinationCount; ++d) {
    if (misalignment(args.destinations[d]) != first) return false;
  }
  return true;
}

void reduceStreaming(ReduceKernel kernel, const ReduceArgs& args) {
  const size_t toLine = kStreamAlignment - misalignment(args.destinations[0]);
  const size_t head = toLine % kStreamAlignment / ir::sizeOf(args.type);
  if (head > 0) {
    Part start(args, 0, head);
    start.args.streaming = false;
    kernel(start.args);
  }
  kernel(Part(args, head, args.count - head).args);
  fenceStreams();
}

bool hasFactor(const ReduceArgs& args) {
  if (args.factors == nullptr) return false;
  return std::any_of(args.factors, args.factors + args.sourceCount,
                     [](const Factor& factor) { return factor.isSet; });
}

int countInPlace(const ReduceArgs& args) {
  int count = 0;
  for (int d = 0; d < args.destinationCount; ++d) count += isInPlace(args, d) ? 1 : 0;
  return count;
}

void reduceFrom(const KernelTable& table, const ReduceArgs& args) {
  if (args.count == 0) return;
  const bool isDivided = args.divisor > 1 && !ir::isFloat(args.type);
  if (args.sourceCount == 1 && !isDivided && !hasFactor(args)) return copyToAll(table, args);
  const auto kernel = table.reduce[static_cast<int>(args.type)][static_cast<int>(args.op)];
  const IeeeMode mode;
  if (!args.streaming && !isDivided) return kernel(args);
  const int inPlace = countInPlace(args);
  const bool streaming = args.streaming && inPlace < args.destinationCount &&
                         args.count * ir::sizeOf(args.type) >= kStreamFrom;
  if (isDivided) return reduceThroughBlock(table, kernel, args, streaming);
  if (streaming && inPlace == 0 && areAlignedAlike(args)) return reduceStreaming(kernel, args);
  if (streaming) return reduceThroughBlock(table, kernel, args, true);
  ReduceArgs cached = args;
  cached.streaming = false;
  kernel(cached);
}

KernelTable makeTable(Variant variant) {
  KernelTable table;
  if (!isSupported(variant)) return table;
  addFloatKernels(variant, table);
  addNarrowKernels(variant, table);
  addIntegerKernels(variant, table);
  return table;
}

const KernelTable& tableOf(Variant variant) {
  static const std::array<KernelTable, kVariantCount> tables = {
      makeTable(Variant::kPortable), makeTable(Variant::kNeon), makeTable(Variant::kAvx2),
      makeTable(Variant::kAvx3)};
  return tables[static_cast<size_t>(variant)];
}

const KernelTable& bestTable() {
  static const KernelTable& best = []() -> const KernelTable& {
    int variant = kVariantCount - 1;
    while (!isSupported(static_cast<Variant>(variant))) --variant;
    return tableOf(static_cast<Variant>(variant));
  }();
  return best;
}

}  // namespace

bool isSupported(Variant variant) {
  switch (variant) {
    case Variant::kPortable: return true;
    case Variant::kNeon: return TUTTI_HAS_NEON;
    case Variant::kAvx2:
#if TUTTI_HAS_AVX2
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
             __builtin_cpu_supports("f16c") && __builtin_cpu_supports("bmi2");
#else
      return false;
#endif
    case Variant::kAvx3:
#if TUTTI_HAS_AVX3
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("f16c") && __builtin_cpu_supports("bmi2");
#else
      return false;
#endif
  }
  return false;
}

const char* name(Variant variant) {
  constexpr const char* kNames[] = {"portable", "neon", "avx2", "avx512"};
  return kNames[static_cast<int>(variant)];
}

void reduceWith(Variant variant, const ReduceArgs& args) { reduceFrom(tableOf(variant), args); }

void copyWith(Variant variant, void* destination, const void* source, size_t bytes,
              bool streaming) {
  copyRange(tableOf(variant), static_cast<uint8_t*>(destination),
            static_cast<const uint8_t*>(source), bytes, streaming);
}

void reduce(const ReduceArgs& args) { reduceFrom(bestTable(), args); }

void copy(void* destination, const void* source, size_t bytes, bool streaming) {
  copyRange(bestTable(), static_cast<uint8_t*>(destination), static_cast<const uint8_t*>(source),
            bytes, streaming);
}

}  // namespace tutti::device::host
