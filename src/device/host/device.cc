#include "src/device/host/device.h"

#include <fmt/format.h>

#include "src/base/errors.h"
#include "src/device/host/kernels.h"
#include "src/device/host/memory.h"
#include "src/device/host/streams.h"

namespace tutti::device::host {

namespace {

class HostQueue final : public WorkQueue {
 public:
  void copy(void* destination, const void* source, size_t bytes, bool streaming) override {
    host::copy(destination, source, bytes, streaming);
  }
  void reduce(const ReduceArgs& args) override { host::reduce(args); }
};

class HostDevice final : public Device {
 public:
  const Description& describe() const override { return description_; }
  Memory& memory() override { return memory_; }
  WorkQueue& queue() override { return queue_; }
  StreamOrder& order() override { return order_; }

 private:
  const Description description_ = describeHost();
  HostMemory memory_;
  HostQueue queue_;
  HostStreams order_;
};

class HostBackend final : public Backend {
 public:
  std::string_view name() const override { return "host"; }

  std::vector<Description> probe(std::string& reason) const override {
    reason.clear();
    return {describeHost()};
  }

  base::Result<std::shared_ptr<Device>> open(int index) const override {
    if (index != 0) {
      return base::Status(base::Code::kInvalidArgument, base::kErrUnknownDevice,
                          fmt::format("there is one host device, number 0, not {}", index));
    }
    static const auto* const kDevice =
        new std::shared_ptr<Device>(std::make_shared<HostDevice>());  // see device.h
    return *kDevice;
  }
};

}  // namespace

const Backend* backend() {
  static const HostBackend kBackend;
  return &kBackend;
}

}  // namespace tutti::device::host
