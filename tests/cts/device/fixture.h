// The devices under test, and buffers in their memory.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "src/device/registry.h"
#include "tests/cts/device/conformance.h"

namespace tutti::cts {

struct Candidate {
  std::string name;     // "host", "opencl:0"
  std::string backend;  // "host", "opencl"
};

// Every device of every backend, by name.
std::vector<Candidate> candidates();

// Prints a candidate as its name.
void PrintTo(const Candidate& candidate, std::ostream* out);

// "opencl:0" -> "opencl_0", which GoogleTest accepts.
std::string testName(const ::testing::TestParamInfo<Candidate>& info);

// A test of one device.
class DeviceTest : public ::testing::TestWithParam<Candidate> {
 protected:
  void SetUp() override;

  // Why the device need not support `feature`; empty: it must.
  std::string whyUnsupported(std::string_view feature) const;

  device::Device& device() { return *device_; }
  device::Memory& memory() { return device_->memory(); }
  device::WorkQueue& queue() { return device_->queue(); }
  device::StreamOrder& order() { return device_->order(); }

  std::shared_ptr<device::Device> device_;
};

// Bytes in device memory, released at the end.
class Buffer {
 public:
  Buffer(device::Device& device, size_t bytes);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  uint8_t* data() const { return static_cast<uint8_t*>(pointer_); }
  size_t size() const { return bytes_; }

  // Through the device's queue: its memory need not be the host's.
  void write(const std::vector<uint8_t>& bytes, size_t offset = 0);
  std::vector<uint8_t> read() const;

 private:
  device::Device& device_;
  void* pointer_ = nullptr;
  size_t bytes_;
};

// Bytes that differ from their neighbours and with `seed`.
std::vector<uint8_t> pattern(size_t bytes, unsigned seed);

}  // namespace tutti::cts

#define TUTTI_CTS_REQUIRE(feature)                                                 \
  do {                                                                             \
    if (const std::string why = whyUnsupported(feature); !why.empty()) {           \
      GTEST_SKIP() << GetParam().backend << " lacks " << (feature) << ": " << why; \
    }                                                                              \
  } while (false)
