// The part of NVML that tells of NVLinks, as declared in nvml.h of NVML 13 (NVIDIA/go-nvml
// 2f9e261).
#pragma once

#include <cstddef>

namespace tutti::device::cuda {

using NvmlDevice = struct NvmlDeviceTag*;

enum NvmlReturn : int {
  kNvmlSuccess = 0,
  kNvmlInvalidArgument = 2,
  kNvmlNotSupported = 3,
  kNvmlDriverNotLoaded = 9,
};

struct NvmlPciInfo {
  char legacyId[16];
  unsigned int domain;
  unsigned int bus;
  unsigned int device;
  unsigned int deviceId;
  unsigned int subsystemId;
  char id[32];
};
static_assert(sizeof(NvmlPciInfo) == 68 && offsetof(NvmlPciInfo, domain) == 16 &&
              offsetof(NvmlPciInfo, id) == 36);

union NvmlValue {
  double real;
  unsigned int number;
  unsigned long long wide;
};

// In: field and scope. Out: all else.
struct NvmlFieldValue {
  unsigned int field;
  unsigned int scope;
  long long timestamp;
  long long latency;
  int type;
  int status;
  NvmlValue value;
};
static_assert(sizeof(NvmlFieldValue) == 40 && offsetof(NvmlFieldValue, type) == 24 &&
              offsetof(NvmlFieldValue, value) == 32);

inline constexpr int kNvmlTypeUnsignedInt = 1;
inline constexpr int kNvmlTypeUnsignedLongLong = 3;

// Both in MB/s (10^6) of one link, each way, as wires carry it.
inline constexpr unsigned int kNvmlFieldSpeedOfAll = 90;    // of all links; gone since Hopper
inline constexpr unsigned int kNvmlFieldSpeedOfLink = 164;  // scope: the link

enum NvmlRemote : int { kNvmlRemoteGpu = 0, kNvmlRemoteNpu = 1, kNvmlRemoteSwitch = 2 };

inline constexpr unsigned int kNvmlMostLinks = 36;

struct Nvml {
  int (*init)() = nullptr;  // counted: each has its shutdown
  int (*shutdown)() = nullptr;
  int (*getCount)(unsigned int* count) = nullptr;
  int (*getHandle)(unsigned int index, NvmlDevice* device) = nullptr;
  int (*getPciInfo)(NvmlDevice device, NvmlPciInfo* info) = nullptr;
  int (*getLinkState)(NvmlDevice device, unsigned int link, int* isActive) = nullptr;
  int (*getRemotePciInfo)(NvmlDevice device, unsigned int link, NvmlPciInfo* info) = nullptr;
  // Null where the library has none.
  const char* (*getErrorText)(int error) = nullptr;
  int (*getCapability)(NvmlDevice device, int* major, int* minor) = nullptr;
  int (*getRemoteType)(NvmlDevice device, unsigned int link, int* type) = nullptr;
  int (*getFields)(NvmlDevice device, int count, NvmlFieldValue* values) = nullptr;
};

}  // namespace tutti::device::cuda
