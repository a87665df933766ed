// What Tutti needs of an accelerator, or of host memory. No vendor is named here.
//
// A backend (one folder below src/device) offers devices; a rank uses one. All interfaces are
// thread safe unless a method says otherwise.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "src/device/reduce.h"

namespace tutti::device {

// What a device is. A value; travels between ranks as text.
struct Description {
  std::string name;          // "host", "opencl:0": unique in the process, accepted by TUTTI_DEVICE
  std::string model;         // for people: "Intel Xeon, 2 cores"
  std::string pci;           // "0000:17:00.0", empty if none
  std::string domain;        // ranks with equal domains may map each other's memory; empty: none
  int index = 0;             // among the devices of its backend
  bool isExclusive = false;  // two ranks of one communicator can not both use it
  uint64_t memoryBytes = 0;
};

// Where a piece of shareable memory lives, as another process of this host can open it. A value.
struct ShareHandle {
  uint64_t inode = 0;   // identity of the file behind it; 0: not shareable
  int32_t fd = -1;      // descriptor in the owner's process
  int32_t pid = 0;      // the owner, in the pid namespace that peers share
  uint64_t offset = 0;  // of the address in question within the file
  uint64_t length = 0;  // of the whole file
};

// Memory of the device.
class Memory {
 public:
  virtual ~Memory() = default;
  // At least 64-byte aligned; shareable with peers on this host where the system permits. Zero
  // bytes give null.
  virtual base::Result<void*> allocate(size_t bytes) = 0;
  // kInvalidArgument for a pointer that allocate did not give; null is allowed. Its pages are freed
  // at once, also where a peer still maps them; the peer then reads zeros.
  virtual base::Status release(void* pointer) = 0;
  // How a peer's process can open the memory at `pointer`; inode 0 if it cannot. Any address inside
  // an allocation; lock free after the first call for an allocation would be welcome, not required.
  virtual ShareHandle share(const void* pointer, size_t bytes) const = 0;
};

// Work on memory that the device can address. Completes before it returns.
class WorkQueue {
 public:
  virtual ~WorkQueue() = default;
  virtual void copy(void* destination, const void* source, size_t bytes, bool streaming) = 0;
  virtual void reduce(const ReduceArgs& args) = 0;
};

// Order against the user's streams. A stream is what tuttiStream_t holds. Every call that takes one
// refuses a foreign or destroyed stream with kInvalidArgument.
class StreamOrder {
 public:
  virtual ~StreamOrder() = default;
  virtual base::Result<void*> createStream() = 0;
  // Waits for its work, then frees it. kInvalidArgument for a foreign pointer.
  virtual base::Status destroyStream(void* stream) = 0;
  virtual base::Status synchronize(void* stream) = 0;
  virtual base::Result<bool> isIdle(void* stream) = 0;

  // Sets *flag to 1 once the work enqueued so far is done, then calls wake(wakeContext) if not
  // null. Returns at once. The flag outlives that moment. On an idle stream both may happen in the
  // caller's thread before this returns: `wake` takes no lock that callers hold.
  virtual base::Status after(void* stream, std::atomic<uint32_t>* flag, void (*wake)(void*),
                             void* wakeContext) = 0;
  // Work enqueued later waits until *flag becomes non-zero; whoever sets it calls notify(flag).
  // Returns at once.
  virtual base::Status hold(void* stream, std::shared_ptr<std::atomic<uint32_t>> flag) = 0;
  virtual void notify(std::atomic<uint32_t>* flag) = 0;
  // Copies in stream order.
  virtual base::Status enqueueCopy(void* stream, void* destination, const void* source,
                                   size_t bytes) = 0;
};

// A device that was opened. The parts live as long as the device.
class Device {
 public:
  virtual ~Device() = default;
  virtual const Description& describe() const = 0;
  virtual Memory& memory() = 0;
  virtual WorkQueue& queue() = 0;
  virtual StreamOrder& order() = 0;
};

}  // namespace tutti::device
