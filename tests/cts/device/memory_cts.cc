#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "tests/cts/device/fixture.h"

namespace tutti::cts {
namespace {

class DeviceMemory : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(, DeviceMemory, ::testing::ValuesIn(candidates()), testName);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DeviceMemory);

constexpr size_t kSizes[] = {1, 63, 4096, 100'000, size_t{256} << 10, (size_t{1} << 20) + 3};

TEST_P(DeviceMemory, DescribesItself) {
  const device::Description& description = device().describe();
  EXPECT_EQ(description.name, GetParam().name);
  EXPECT_FALSE(description.model.empty());
  EXPECT_GT(description.memoryBytes, 0u);
  EXPECT_GE(description.index, 0);
}

TEST_P(DeviceMemory, IsOpenedOncePerProcess) {
  auto again = device::openDevice(GetParam().name, device::builtinBackends());
  ASSERT_TRUE(again.isOk());
  EXPECT_EQ(again->get(), device_.get());
}

TEST_P(DeviceMemory, IsAlignedAndSeparate) {
  std::vector<std::pair<uintptr_t, uintptr_t>> ranges;
  std::vector<std::unique_ptr<Buffer>> buffers;
  for (int round = 0; round < 10; ++round) {
    for (const size_t bytes : kSizes) {
      buffers.push_back(std::make_unique<Buffer>(device(), bytes));
      const auto start = reinterpret_cast<uintptr_t>(buffers.back()->data());
      ASSERT_NE(start, 0u);
      EXPECT_EQ(start % 64, 0u) << bytes;
      ranges.emplace_back(start, start + bytes);
    }
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) EXPECT_LE(ranges[i - 1].second, ranges[i].first);
}

TEST_P(DeviceMemory, HoldsWhatIsWritten) {
  for (const size_t bytes : kSizes) {
    Buffer buffer(device(), bytes);
    const auto expected = pattern(bytes, 7);
    buffer.write(expected);
    EXPECT_EQ(buffer.read(), expected) << bytes;
  }
}

TEST_P(DeviceMemory, ZeroBytesAreNull) {
  auto allocated = memory().allocate(0);
  ASSERT_TRUE(allocated.isOk());
  EXPECT_EQ(*allocated, nullptr);
  EXPECT_TRUE(memory().release(nullptr).isOk());
}

TEST_P(DeviceMemory, RefusesForeignPointers) {
  int local = 0;
  EXPECT_EQ(memory().release(&local).code(), base::Code::kInvalidArgument);
  auto allocated = memory().allocate(1000);
  ASSERT_TRUE(allocated.isOk());
  EXPECT_EQ(memory().release(static_cast<char*>(*allocated) + 64).code(),
            base::Code::kInvalidArgument);
  EXPECT_TRUE(memory().release(*allocated).isOk());
  EXPECT_EQ(memory().release(*allocated).code(), base::Code::kInvalidArgument);
}

TEST_P(DeviceMemory, RefusesWhatCanNeverFit) {
  for (const size_t bytes : {size_t{1} << 50, SIZE_MAX - 10}) {
    auto allocated = memory().allocate(bytes);
    EXPECT_FALSE(allocated.isOk()) << bytes;
    EXPECT_FALSE(allocated.status().text().empty());
  }
}

TEST_P(DeviceMemory, ServesManyThreads) {
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (unsigned round = 0; round < 20; ++round) {
        Buffer buffer(device(), kSizes[(round + t) % std::size(kSizes)]);
        const auto expected = pattern(buffer.size(), t + round);
        buffer.write(expected);
        EXPECT_EQ(buffer.read(), expected);
        memory().share(buffer.data(), buffer.size());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// What a peer does: open, map, add one to each byte. Only system calls: this runs after a fork.
int changeThrough(const char* path, const device::ShareHandle& handle, size_t bytes) {
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0) return 1;
  if (info.st_ino != handle.inode) return 2;
  if (static_cast<uint64_t>(info.st_size) != handle.length) return 3;
  void* base = mmap(nullptr, handle.length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) return 4;
  uint8_t* data = static_cast<uint8_t*>(base) + handle.offset;
  for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<uint8_t>(data[i] + 1);
  return 0;
}

TEST_P(DeviceMemory, IsSharedWithAnotherProcess) {
  TUTTI_CTS_REQUIRE(kShare);
  for (const size_t bytes : kSizes) {
    Buffer buffer(device(), bytes);
    auto expected = pattern(bytes, 3);
    buffer.write(expected);
    const device::ShareHandle handle = memory().share(buffer.data(), bytes);
    ASSERT_NE(handle.inode, 0u) << bytes;
    EXPECT_EQ(handle.pid, getpid());
    const std::string path =
        "/proc/" + std::to_string(handle.pid) + "/fd/" + std::to_string(handle.fd);
    const pid_t child = fork();
    if (child == 0) _exit(changeThrough(path.c_str(), handle, bytes));
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0) << bytes;
    for (uint8_t& byte : expected) byte = static_cast<uint8_t>(byte + 1);
    EXPECT_EQ(buffer.read(), expected) << bytes;
  }
}

TEST_P(DeviceMemory, SharesOnlyWithinAnAllocation) {
  TUTTI_CTS_REQUIRE(kShare);
  for (const size_t bytes : kSizes) {
    Buffer buffer(device(), bytes);
    const auto whole = memory().share(buffer.data(), bytes);
    EXPECT_NE(whole.inode, 0u);
    EXPECT_LE(whole.offset + bytes, whole.length);
    const auto last = memory().share(buffer.data() + bytes - 1, 1);
    EXPECT_EQ(last.inode, whole.inode);
    EXPECT_EQ(last.offset, whole.offset + bytes - 1);
    EXPECT_EQ(memory().share(buffer.data(), bytes + 1).inode, 0u);
    EXPECT_EQ(memory().share(buffer.data() + bytes, 1).inode, 0u);
    EXPECT_EQ(memory().share(buffer.data(), SIZE_MAX).inode, 0u);
  }
  int local = 0;
  EXPECT_EQ(memory().share(&local, sizeof(local)).inode, 0u);
  EXPECT_EQ(memory().share(nullptr, 1).inode, 0u);
  EXPECT_EQ(memory().share(reinterpret_cast<void*>(UINTPTR_MAX), 1).inode, 0u);
}

}  // namespace
}  // namespace tutti::cts
