#include "tests/cts/device/fixture.h"

#include <algorithm>
#include <ostream>

namespace tutti::cts {

std::vector<Candidate> candidates() {
  std::vector<Candidate> found;
  for (const device::Backend* backend : device::builtinBackends()) {
    std::string reason;
    for (const auto& description : backend->probe(reason)) {
      found.push_back({description.name, std::string(backend->name())});
    }
  }
  return found;
}

void PrintTo(const Candidate& candidate, std::ostream* out) { *out << candidate.name; }

std::string testName(const ::testing::TestParamInfo<Candidate>& info) {
  std::string name = info.param.name;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return !isalnum(c); }, '_');
  return name;
}

void DeviceTest::SetUp() {
  auto opened = device::openDevice(GetParam().name, device::builtinBackends());
  ASSERT_TRUE(opened.isOk()) << opened.status().toString();
  device_ = *opened;
}

std::string DeviceTest::whyUnsupported(std::string_view feature) const {
  for (const BackendConformance& entry : conformanceTable()) {
    if (entry.backend != GetParam().backend) continue;
    for (const Unsupported& lacking : entry.conformance().unsupported) {
      if (lacking.feature == feature) return std::string(lacking.why);
    }
  }
  return {};
}

Buffer::Buffer(device::Device& device, size_t bytes) : device_(device), bytes_(bytes) {
  auto allocated = device.memory().allocate(bytes);
  EXPECT_TRUE(allocated.isOk()) << allocated.status().toString();
  if (allocated.isOk()) pointer_ = *allocated;
}

Buffer::~Buffer() {
  const auto released = device_.memory().release(pointer_);
  EXPECT_TRUE(released.isOk()) << released.toString();
}

void Buffer::write(const std::vector<uint8_t>& bytes, size_t offset) {
  ASSERT_LE(offset + bytes.size(), bytes_);
  device_.queue().copy(data() + offset, bytes.data(), bytes.size(), false);
}

std::vector<uint8_t> Buffer::read() const {
  std::vector<uint8_t> bytes(bytes_);
  device_.queue().copy(bytes.data(), data(), bytes_, false);
  return bytes;
}

std::vector<uint8_t> pattern(size_t bytes, unsigned seed) {
  std::vector<uint8_t> result(bytes);
  uint32_t state = seed * 2654435761u + 1;
  for (uint8_t& byte : result) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<uint8_t>(state >> 24);
  }
  return result;
}

}  // namespace tutti::cts
