#include "src/device/template/device.h"

#include <fmt/format.h>

#include <utility>

#include "src/base/errors.h"
#include "src/device/template/driver.h"

namespace tutti::device::skeleton {

namespace {

using base::Code;
using base::Status;

Status unsupported(std::string_view what) {
  return {Code::kInvalidUsage, base::kErrUnsupported,
          fmt::format("the example device has no {}", what)};
}

class ExampleMemory final : public Memory {
 public:
  explicit ExampleMemory(const Driver& driver) : driver_(driver) {}

  base::Result<void*> allocate(size_t bytes) override {
    void* pointer = nullptr;
    if (bytes == 0) return pointer;
    if (const int error = driver_.allocate(&pointer, bytes); error != 0) {
      return Status(Code::kDeviceError, base::kErrOutOfMemory,
                    fmt::format("cannot allocate {} bytes: driver error {}", bytes, error));
    }
    return pointer;
  }

  // A real backend remembers what it gave out, and refuses anything else.
  Status release(void* pointer) override {
    if (const int error = driver_.release(pointer); error != 0) {
      return {Code::kInvalidArgument, base::kErrInvalidArgument,
              fmt::format("the driver does not know {} (error {})", pointer, error)};
    }
    return {};
  }

  ShareHandle share(const void*, size_t) const override { return {}; }

 private:
  const Driver& driver_;
};

class ExampleQueue final : public WorkQueue {
 public:
  explicit ExampleQueue(const Driver& driver) : driver_(driver) {}

  void copy(void* destination, const void* source, size_t bytes, bool) override {
    driver_.copy(destination, source, bytes);
  }
  // Launch the kernel of src/device/kernels and wait for it.
  void reduce(const ReduceArgs&) override {}

 private:
  const Driver& driver_;
};

// A vendor's stream is the user's own handle: nothing is wrapped.
class ExampleOrder final : public StreamOrder {
 public:
  base::Result<void*> createStream() override { return unsupported("streams"); }
  Status destroyStream(void*) override { return unsupported("streams"); }
  Status synchronize(void*) override { return unsupported("streams"); }
  base::Result<bool> isIdle(void*) override { return unsupported("streams"); }
  // Best first: a stream memory operation, a host-signalled event, a host callback.
  Status after(void*, std::atomic<uint32_t>*, void (*)(void*), void*) override {
    return unsupported("streams");
  }
  Status hold(void*, std::shared_ptr<std::atomic<uint32_t>>) override {
    return unsupported("streams");
  }
  void notify(std::atomic<uint32_t>* flag) override { flag->notify_all(); }
  Status enqueueCopy(void*, void*, const void*, size_t) override { return unsupported("streams"); }
};

class ExampleDevice final : public Device {
 public:
  ExampleDevice(const Driver& driver, Description description)
      : description_(std::move(description)), memory_(driver), queue_(driver) {}

  const Description& describe() const override { return description_; }
  Memory& memory() override { return memory_; }
  WorkQueue& queue() override { return queue_; }
  StreamOrder& order() override { return order_; }

 private:
  const Description description_;
  ExampleMemory memory_;
  ExampleQueue queue_;
  ExampleOrder order_;
};

class ExampleBackend final : public Backend {
 public:
  std::string_view name() const override { return "example"; }

  std::vector<Description> probe(std::string& reason) const override {
    return probeDevices(reason);
  }

  // A real backend keeps a weak pointer to each device that is open, so that ranks share it.
  base::Result<std::shared_ptr<Device>> open(int index) const override {
    std::string reason;
    const auto devices = probeDevices(reason);
    if (index < 0 || static_cast<size_t>(index) >= devices.size()) {
      return Status(Code::kDeviceError, base::kErrNoDevice,
                    devices.empty() ? reason : fmt::format("there is no device {}", index));
    }
    return std::shared_ptr<Device>(
        std::make_shared<ExampleDevice>(*driver(), devices[static_cast<size_t>(index)]));
  }
};

}  // namespace

const Backend* backend() {
  static const ExampleBackend kBackend;
  return &kBackend;
}

}  // namespace tutti::device::skeleton
