// The kernels of fp16, bf16 and the two fp8 formats.
#include "src/device/host/kernels_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/device/host/kernels_narrow.cc"
#include <hwy/foreach_target.h>

// Must follow foreach_target.h.
#include "src/device/host/kernels_simd_inl.h"

#if TUTTI_TARGET_HAS_KERNELS
HWY_BEFORE_NAMESPACE();
namespace tutti::device::host::HWY_NAMESPACE {

void addNarrowTypes(KernelTable& table) {
  addType<DataType::kFloat16>(table);
  addType<DataType::kBfloat16>(table);
  addType<DataType::kFloat8e4m3>(table);
  addType<DataType::kFloat8e5m2>(table);
}

}  // namespace tutti::device::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace tutti::device::host {

void addNarrowKernels(Variant variant, KernelTable& table) {
  if (variant == Variant::kPortable) {
    addScalarType<DataType::kFloat16>(table);
    addScalarType<DataType::kBfloat16>(table);
    addScalarType<DataType::kFloat8e4m3>(table);
    addScalarType<DataType::kFloat8e5m2>(table);
  }
#if TUTTI_HAS_NEON
  if (variant == Variant::kNeon) N_NEON::addNarrowTypes(table);
#endif
#if TUTTI_HAS_AVX2
  if (variant == Variant::kAvx2) N_AVX2::addNarrowTypes(table);
#endif
#if TUTTI_HAS_AVX3
  if (variant == Variant::kAvx3) N_AVX3::addNarrowTypes(table);
#endif
}

}  // namespace tutti::device::host
#endif
