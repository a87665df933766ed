// The part of ROCm SMI that tells of xGMI links, as declared in rocm_smi.h of 5.2.3 (Debian 12) and
// of 7.3.0 (ROCm/rocm_smi_lib a129571), which agree on it.
#pragma once

#include <cstdint>

namespace tutti::device::hip {

enum SmiStatus : uint32_t {
  kSmiSuccess = 0,
  kSmiNotSupported = 2,
  kSmiInitError = 8,
};

enum SmiLinkType : uint32_t {
  kSmiLinkUndefined = 0,
  kSmiLinkPci = 1,
  kSmiLinkXgmi = 2,
};

struct Smi {
  SmiStatus (*init)(uint64_t flags) = nullptr;  // counted: each has its shutdown
  SmiStatus (*shutdown)() = nullptr;
  SmiStatus (*getCount)(uint32_t* count) = nullptr;
  // Domain in the upper 32 bits; partition 28-31, bus 8-15, device 3-7, function 0-2.
  SmiStatus (*getPciId)(uint32_t device, uint64_t* id) = nullptr;
  SmiStatus (*getLinkType)(uint32_t from, uint32_t to, uint64_t* hops, SmiLinkType* type) = nullptr;
  SmiStatus (*getLinkWeight)(uint32_t from, uint32_t to, uint64_t* weight) = nullptr;
  // Null before ROCm 5. In MB/s (10^6), each way, as wires carry it: of one link, and of all.
  SmiStatus (*getBandwidth)(uint32_t from, uint32_t to, uint64_t* least, uint64_t* most) = nullptr;
  SmiStatus (*getStatusText)(SmiStatus status, const char** text) = nullptr;  // may be null
};

}  // namespace tutti::device::hip
