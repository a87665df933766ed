// The kernels of the integer types.
#include "src/device/host/kernels_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/device/host/kernels_integer.cc"
#include <hwy/foreach_target.h>

// Must follow foreach_target.h.
#include "src/device/host/kernels_simd_inl.h"

#if TUTTI_TARGET_HAS_KERNELS
HWY_BEFORE_NAMESPACE();
namespace tutti::device::host::HWY_NAMESPACE {

void addIntegerTypes(KernelTable& table) {
  addType<DataType::kInt8>(table);
  addType<DataType::kUint8>(table);
  addType<DataType::kInt32>(table);
  addType<DataType::kUint32>(table);
  addType<DataType::kInt64>(table);
  addType<DataType::kUint64>(table);
}

}  // namespace tutti::device::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace tutti::device::host {

void addIntegerKernels(Variant variant, KernelTable& table) {
  if (variant == Variant::kPortable) {
    addScalarType<DataType::kInt8>(table);
    addScalarType<DataType::kUint8>(table);
    addScalarType<DataType::kInt32>(table);
    addScalarType<DataType::kUint32>(table);
    addScalarType<DataType::kInt64>(table);
    addScalarType<DataType::kUint64>(table);
  }
#if TUTTI_HAS_NEON
  if (variant == Variant::kNeon) N_NEON::addIntegerTypes(table);
#endif
#if TUTTI_HAS_AVX2
  if (variant == Variant::kAvx2) N_AVX2::addIntegerTypes(table);
#endif
#if TUTTI_HAS_AVX3
  if (variant == Variant::kAvx3) N_AVX3::addIntegerTypes(table);
#endif
}

}  // namespace tutti::device::host
#endif
