// What NCCL's net plugins look like in memory, versions 6 to 12: `ncclNetPlugin_v<n>`, a data
// symbol with the layout of Table<n>. From NCCL's public headers (src/include/plugin/net/net_v*.h);
// members that are only passed over have no types of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tutti::transports::net_plugin::abi {

inline constexpr int kOldest = 6;
inline constexpr int kNewest = 12;

// What listen() may write, and connect() is given again at each call: plugins keep state in it.
inline constexpr size_t kHandleBytes = 128;
// How many requests of one communication may be under way.
inline constexpr int kMostRequests = 32;
inline constexpr int kMostRequestsV6 = 8;
// More than one receive in a request is never asked for, yet plugins may write as many sizes.
inline constexpr int kMostReceives = 8;
// Bits of Properties::pointers.
inline constexpr int kPointerHost = 1;
// Properties::deviceType where the plugin needs no help from a device's kernels.
inline constexpr int kDeviceTypeHost = 0;
inline constexpr int kTrafficClassUndefined = -1;

// ncclResult_t; 0 is success.
using Result = int;
inline constexpr Result kSuccess = 0;

// Levels of the log function.
inline constexpr int kLogVersion = 1;
inline constexpr int kLogWarn = 2;
inline constexpr int kLogTrace = 5;
inline constexpr unsigned long kLogInit = 1;

using Logger = void (*)(int level, unsigned long subsystems, const char* file, int line,
                        const char* format, ...);
using Profiler = Result (*)(void** event, int type, void* parent, int64_t plugin, void* data);

struct CommConfig {
  int trafficClass = kTrafficClassUndefined;
};
struct DeviceHandle;  // for kernels that send themselves; never asked for

// Version 9 and later. Versions before 11 know nothing of what follows maxCollBytes, 11 nothing of
// what follows maxMultiRequestSize: they leave it as it was.
template <int kVersion>
struct Properties {
  char* name;
  char* pciPath;
  uint64_t guid;
  int pointers;
  int regIsGlobal;
  int forceFlush;
  int speed;  // Mb/s
  int port;
  float latency;  // us
  int maxComms;
  int maxReceives;
  int deviceType;
  int deviceVersion;
  int partCount;
  int parts[kVersion >= 12 ? 8 : 4];
  size_t maxP2pBytes;
  size_t maxCollBytes;
  int maxMultiRequestSize;
  int16_t railId;
  int16_t planeId;
};

template <>
struct Properties<8> {
  char* name;
  char* pciPath;
  uint64_t guid;
  int pointers;
  int regIsGlobal;
  int speed;
  int port;
  float latency;
  int maxComms;
  int maxReceives;
  int deviceType;
  int deviceVersion;
};

template <>
struct Properties<7> {
  char* name;
  char* pciPath;
  uint64_t guid;
  int pointers;
  int speed;
  int port;
  float latency;
  int maxComms;
  int maxReceives;
  int deviceType;
  int deviceVersion;
};

template <>
struct Properties<6> {
  char* name;
  char* pciPath;
  uint64_t guid;
  int pointers;
  int speed;
  int port;
  float latency;
  int maxComms;
  int maxReceives;
};

static_assert(sizeof(Properties<6>) == 48 && sizeof(Properties<7>) == 56);
static_assert(sizeof(Properties<8>) == 64 && offsetof(Properties<8>, speed) == 32);
static_assert(offsetof(Properties<9>, maxP2pBytes) == 88 && sizeof(Properties<9>) == 112);
static_assert(offsetof(Properties<12>, maxP2pBytes) == 104 && sizeof(Properties<12>) == 128);

// The functions whose arguments changed.
template <int kVersion>
struct Functions {
  static constexpr bool hasContext = kVersion >= 11;

  // Of what is sent and received, and of what is registered.
  using Bytes = std::conditional_t<(kVersion >= 9), size_t, int>;
  using RegionBytes = std::conditional_t<(kVersion >= 8), size_t, int>;

  using InitBefore10 = Result(Logger);
  using Init10 = Result(Logger, Profiler);
  using InitLater = Result(void** context, uint64_t id, CommConfig*, Logger, Profiler);
  using Init = std::conditional_t<hasContext, InitLater,
                                  std::conditional_t<kVersion == 10, Init10, InitBefore10>>;

  using Listen =
      std::conditional_t<hasContext, Result(void* context, int device, void* handle, void** comm),
                         Result(int device, void* handle, void** comm)>;

  using Connect6 = Result(int device, void* handle, void** comm);
  using Connect7 = Result(int device, void* handle, void** comm, DeviceHandle**);
  using Connect10 = Result(int device, CommConfig*, void* handle, void** comm, DeviceHandle**);
  using ConnectLater = Result(void* context, int device, void* handle, void** comm, DeviceHandle**);
  using Connect =
      std::conditional_t<hasContext, ConnectLater,
                         std::conditional_t<kVersion == 10, Connect10,
                                            std::conditional_t<kVersion == 6, Connect6, Connect7>>>;

  using Accept = std::conditional_t<kVersion == 6, Result(void* listen, void** comm),
                                    Result(void* listen, void** comm, DeviceHandle**)>;

  using Send = std::conditional_t<
      (kVersion >= 10),
      Result(void* comm, void* data, Bytes, int tag, void* region, void* event, void** request),
      Result(void* comm, void* data, Bytes, int tag, void* region, void** request)>;
  using Receive = std::conditional_t<(kVersion >= 10),
                                     Result(void* comm, int count, void** data, Bytes*, int* tags,
                                            void** regions, void** events, void** request),
                                     Result(void* comm, int count, void** data, Bytes*, int* tags,
                                            void** regions, void** request)>;
};

// The order of the members has never changed; later versions only have more. `finalize` is there
// from version 11 on: nothing may read it of a table that is older, where other data follows.
template <int kVersion>
struct Table {
  using F = Functions<kVersion>;

  const char* name;
  typename F::Init* init;
  Result (*devices)(int* count);
  Result (*getProperties)(int device, Properties<kVersion>*);
  typename F::Listen* listen;
  typename F::Connect* connect;
  typename F::Accept* accept;
  Result (*regMr)(void* comm, void* data, typename F::RegionBytes, int type, void** region);
  void (*regMrDmaBuf)();
  Result (*deregMr)(void* comm, void* region);
  typename F::Send* isend;
  typename F::Receive* irecv;
  void (*iflush)();
  Result (*test)(void* request, int* isDone, int* bytes);
  Result (*closeSend)(void* comm);
  Result (*closeRecv)(void* comm);
  Result (*closeListen)(void* comm);
  void (*getDeviceMr)();  // from 7 on, as the next
  void (*irecvConsumed)();
  void (*makeVDevice)();  // from 9 on
  Result (*finalize)(void* context);
  void (*setNetAttr)();
};
static_assert(offsetof(Table<11>, closeListen) == 16 * sizeof(void*));
static_assert(offsetof(Table<11>, finalize) == 20 * sizeof(void*));

}  // namespace tutti::transports::net_plugin::abi
