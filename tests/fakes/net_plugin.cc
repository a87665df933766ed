// A network plugin as NCCL loads them, over TCP sockets: NET_PLUGIN_VERSION says which version of
// the interface. The declarations are its own, so that a mistake in those of the transport that
// loads it does not go unseen.
//
// It is as strict as the strictest of the real ones: a listen takes one connection, memory must be
// registered for the communication that uses it and given back before that is closed, at most 32
// requests. FAKE_NET, a list of words, makes it worse:
//   fail-init, no-devices, device-memory, small-messages, kernels, no-irecv: it can not be used
//   lazy-table: what it exports has a name and init; init fills in the rest, and another name
//   several-devices: four, of which two are fast
//   slow-connect: connect and accept want many calls
//   busy: isend and irecv are mostly not possible at once
//   no-sizes: it does not say how many bytes a receive got
//   break: after so many messages a communication ends, on both sides
//   keep-open: communications can not be closed
// FAKE_NET_ADDRESS: the IPv4 address at which it listens, or `own`: the host's first; else the
// loopback's.
#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <set>
#include <string>

#define FAKE_CONCAT_(a, b) a##b
#define FAKE_CONCAT(a, b) FAKE_CONCAT_(a, b)

namespace {

constexpr int kVersion = NET_PLUGIN_VERSION;
constexpr int kSuccess = 0, kSystemError = 2, kInternalError = 3, kInvalidArgument = 4;
constexpr int kRemoteError = 6;
constexpr int kWarn = 2;
constexpr size_t kMostRequests = kVersion == 6 ? 8 : 32;
constexpr int kBreakAfter = 40;

#if NET_PLUGIN_VERSION >= 9
using Bytes = size_t;
#else
using Bytes = int;
#endif
#if NET_PLUGIN_VERSION >= 8
using RegionBytes = size_t;
#else
using RegionBytes = int;
#endif

using Logger = void (*)(int, unsigned long, const char*, int, const char*, ...);
std::atomic<Logger> logger{nullptr};

#define FAKE_FAIL(result, ...)                                           \
  do {                                                                   \
    const Logger say = logger;                                           \
    if (say != nullptr) say(kWarn, 16, __FILE__, __LINE__, __VA_ARGS__); \
    return result;                                                       \
  } while (false)

bool isAsked(const char* word) {
  const char* words = std::getenv("FAKE_NET");
  if (words == nullptr) return false;
  const std::string all = "," + std::string(words) + ",";
  return all.find("," + std::string(word) + ",") != std::string::npos;
}

struct Properties {
  char* name;
  char* pciPath;
  uint64_t guid;
  int ptrSupport;
#if NET_PLUGIN_VERSION >= 8
  int regIsGlobal;
#endif
#if NET_PLUGIN_VERSION >= 9
  int forceFlush;
#endif
  int speed;
  int port;
  float latency;
  int maxComms;
  int maxRecvs;
#if NET_PLUGIN_VERSION >= 7
  int netDeviceType;
  int netDeviceVersion;
#endif
#if NET_PLUGIN_VERSION >= 9
  int ndevs;
#if NET_PLUGIN_VERSION >= 12
  int devs[8];
#else
  int devs[4];
#endif
  size_t maxP2pBytes;
  size_t maxCollBytes;
#endif
#if NET_PLUGIN_VERSION >= 11
  int maxMultiRequestSize;
#endif
#if NET_PLUGIN_VERSION >= 12
  int16_t railId;
  int16_t planeId;
#endif
};

struct Context {
  uint64_t magic = 0x6e65742d63747821;
  std::atomic<int> comms{0};
};

struct Comm;

struct Region {
  Comm* comm;
  char* data;
  size_t bytes;
};

struct Request {
  Comm* comm = nullptr;
  char* data = nullptr;
  size_t bytes = 0;         // of a receive: how many it takes, then how many came
  uint32_t header[2] = {};  // bytes, tag
  size_t moved = 0;         // of header and data
  bool isDone = false;
};

struct Comm {
  int fd = -1;
  bool isSending = false;
  bool isBroken = false;
  int count = 0;  // of messages
  int calls = 0;
  Context* context = nullptr;
  std::set<Region*> regions;
  std::deque<Request*> requests;  // not tested to their end yet
  std::deque<Request*> moving;    // of them, those that are not done
};

struct Listening {
  int fd = -1;
  int accepted = -1;
  int calls = 0;
  bool isUsed = false;
  Context* context = nullptr;
};

// Of at most 128 bytes; the state of a connect() lives in the copy that it is called with.
struct Handle {
  uint64_t magic;
  sockaddr_in address;
  int fd;
  int calls;
};
static_assert(sizeof(Handle) <= 128);
constexpr uint64_t kMagic = 0x66616b65206e6574;

bool isTooEarly(int& calls) { return isAsked("slow-connect") && ++calls % 50 != 0; }
bool isBusy(Comm& comm) { return isAsked("busy") && ++comm.calls % 4 != 0; }

int openSocket() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  return fd;
}

int initOnce(Logger given) {
  logger = given;
  if (isAsked("fail-init")) FAKE_FAIL(kSystemError, "fake net: told to fail %s", "init");
  return kSuccess;
}

int devices(int* count) {
  *count = isAsked("no-devices") ? 0 : isAsked("several-devices") ? 4 : 1;
  return kSuccess;
}

int getProperties(int device, Properties* properties) {
  static char names[][8] = {"fake0", "fake1", "fake2", "fake3"};
  if (device < 0 || device > 3) return kInvalidArgument;
  *properties = {};
  properties->name = names[device];
  properties->guid = static_cast<uint64_t>(device);
  properties->ptrSupport = isAsked("device-memory") ? 2 : 1;
  properties->speed = device % 2 == 1 ? 20000 : 10000;
  properties->port = 1;
  properties->maxComms = 65536;
  properties->maxRecvs = 1;
#if NET_PLUGIN_VERSION >= 7
  properties->netDeviceType = isAsked("kernels") ? 1 : 0;
#endif
#if NET_PLUGIN_VERSION >= 9
  properties->ndevs = 1;
  properties->devs[0] = device;
  properties->maxP2pBytes = isAsked("small-messages") ? 4096 : size_t{1} << 30;
  properties->maxCollBytes = properties->maxP2pBytes;
#endif
#if NET_PLUGIN_VERSION >= 11
  properties->maxMultiRequestSize = 1;
#endif
#if NET_PLUGIN_VERSION >= 12
  properties->railId = -1;
  properties->planeId = -1;
#endif
  return kSuccess;
}

// The host's first that is not in 127.0.0.0/8.
in_addr ownAddress() {
  in_addr found{htonl(INADDR_LOOPBACK)};
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return found;
  for (const ifaddrs* each = all; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_INET) continue;
    const in_addr address = reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr;
    if (ntohl(address.s_addr) >> 24 == 127) continue;
    found = address;
    break;
  }
  freeifaddrs(all);
  return found;
}

bool readAddress(in_addr& address) {
  const char* given = std::getenv("FAKE_NET_ADDRESS");
  if (given != nullptr && std::strcmp(given, "own") == 0) {
    address = ownAddress();
    return true;
  }
  return inet_pton(AF_INET, given == nullptr ? "127.0.0.1" : given, &address) == 1;
}

int listenAt(Context* context, int device, void* handle, void** made) {
  if (device < 0 || device > 3) return kInvalidArgument;
  Handle written{kMagic, {}, -1, 0};
  written.address.sin_family = AF_INET;
  if (!readAddress(written.address.sin_addr)) return kInvalidArgument;
  auto* listening = new Listening;
  listening->fd = openSocket();
  listening->context = context;
  socklen_t length = sizeof(written.address);
  if (bind(listening->fd, reinterpret_cast<sockaddr*>(&written.address), length) != 0 ||
      listen(listening->fd, 8) != 0 ||
      getsockname(listening->fd, reinterpret_cast<sockaddr*>(&written.address), &length) != 0) {
    close(listening->fd);
    delete listening;
    FAKE_FAIL(kSystemError, "fake net: listen: %s", std::strerror(errno));
  }
  std::memcpy(handle, &written, sizeof(written));
  *made = listening;
  return kSuccess;
}

Comm* makeComm(int fd, bool isSending, Context* context) {
  auto* comm = new Comm;
  comm->fd = fd;
  comm->isSending = isSending;
  comm->context = context;
  if (context != nullptr) ++context->comms;
  return comm;
}

int connectTo(Context* context, void* given, void** made) {
  Handle handle;
  std::memcpy(&handle, given, sizeof(handle));
  *made = nullptr;
  if (handle.magic != kMagic) FAKE_FAIL(kInternalError, "fake net: that is no handle");
  const bool isEarly = isTooEarly(handle.calls);
  int result = kSuccess;
  if (!isEarly) {
    if (handle.fd < 0) handle.fd = openSocket();
    const int done =
        connect(handle.fd, reinterpret_cast<sockaddr*>(&handle.address), sizeof(handle.address));
    if (done == 0 || errno == EISCONN) {
      *made = makeComm(handle.fd, true, context);
      handle.fd = -1;
    } else if (errno != EINPROGRESS && errno != EALREADY) {
      close(handle.fd);
      handle.fd = -1;
      result = kRemoteError;
    }
  }
  std::memcpy(given, &handle, sizeof(handle));
  return result;
}

int acceptFrom(void* given, void** made) {
  auto* listening = static_cast<Listening*>(given);
  *made = nullptr;
  if (listening->isUsed) FAKE_FAIL(kInternalError, "fake net: one accept for each listen");
  if (isTooEarly(listening->calls)) return kSuccess;
  const int fd = accept4(listening->fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return errno == EAGAIN ? kSuccess : kSystemError;
  listening->isUsed = true;
  *made = makeComm(fd, false, listening->context);
  return kSuccess;
}

int regMr(void* given, void* data, RegionBytes bytes, int type, void** made) {
  auto* comm = static_cast<Comm*>(given);
  if (type != 1) FAKE_FAIL(kInvalidArgument, "fake net: memory of type %d", type);
  auto* region = new Region{comm, static_cast<char*>(data), static_cast<size_t>(bytes)};
  comm->regions.insert(region);
  *made = region;
  return kSuccess;
}

int deregMr(void* given, void* region) {
  auto* comm = static_cast<Comm*>(given);
  if (comm->regions.erase(static_cast<Region*>(region)) != 1) {
    FAKE_FAIL(kInvalidArgument, "fake net: no such region");
  }
  delete static_cast<Region*>(region);
  return kSuccess;
}

int post(Comm* comm, void* data, size_t bytes, int tag, void* given, void** request) {
  *request = nullptr;
  auto* region = static_cast<Region*>(given);
  auto* from = static_cast<char*>(data);
  if (comm->regions.count(region) != 1 || from < region->data ||
      from + bytes > region->data + region->bytes) {
    FAKE_FAIL(kInvalidArgument, "fake net: %zu bytes that are not registered", bytes);
  }
  if (comm->requests.size() >= kMostRequests)
    FAKE_FAIL(kInternalError, "fake net: no request left");
  if (isBusy(*comm)) return kSuccess;
  if (comm->isSending && isAsked("break") && ++comm->count > kBreakAfter) {
    shutdown(comm->fd, SHUT_RDWR);
    return kRemoteError;
  }
  auto* made = new Request;
  made->comm = comm;
  made->data = from;
  made->bytes = bytes;
  made->header[0] = static_cast<uint32_t>(bytes);
  made->header[1] = static_cast<uint32_t>(tag);
  comm->requests.push_back(made);
  comm->moving.push_back(made);
  *request = made;
  return kSuccess;
}

int postReceive(void* given, int count, void** data, Bytes* sizes, int* tags, void** regions,
                void** request) {
  if (count != 1) return kInvalidArgument;
  return post(static_cast<Comm*>(given), data[0], static_cast<size_t>(sizes[0]), tags[0],
              regions[0], request);
}

// What is left of header or data; negative: the connection is gone.
ssize_t movePart(Comm& comm, char* data, size_t bytes) {
  const ssize_t moved =
      comm.isSending ? send(comm.fd, data, bytes, MSG_NOSIGNAL) : recv(comm.fd, data, bytes, 0);
  if (moved > 0) return moved;
  if (moved < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  return -1;
}

// The oldest first, until `last` is done.
int moveUntil(const Request& last) {
  Comm& comm = *last.comm;
  while (!last.isDone) {
    Request& request = *comm.moving.front();
    const bool isHeader = request.moved < sizeof(request.header);
    const size_t offset = isHeader ? request.moved : request.moved - sizeof(request.header);
    char* from = isHeader ? reinterpret_cast<char*>(request.header) : request.data;
    const size_t whole = isHeader ? sizeof(request.header) : request.header[0];
    const ssize_t moved = whole == 0 ? 0 : movePart(comm, from + offset, whole - offset);
    if (moved < 0)
      FAKE_FAIL(kRemoteError, "fake net: the connection is gone, %s",
                comm.isSending ? "sending" : "receiving");
    if (moved == 0 && whole != 0) return kSuccess;
    request.moved += static_cast<size_t>(moved);
    if (request.moved == sizeof(request.header) && !comm.isSending &&
        request.header[0] > request.bytes) {
      FAKE_FAIL(kInternalError, "fake net: %u bytes do not fit into %zu", request.header[0],
                request.bytes);
    }
    if (request.moved == sizeof(request.header) + request.header[0]) {
      request.isDone = true;
      comm.moving.pop_front();
    }
  }
  return kSuccess;
}

int test(void* given, int* done, int* size) {
  auto* request = static_cast<Request*>(given);
  Comm& comm = *request->comm;
  *done = 0;
  if (!request->isDone) {
    const int result = moveUntil(*request);
    if (result != kSuccess) return result;
  }
  if (!request->isDone) return kSuccess;
  *done = 1;
  if (size != nullptr && !isAsked("no-sizes")) *size = static_cast<int>(request->header[0]);
  for (auto at = comm.requests.begin(); at != comm.requests.end(); ++at) {
    if (*at != request) continue;
    comm.requests.erase(at);
    break;
  }
  delete request;
  return kSuccess;
}

int closeComm(void* given) {
  auto* comm = static_cast<Comm*>(given);
  if (!comm->regions.empty()) FAKE_FAIL(kInternalError, "fake net: registered memory is left");
  if (const Logger say = logger; say != nullptr && !comm->requests.empty()) {
    say(kWarn, 16, __FILE__, __LINE__, "fake net: %zu requests are left", comm->requests.size());
  }
  if (comm->context != nullptr) --comm->context->comms;
  close(comm->fd);
  for (Request* request : comm->requests) delete request;
  delete comm;
  return isAsked("keep-open") ? kInternalError : kSuccess;
}

int closeListen(void* given) {
  auto* listening = static_cast<Listening*>(given);
  close(listening->fd);
  delete listening;
  return kSuccess;
}

// ---- What differs between versions ----

#if NET_PLUGIN_VERSION >= 11
struct Config {
  int trafficClass;
};
using Profiler = int (*)(void**, int, void*, int64_t, void*);

int init(void** context, uint64_t, Config* config, Logger given, Profiler profiler) {
  if (config == nullptr || config->trafficClass != -1 || profiler == nullptr) {
    return kInvalidArgument;
  }
  *context = new Context;
  return initOnce(given);
}
int listenFor(void* context, int device, void* handle, void** made) {
  auto* own = static_cast<Context*>(context);
  if (own == nullptr || own->magic != Context().magic) return kInvalidArgument;
  return listenAt(own, device, handle, made);
}
int connectFor(void* context, int, void* handle, void** made, void** forKernels) {
  auto* own = static_cast<Context*>(context);
  if (own->magic != Context().magic || *forKernels != nullptr) return kInvalidArgument;
  return connectTo(own, handle, made);
}
int finalize(void* context) {
  auto* own = static_cast<Context*>(context);
  if (own->magic != Context().magic) return kInvalidArgument;
  if (own->comms != 0) FAKE_FAIL(kInternalError, "fake net: communications are left");
  delete own;
  return kSuccess;
}
#else
#if NET_PLUGIN_VERSION == 10
struct Config {
  int trafficClass;
};
using Profiler = int (*)(void**, int, void*, int64_t, void*);
int init(Logger given, Profiler profiler) {
  return profiler == nullptr ? kInvalidArgument : initOnce(given);
}
int connectFor(int, Config* config, void* handle, void** made, void** forKernels) {
  if (config->trafficClass != -1 || *forKernels != nullptr) return kInvalidArgument;
  return connectTo(nullptr, handle, made);
}
#else
int init(Logger given) { return initOnce(given); }
#if NET_PLUGIN_VERSION >= 7
int connectFor(int, void* handle, void** made, void** forKernels) {
  if (*forKernels != nullptr) return kInvalidArgument;
  return connectTo(nullptr, handle, made);
}
#else
int connectFor(int, void* handle, void** made) { return connectTo(nullptr, handle, made); }
#endif
#endif
int listenFor(int device, void* handle, void** made) {
  return listenAt(nullptr, device, handle, made);
}
#endif

#if NET_PLUGIN_VERSION >= 7
int acceptFor(void* listening, void** made, void** forKernels) {
  if (*forKernels != nullptr) return kInvalidArgument;
  return acceptFrom(listening, made);
}
#else
int acceptFor(void* listening, void** made) { return acceptFrom(listening, made); }
#endif

#if NET_PLUGIN_VERSION >= 10
int isend(void* comm, void* data, Bytes bytes, int tag, void* region, void*, void** request) {
  return post(static_cast<Comm*>(comm), data, bytes, tag, region, request);
}
int irecv(void* comm, int count, void** data, Bytes* sizes, int* tags, void** regions,
          void** events, void** request) {
  if (events == nullptr || events[0] != nullptr) return kInvalidArgument;
  return postReceive(comm, count, data, sizes, tags, regions, request);
}
#else
int isend(void* comm, void* data, Bytes bytes, int tag, void* region, void** request) {
  return post(static_cast<Comm*>(comm), data, static_cast<size_t>(bytes), tag, region, request);
}
int irecv(void* comm, int count, void** data, Bytes* sizes, int* tags, void** regions,
          void** request) {
  return postReceive(comm, count, data, sizes, tags, regions, request);
}
#endif

struct Table {
  const char* name;
  decltype(&init) initialise;
  decltype(&devices) getDevices;
  decltype(&getProperties) properties;
  decltype(&listenFor) listenOn;
  decltype(&connectFor) connectOn;
  decltype(&acceptFor) acceptOn;
  decltype(&regMr) registerMemory;
  void (*registerDmaBuf)();
  decltype(&deregMr) deregister;
  decltype(&isend) sendOn;
  decltype(&irecv) receiveOn;
  void (*flush)();
  decltype(&test) testRequest;
  decltype(&closeComm) closeSend;
  decltype(&closeComm) closeReceive;
  decltype(&closeListen) closeListening;
#if NET_PLUGIN_VERSION >= 7
  void (*getDeviceMr)();
  void (*receiveConsumed)();
#endif
#if NET_PLUGIN_VERSION >= 9
  void (*makeDevice)();
#endif
#if NET_PLUGIN_VERSION >= 11
  decltype(&finalize) end;
  void (*setAttributes)();
#endif
};

Table wholeTable(const char* name) {
  Table table{};
  table.name = name;
  table.initialise = init;
  table.getDevices = devices;
  table.properties = getProperties;
  table.listenOn = listenFor;
  table.connectOn = connectFor;
  table.acceptOn = acceptFor;
  table.registerMemory = regMr;
  table.deregister = deregMr;
  table.sendOn = isend;
  table.receiveOn = isAsked("no-irecv") ? nullptr : irecv;
  table.testRequest = test;
  table.closeSend = closeComm;
  table.closeReceive = closeComm;
  table.closeListening = closeListen;
#if NET_PLUGIN_VERSION >= 11
  table.end = finalize;
#endif
  return table;
}

}  // namespace

#define FAKE_TABLE FAKE_CONCAT(ncclNetPlugin_v, NET_PLUGIN_VERSION)

extern "C" {
__attribute__((visibility("default"))) Table FAKE_TABLE = wholeTable("Fake");
}

namespace {

// The arguments of init differ between versions. The rest of the table comes with the first call.
template <typename... Arguments>
int initAndFill(Arguments... arguments) {
  FAKE_TABLE = wholeTable("FakeFilled");
  return init(arguments...);
}

template <typename... Arguments>
constexpr auto fillerFor(int (*)(Arguments...)) {
  return static_cast<int (*)(Arguments...)>(initAndFill<Arguments...>);
}

[[maybe_unused]] const bool isEmptied = [] {
  if (isAsked("lazy-table")) {
    FAKE_TABLE = {};
    FAKE_TABLE.name = "Fake";
    FAKE_TABLE.initialise = fillerFor(init);
  }
  return true;
}();

}  // namespace
