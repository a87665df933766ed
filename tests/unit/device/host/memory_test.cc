#include "src/device/host/memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "src/base/fd.h"
#include "src/device/host/device.h"

namespace tutti::device::host {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

char* allocate(HostMemory& memory, size_t bytes) {
  auto allocated = memory.allocate(bytes);
  EXPECT_TRUE(allocated.isOk()) << allocated.status().toString();
  return allocated.isOk() ? static_cast<char*>(*allocated) : nullptr;
}

void release(HostMemory& memory, void* pointer) {
  const auto released = memory.release(pointer);
  EXPECT_TRUE(released.isOk()) << released.toString();
}

size_t openDescriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

// Opens the file behind `handle` as a peer does.
base::UniqueFd openAsPeer(const ShareHandle& handle) {
  const std::string path =
      "/proc/" + std::to_string(handle.pid) + "/fd/" + std::to_string(handle.fd);
  return base::UniqueFd(open(path.c_str(), O_RDWR | O_CLOEXEC));
}

// Runs `body` in a forked child; it returns the child's exit status, 0 for success.
template <typename Body>
int inChild(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

TEST(HostMemory, ThousandsOfSmallOnesTakeFewDescriptors) {
  HostMemory memory;
  const size_t before = openDescriptors();
  std::vector<char*> pointers;
  for (size_t i = 0; i < 5000; ++i) {
    pointers.push_back(allocate(memory, 1 + i % 1000));
    std::memset(pointers.back(), static_cast<int>(i % 251), 1 + i % 1000);
  }
  EXPECT_LE(openDescriptors(), before + 2);
  for (size_t i = 0; i < pointers.size(); ++i) {
    for (const size_t at : {size_t{0}, i % 1000}) {
      ASSERT_EQ(pointers[i][at], static_cast<char>(i % 251)) << i;
    }
  }
  for (char* pointer : pointers) release(memory, pointer);
  EXPECT_LE(openDescriptors(), before + 1);  // one empty arena is kept
}

TEST(HostMemory, FreedPartsAreUsedAgain) {
  HostMemory memory;
  std::mt19937 random(1);
  std::vector<std::pair<char*, size_t>> live;
  for (int step = 0; step < 20'000; ++step) {
    if (live.size() < 200 && random() % 2 == 0) {
      const size_t bytes = 1 + random() % (64 << 10);
      live.emplace_back(allocate(memory, bytes), bytes);
      std::memset(live.back().first, 0x11, 16 < bytes ? 16 : bytes);
    } else if (!live.empty()) {
      const size_t victim = random() % live.size();
      release(memory, live[victim].first);
      live[victim] = live.back();
      live.pop_back();
    }
  }
  std::set<uint64_t> files;
  for (const auto& [pointer, bytes] : live) files.insert(memory.share(pointer, bytes).inode);
  // 200 allocations of 32 KiB in the mean fill 1.6 arenas; fragmentation may cost as much again.
  EXPECT_LE(files.size(), 5u);
  for (const auto& [pointer, bytes] : live) release(memory, pointer);
}

TEST(HostMemory, MergesHoles) {
  HostMemory memory;
  char* first = allocate(memory, 100'000);
  char* second = allocate(memory, 100'000);
  char* third = allocate(memory, 100'000);
  release(memory, first);
  release(memory, third);
  release(memory, second);
  char* whole = allocate(memory, 250'000);
  EXPECT_EQ(whole, first);
  release(memory, whole);
}

TEST(HostMemory, LargeOneHasItsOwnFile) {
  HostMemory memory;
  char* pointer = allocate(memory, kMiB + 1);
  const ShareHandle handle = memory.share(pointer + 5, kMiB - 5);
  EXPECT_NE(handle.inode, 0u);
  EXPECT_EQ(handle.offset, 5u);
  EXPECT_EQ(handle.length, kMiB + 4096);
  release(memory, pointer);
  EXPECT_EQ(memory.share(pointer, 1).inode, 0u);
}

TEST(HostMemory, ReleaseFreesPagesThatAPeerStillMaps) {
  HostMemory memory;
  char* pointer = allocate(memory, 8 * kMiB);
  std::memset(pointer, 1, 8 * kMiB);
  const base::UniqueFd peer = openAsPeer(memory.share(pointer, 1));
  ASSERT_TRUE(peer.isOpen());
  auto* mapped = static_cast<char*>(mmap(nullptr, 8 * kMiB, PROT_READ, MAP_SHARED, peer.get(), 0));
  ASSERT_NE(static_cast<void*>(mapped), MAP_FAILED);
  EXPECT_EQ(mapped[kMiB], 1);
  struct stat info;
  ASSERT_EQ(fstat(peer.get(), &info), 0);
  EXPECT_EQ(info.st_blocks * 512, static_cast<blkcnt_t>(8 * kMiB));
  release(memory, pointer);
  ASSERT_EQ(fstat(peer.get(), &info), 0);
  EXPECT_EQ(info.st_blocks, 0);
  EXPECT_EQ(mapped[kMiB], 0);  // zeros, not a SIGBUS
  munmap(mapped, 8 * kMiB);
}

TEST(HostMemory, PeerCannotShrinkTheFile) {
  HostMemory memory;
  char* pointer = allocate(memory, kMiB);
  const base::UniqueFd peer = openAsPeer(memory.share(pointer, 1));
  EXPECT_NE(ftruncate(peer.get(), 0), 0);
  release(memory, pointer);
}

TEST(HostMemory, FilesStartEmpty) {
  HostMemory memory;
  char* pointer = allocate(memory, 64 * kMiB);
  const base::UniqueFd peer = openAsPeer(memory.share(pointer, 1));
  struct stat info;
  ASSERT_EQ(fstat(peer.get(), &info), 0);
  EXPECT_EQ(info.st_blocks, 0);  // pages are taken when they are touched
  release(memory, pointer);
}

TEST(HostMemory, FallsBackToPrivateMemoryWithoutDescriptors) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the undefined behaviour sanitizer, part of this build, needs a descriptor";
#endif
  EXPECT_EQ(inChild([] {
              const rlimit few{.rlim_cur = 3, .rlim_max = 3};
              if (setrlimit(RLIMIT_NOFILE, &few) != 0) return 1;
              HostMemory memory;
              for (const size_t bytes : {size_t{1000}, kMiB}) {
                auto allocated = memory.allocate(bytes);
                if (!allocated.isOk()) return 2;
                std::memset(*allocated, 1, bytes);
                if (memory.share(*allocated, bytes).inode != 0) return 3;
                if (!memory.release(*allocated).isOk()) return 4;
              }
              return 0;
            }),
            0);
}

TEST(HostMemory, LeavesDescriptorsToTheProgram) {
  EXPECT_EQ(inChild([] {
              const rlimit some{.rlim_cur = 100, .rlim_max = 100};
              if (setrlimit(RLIMIT_NOFILE, &some) != 0) return 1;
              HostMemory memory;
              bool isLastShared = true;
              for (int i = 0; i < 200; ++i) {
                auto allocated = memory.allocate(kMiB);
                if (!allocated.isOk()) return 2;
                isLastShared = memory.share(*allocated, 1).inode != 0;
              }
              if (isLastShared) return 3;
              const int fd = open("/dev/null", O_RDONLY);
              return fd >= 0 && fd <= 80 ? 0 : 4;
            }),
            0);
}

TEST(HostMemory, FileSizeLimitIsNoSignal) {
  EXPECT_EQ(inChild([] {
              const rlimit small{.rlim_cur = 4096, .rlim_max = 4096};
              if (setrlimit(RLIMIT_FSIZE, &small) != 0) return 1;
              HostMemory memory;
              auto allocated = memory.allocate(kMiB);
              if (!allocated.isOk()) return 2;
              return memory.share(*allocated, 1).inode == 0 ? 0 : 3;
            }),
            0);
}

TEST(HostMemory, ForkedChildNeitherFreesNorTakesTheParentsMemory) {
  HostMemory memory;
  char* large = allocate(memory, kMiB);
  char* small = allocate(memory, 1000);
  std::memset(large, 7, kMiB);
  std::memset(small, 7, 1000);
  const ShareHandle parents = memory.share(small, 1000);
  EXPECT_EQ(inChild([&] {
              if (memory.share(large, 1).pid != getpid()) return 1;
              if (!openAsPeer(memory.share(large, 1)).isOpen()) return 2;
              auto own = memory.allocate(1000);
              if (!own.isOk()) return 3;
              if (memory.share(*own, 1).inode == parents.inode) return 4;
              if (!memory.release(large).isOk() || !memory.release(small).isOk()) return 5;
              auto again = memory.allocate(1000);
              return memory.share(*again, 1).inode == parents.inode ? 6 : 0;
            }),
            0);
  EXPECT_EQ(large[kMiB - 1], 7);
  EXPECT_EQ(small[999], 7);
  release(memory, large);
  release(memory, small);
}

TEST(HostMemory, SharesWhileOthersAllocate) {
  HostMemory memory;
  char* mine = allocate(memory, kMiB);
  const uint64_t inode = memory.share(mine, kMiB).inode;
  std::atomic<bool> isDone{false};
  std::thread other([&] {
    for (int i = 0; i < 300; ++i) {
      release(memory, allocate(memory, i % 2 == 0 ? 1000 : kMiB));
    }
    isDone = true;
  });
  do {
    ASSERT_EQ(memory.share(mine + 10, 100).inode, inode);
  } while (!isDone);
  other.join();
  release(memory, mine);
}

TEST(HostBackend, IsTheOneHostDevice) {
  std::string reason;
  const auto devices = backend()->probe(reason);
  ASSERT_EQ(devices.size(), 1u);
  EXPECT_TRUE(reason.empty());
  EXPECT_EQ(devices[0].name, "host");
  EXPECT_NE(devices[0].model.find("core"), std::string::npos) << devices[0].model;
  EXPECT_FALSE(backend()->open(1).isOk());
  EXPECT_FALSE(backend()->open(-1).isOk());
  auto opened = backend()->open(0);
  ASSERT_TRUE(opened.isOk());
  EXPECT_EQ((*opened)->describe().domain, devices[0].domain);
}

}  // namespace
}  // namespace tutti::device::host
