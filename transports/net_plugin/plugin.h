// One plugin, whatever its version: the calls, and what goes wrong in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "src/base/status.h"
#include "src/device/library.h"
#include "transports/net_plugin/abi.h"

namespace tutti::transports::net_plugin {

inline constexpr size_t kUnknownBytes = SIZE_MAX;

enum class Side { kSend, kReceive, kListen };

// Calls of communications. None blocks, as plugins promise; what they make is theirs. Where a call
// succeeds and yet sets its result to null, it is to be made again.
class Calls {
 public:
  virtual ~Calls() = default;
  virtual abi::Result listen(void* context, int device, void* handle, void*& comm) = 0;
  virtual abi::Result connect(void* context, int device, void* handle, void*& comm) = 0;
  virtual abi::Result accept(void* listening, void*& comm) = 0;
  // Host memory, for one side of one communication.
  virtual abi::Result registerMemory(void* comm, void* data, size_t bytes, void*& region) = 0;
  virtual abi::Result deregister(void* comm, void* region) = 0;
  virtual abi::Result send(void* comm, void* data, size_t bytes, void* region, void*& request) = 0;
  virtual abi::Result receive(void* comm, void* data, size_t bytes, void* region,
                              void*& request) = 0;
  // `bytes` of what was received once it is done, or kUnknownBytes: some plugins do not say.
  virtual abi::Result test(void* request, bool& isDone, size_t& bytes) = 0;
  virtual abi::Result close(Side side, void* comm) = 0;
};

// A network device as its plugin describes it.
struct Device {
  int index = 0;
  std::string name;
  int speed = 0;  // Mb/s
  int port = 0;
  bool takesHostMemory = false;
  bool needsKernels = false;    // it leaves part of the work to kernels of a device
  size_t mostBytes = SIZE_MAX;  // in one message
};

class Plugin : public Calls {
 public:
  virtual int version() const = 0;
  // As its table says at the moment: some change it in init.
  virtual std::string name() const = 0;
  // Makes the plugin look for devices. From version 11 on for each communicator, which gets its own
  // `context`; before that once per process, and `context` stays null.
  virtual abi::Result init(uint64_t id, void*& context) = 0;
  virtual abi::Result finalize(void* context) = 0;
  // The function that its table lacks; null where nothing is missing. Once init was called: some
  // plugins fill the table only then.
  virtual const char* missing() const = 0;
  virtual abi::Result countDevices(int& count) = 0;
  virtual abi::Result describe(int index, Device& device) = 0;

  bool hasContexts() const { return version() >= 11; }
};

// The newest of the versions in `library` that is known here; null: there is none.
std::unique_ptr<Plugin> findPlugin(const device::Library& library);

// "remote error (ncclRemoteError)"
std::string textOf(abi::Result result);

// "net plugin <name>: <what>: <words for the result>" (kErrTransportFailed).
base::Status failure(const Plugin& plugin, std::string_view what, abi::Result result);

}  // namespace tutti::transports::net_plugin
