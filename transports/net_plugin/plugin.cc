#include "transports/net_plugin/plugin.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "src/base/errors.h"
#include "src/base/log.h"

namespace tutti::transports::net_plugin {
namespace {

// All frames of a communication are alike.
constexpr int kTag = 0;

constexpr uint64_t bitOf(int level, unsigned long subsystems) {
  using base::LogSwitches;
  const auto subsystem =
      (subsystems & abi::kLogInit) != 0 ? base::Subsystem::kInit : base::Subsystem::kNet;
  if (level == abi::kLogWarn) return LogSwitches::kWarn;
  if (level == abi::kLogVersion) return LogSwitches::kVersion;
  return level == abi::kLogTrace ? LogSwitches::traceBit(subsystem)
                                 : LogSwitches::infoBit(subsystem);
}

// Handed to plugins: any thread, theirs as well.
__attribute__((format(printf, 5, 6))) void logOfPlugin(int level, unsigned long subsystems,
                                                       const char* file, int line,
                                                       const char* format, ...) {
  const uint64_t bit = bitOf(level, subsystems);
  if (level <= 0 || format == nullptr || !base::isLogged(bit)) return;
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  size_t length = strnlen(text, sizeof(text));
  while (length > 0 && text[length - 1] == '\n') --length;
  const std::string_view said(text, length);
  switch (level) {
    case abi::kLogWarn:
      base::logLine(bit, "WARN", "net plugin: {} ({}:{})", said, file == nullptr ? "?" : file,
                    line);
      break;
    case abi::kLogVersion: base::logLine(bit, "VERSION", "net plugin: {}", said); break;
    case abi::kLogTrace: base::logLine(bit, "TRACE", "net plugin: {}", said); break;
    default: base::logLine(bit, "INFO", "net plugin: {}", said);
  }
}

// What plugins tell of their events interests nobody here.
abi::Result ignoreEvent(void**, int, void*, int64_t, void*) { return abi::kSuccess; }

std::string orUnnamed(const char* name) { return name == nullptr ? "unnamed" : name; }

// Its table is called through the pointer, never copied: init may write into it.
template <int kVersion>
class PluginOf final : public Plugin {
  using Table = abi::Table<kVersion>;
  using F = abi::Functions<kVersion>;

 public:
  explicit PluginOf(const Table* table) : table_(*table) {}

  int version() const override { return kVersion; }
  std::string name() const override { return orUnnamed(table_.name); }

  abi::Result init(uint64_t id, void*& context) override {
    context = nullptr;
    if constexpr (F::hasContext) {
      return table_.init(&context, id, &config_, &logOfPlugin, &ignoreEvent);
    } else if constexpr (kVersion == 10) {
      return table_.init(&logOfPlugin, &ignoreEvent);
    } else {
      return table_.init(&logOfPlugin);
    }
  }

  abi::Result finalize(void* context) override {
    if constexpr (F::hasContext) return table_.finalize(context);
    return abi::kSuccess;
  }

  const char* missing() const override {
    if (table_.init == nullptr) return "init";
    if (table_.devices == nullptr) return "devices";
    if (table_.getProperties == nullptr) return "getProperties";
    if (table_.listen == nullptr) return "listen";
    if (table_.connect == nullptr) return "connect";
    if (table_.accept == nullptr) return "accept";
    if (table_.regMr == nullptr) return "regMr";
    if (table_.deregMr == nullptr) return "deregMr";
    if (table_.isend == nullptr) return "isend";
    if (table_.irecv == nullptr) return "irecv";
    if (table_.test == nullptr) return "test";
    if (table_.closeSend == nullptr) return "closeSend";
    if (table_.closeRecv == nullptr) return "closeRecv";
    if (table_.closeListen == nullptr) return "closeListen";
    if constexpr (F::hasContext) {
      if (table_.finalize == nullptr) return "finalize";
    }
    return nullptr;
  }

  abi::Result countDevices(int& count) override {
    count = 0;
    return table_.devices(&count);
  }

  abi::Result describe(int index, Device& device) override {
    abi::Properties<kVersion> properties{};
    const abi::Result result = table_.getProperties(index, &properties);
    if (result != abi::kSuccess) return result;
    device.index = index;
    device.name = orUnnamed(properties.name);
    device.speed = properties.speed;
    device.port = properties.port;
    device.takesHostMemory = (properties.pointers & abi::kPointerHost) != 0;
    if constexpr (kVersion >= 7) {
      device.needsKernels = properties.deviceType != abi::kDeviceTypeHost;
    }
    if constexpr (kVersion >= 9) device.mostBytes = properties.maxP2pBytes;
    return abi::kSuccess;
  }

  abi::Result listen(void* context, int device, void* handle, void*& comm) override {
    if constexpr (F::hasContext)
      return table_.listen(context, device, handle, &comm);
    else
      return table_.listen(device, handle, &comm);
  }

  // A handle for kernels is asked for by a pointer to one: none is.
  abi::Result connect(void* context, int device, void* handle, void*& comm) override {
    [[maybe_unused]] abi::DeviceHandle* forKernels = nullptr;
    if constexpr (F::hasContext) {
      return table_.connect(context, device, handle, &comm, &forKernels);
    } else if constexpr (kVersion == 10) {
      return table_.connect(device, &config_, handle, &comm, &forKernels);
    } else if constexpr (kVersion == 6) {
      return table_.connect(device, handle, &comm);
    } else {
      return table_.connect(device, handle, &comm, &forKernels);
    }
  }

  abi::Result accept(void* listening, void*& comm) override {
    [[maybe_unused]] abi::DeviceHandle* forKernels = nullptr;
    if constexpr (kVersion == 6)
      return table_.accept(listening, &comm);
    else
      return table_.accept(listening, &comm, &forKernels);
  }

  abi::Result registerMemory(void* comm, void* data, size_t bytes, void*& region) override {
    return table_.regMr(comm, data, static_cast<typename F::RegionBytes>(bytes), abi::kPointerHost,
                        &region);
  }

  abi::Result deregister(void* comm, void* region) override { return table_.deregMr(comm, region); }

  abi::Result send(void* comm, void* data, size_t bytes, void* region, void*& request) override {
    const auto length = static_cast<typename F::Bytes>(bytes);
    if constexpr (kVersion >= 10) {
      return table_.isend(comm, data, length, kTag, region, nullptr, &request);
    } else {
      return table_.isend(comm, data, length, kTag, region, &request);
    }
  }

  abi::Result receive(void* comm, void* data, size_t bytes, void* region, void*& request) override {
    auto length = static_cast<typename F::Bytes>(bytes);
    int tag = kTag;
    if constexpr (kVersion >= 10) {
      void* event = nullptr;
      return table_.irecv(comm, 1, &data, &length, &tag, &region, &event, &request);
    } else {
      return table_.irecv(comm, 1, &data, &length, &tag, &region, &request);
    }
  }

  abi::Result test(void* request, bool& isDone, size_t& bytes) override {
    int done = 0;
    int sizes[abi::kMostReceives] = {-1};
    const abi::Result result = table_.test(request, &done, sizes);
    isDone = done != 0;
    bytes = sizes[0] < 0 ? kUnknownBytes : static_cast<size_t>(sizes[0]);
    return result;
  }

  abi::Result close(Side side, void* comm) override {
    switch (side) {
      case Side::kSend: return table_.closeSend(comm);
      case Side::kReceive: return table_.closeRecv(comm);
      case Side::kListen: break;
    }
    return table_.closeListen(comm);
  }

 private:
  const Table& table_;
  abi::CommConfig config_;
};

template <int kVersion>
std::unique_ptr<Plugin> find(const device::Library& library) {
  const abi::Table<kVersion>* table = nullptr;
  if (library.find(fmt::format("ncclNetPlugin_v{}", kVersion).c_str(), table)) {
    return std::make_unique<PluginOf<kVersion>>(table);
  }
  if constexpr (kVersion > abi::kOldest) return find<kVersion - 1>(library);
  return nullptr;
}

}  // namespace

std::unique_ptr<Plugin> findPlugin(const device::Library& library) {
  return find<abi::kNewest>(library);
}

std::string textOf(abi::Result result) {
  static constexpr const char* kTexts[] = {"success",
                                           "error of a device",
                                           "error of the system (ncclSystemError)",
                                           "internal error (ncclInternalError)",
                                           "invalid argument (ncclInvalidArgument)",
                                           "invalid usage (ncclInvalidUsage)",
                                           "remote error (ncclRemoteError)",
                                           "still in progress (ncclInProgress)"};
  if (result < 0 || static_cast<size_t>(result) >= std::size(kTexts)) {
    return fmt::format("unknown error {}", result);
  }
  return kTexts[result];
}

base::Status failure(const Plugin& plugin, std::string_view what, abi::Result result) {
  return {base::Code::kSystemError, base::kErrTransportFailed,
          fmt::format("net plugin {}: {}: {}", plugin.name(), what, textOf(result))};
}

}  // namespace tutti::transports::net_plugin
