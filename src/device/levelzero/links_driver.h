// The part of Level Zero Sysman that tells of fabric ports, as declared in zes_api.h of 1.5
// (level-zero 1.8.12). There is no shutdown: drivers end with the process.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tutti::device::levelzero {

using ZesDriver = struct ZesDriverTag*;
using ZesDevice = struct ZesDeviceTag*;
using ZesPort = struct ZesPortTag*;

enum ZeResult : uint32_t {
  kZeSuccess = 0,
  kZeUninitialized = 0x78000001,
  kZeUnsupportedFeature = 0x78000003,
};

// stype of the structures below.
enum ZesType : uint32_t {
  kZesPciProperties = 0x2,
  kZesFabricPortProperties = 0x6,
  kZesFabricPortState = 0x19,
};

struct ZesPciProperties {
  ZesType type = kZesPciProperties;
  void* next = nullptr;
  uint32_t domain;
  uint32_t bus;
  uint32_t device;
  uint32_t function;
  int32_t generation;
  int32_t width;
  int64_t maxBandwidth;
  uint8_t hasCounters[3];
};
static_assert(sizeof(ZesPciProperties) == 56 && offsetof(ZesPciProperties, domain) == 16 &&
              offsetof(ZesPciProperties, maxBandwidth) == 40);

struct ZesPortId {
  uint32_t fabric;  // the device
  uint32_t attach;  // its piece
  uint8_t port;
  bool operator==(const ZesPortId& other) const {
    return fabric == other.fabric && attach == other.attach && port == other.port;
  }
};
static_assert(sizeof(ZesPortId) == 12);

// One direction. Intel's driver gives the bits a second of one lane (intel/compute-runtime
// multiplies by the width for itself, and so does its management tool); below 0: not known.
struct ZesSpeed {
  int64_t bits;
  int32_t lanes;
};
static_assert(sizeof(ZesSpeed) == 16);

struct ZesPortProperties {
  ZesType type = kZesFabricPortProperties;
  void* next = nullptr;
  char model[256];
  uint8_t isOnPiece;
  uint32_t piece;
  ZesPortId id;
  ZesSpeed maxReceive;
  ZesSpeed maxSend;
};
static_assert(sizeof(ZesPortProperties) == 328 && offsetof(ZesPortProperties, id) == 280 &&
              offsetof(ZesPortProperties, maxReceive) == 296);

enum ZesPortStatus : uint32_t {
  kZesPortUnknown = 0,
  kZesPortHealthy = 1,
  kZesPortDegraded = 2,
  kZesPortFailed = 3,
  kZesPortDisabled = 4,
};

struct ZesPortState {
  ZesType type = kZesFabricPortState;
  const void* next = nullptr;
  ZesPortStatus status;
  uint32_t qualityIssues;
  uint32_t failureReasons;
  ZesPortId remote;
  ZesSpeed receive;
  ZesSpeed send;
};
static_assert(sizeof(ZesPortState) == 72 && offsetof(ZesPortState, remote) == 28 &&
              offsetof(ZesPortState, receive) == 40);

struct Sysman {
  // zesInit and its like, or where the loader has none (before 1.9) zeInit and its like.
  ZeResult (*init)(uint32_t flags) = nullptr;
  ZeResult (*getDrivers)(uint32_t* count, ZesDriver* drivers) = nullptr;
  ZeResult (*getDevices)(ZesDriver driver, uint32_t* count, ZesDevice* devices) = nullptr;
  ZeResult (*getPciProperties)(ZesDevice device, ZesPciProperties* properties) = nullptr;
  ZeResult (*getPorts)(ZesDevice device, uint32_t* count, ZesPort* ports) = nullptr;
  ZeResult (*getPortProperties)(ZesPort port, ZesPortProperties* properties) = nullptr;
  ZeResult (*getPortState)(ZesPort port, ZesPortState* state) = nullptr;
};

}  // namespace tutti::device::levelzero
