// The kernels of fp32 and fp64, and the streaming copy.
#include "src/device/host/kernels_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/device/host/kernels_float.cc"
#include <hwy/foreach_target.h>

// Must follow foreach_target.h.
#include "src/device/host/kernels_simd_inl.h"

#if TUTTI_TARGET_HAS_KERNELS
HWY_BEFORE_NAMESPACE();
namespace tutti::device::host::HWY_NAMESPACE {

void streamCopy(uint8_t* destination, const uint8_t* source, size_t bytes) {
  const hn::ScalableTag<uint8_t> d;
  constexpr size_t kVector = HWY_LANES(uint8_t);
  const size_t endOfTurns = bytes / kTurn * kTurn;
  for (size_t i = 0; i < bytes; i += kStreamAlignment) {
    const size_t at = i < endOfTurns ? inTurn<kStreamAlignment>(i) : i;
    HWY_UNROLL(4)
    for (size_t v = at; v < at + kStreamAlignment; v += kVector) {
      hn::Stream(hn::LoadU(d, source + v), d, destination + v);
    }
  }
}

void addFloatTypes(KernelTable& table) {
  addType<DataType::kFloat32>(table);
  addType<DataType::kFloat64>(table);
  table.stream = streamCopy;
}

}  // namespace tutti::device::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace tutti::device::host {

void addFloatKernels(Variant variant, KernelTable& table) {
  if (variant == Variant::kPortable) {
    addScalarType<DataType::kFloat32>(table);
    addScalarType<DataType::kFloat64>(table);
    table.stream = [](uint8_t* destination, const uint8_t* source, size_t bytes) {
      std::memcpy(destination, source, bytes);
    };
  }
#if TUTTI_HAS_NEON
  if (variant == Variant::kNeon) N_NEON::addFloatTypes(table);
#endif
#if TUTTI_HAS_AVX2
  if (variant == Variant::kAvx2) N_AVX2::addFloatTypes(table);
#endif
#if TUTTI_HAS_AVX3
  if (variant == Variant::kAvx3) N_AVX3::addFloatTypes(table);
#endif
}

}  // namespace tutti::device::host
#endif
