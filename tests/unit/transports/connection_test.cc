// Contexts and connections: who reaches whom, and what is refused. Both ends live in one process,
// which inproc and shm take alike.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "src/base/errors.h"
#include "transports/registry.h"
#include "transports/segment.h"
#include "transports/template/transport.h"

namespace tutti::transports {
namespace {

// A rank's end of one transport.
struct End {
  End(const Backend& backend, int rank, int size, uint8_t secret = 7) {
    std::byte token[32];
    std::memset(token, secret, sizeof(token));
    auto made = OwnSegment::create(rank, size, token);
    EXPECT_TRUE(made.isOk()) << made.status().toString();
    segment = made.take();
    ContextOptions options;
    options.rank = rank;
    options.segment = segment->view();
    options.segmentShare = segment->share();
    std::memcpy(options.token, token, sizeof(token));
    auto opened = backend.open(options);
    EXPECT_TRUE(opened.isOk()) << opened.status().toString();
    context = opened.take();
  }
  std::unique_ptr<OwnSegment> segment;
  std::unique_ptr<Context> context;
};

const Backend* find(std::string_view name) {
  for (const auto* backend : builtinBackends()) {
    if (backend->name() == name) return backend;
  }
  return nullptr;
}

class EveryTransport : public testing::TestWithParam<const char*> {
 protected:
  const Backend& backend() {
    const auto* found = find(GetParam());
    EXPECT_NE(found, nullptr);
    return *found;
  }
};

TEST_P(EveryTransport, IsTheOneAskedForAndSaysWhatItIs) {
  EXPECT_EQ(backend().name(), GetParam());
  EXPECT_FALSE(backend().describe().empty());
}

TEST_P(EveryTransport, ReachesWhatDescribesItselfAlike) {
  const End a(backend(), 0, 2);
  const End b(backend(), 1, 2);
  EXPECT_TRUE(a.context->canReach(b.context->descriptor()));
  EXPECT_TRUE(b.context->canReach(a.context->descriptor()));
  EXPECT_FALSE(a.context->canReach("another host"));
  EXPECT_FALSE(a.context->canReach(""));
}

TEST_P(EveryTransport, ConnectsToThePeersSegment) {
  const End a(backend(), 0, 2);
  const End b(backend(), 1, 2);
  auto connection = a.context->connect(1, b.context->address());
  ASSERT_TRUE(connection.isOk()) << connection.status().toString();
  EXPECT_EQ((*connection)->segment().header().rank, 1);
  (*connection)->segment().slot(0, 1, 2).head->bytes = 99;
  EXPECT_EQ(b.segment->view().slot(0, 1, 2).head->bytes, 99u);
}

TEST_P(EveryTransport, CopiesWhereItSaysSo) {
  const End a(backend(), 0, 2);
  const End b(backend(), 1, 2);
  auto connection = a.context->connect(1, b.context->address());
  ASSERT_TRUE(connection.isOk());
  if (!(*connection)->canCopy()) GTEST_SKIP() << "the system permits no such copies";
  std::vector<int> theirs = {1, 2, 3, 4};
  std::vector<int> mine(theirs.size());
  const auto address = reinterpret_cast<uint64_t>(theirs.data());
  ASSERT_TRUE((*connection)->readPeer(mine.data(), address, 16).isOk());
  EXPECT_EQ(mine, theirs);
  mine[2] = 30;
  ASSERT_TRUE((*connection)->writePeer(address, mine.data(), 16).isOk());
  EXPECT_EQ(theirs[2], 30);
}

TEST_P(EveryTransport, RefusesAMalformedAddress) {
  const End a(backend(), 0, 2);
  for (const char* address : {"", "x", "12x", "1 2 3", "-"}) {
    const auto connection = a.context->connect(1, address);
    ASSERT_FALSE(connection.isOk()) << '"' << address << '"';
    EXPECT_NE(connection.status().text().find("rank 1"), std::string::npos);
  }
}

INSTANTIATE_TEST_SUITE_P(Builtin, EveryTransport, testing::Values("inproc", "shm"));

TEST(Shm, RefusesASegmentOfAnotherCommunicator) {
  const End a(*find("shm"), 0, 2, 7);
  const End stranger(*find("shm"), 1, 2, 8);
  const auto connection = a.context->connect(1, stranger.context->address());
  ASSERT_FALSE(connection.isOk());
  EXPECT_EQ(connection.status().errorId(), base::kErrShmFailed);
  EXPECT_NE(connection.status().text().find("does not belong"), std::string::npos);
}

TEST(Shm, RefusesASegmentOfAnotherRankOrSize) {
  const End a(*find("shm"), 0, 2);
  const End other(*find("shm"), 1, 2);
  const End larger(*find("shm"), 1, 3);
  EXPECT_FALSE(a.context->connect(0, other.context->address()).isOk());
  EXPECT_FALSE(a.context->connect(1, larger.context->address()).isOk());
}

// What the peer's device says of a piece of its memory.
struct SharedFile {
  explicit SharedFile(size_t bytes) : length(bytes) {
    fd = memfd_create("test", MFD_CLOEXEC);
    EXPECT_EQ(ftruncate(fd, static_cast<off_t>(bytes)), 0);
    memory = static_cast<char*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  }
  ~SharedFile() {
    munmap(memory, length);
    close(fd);
  }
  device::ShareHandle handle(uint64_t offset) const {
    struct stat info {};
    EXPECT_EQ(fstat(fd, &info), 0);
    return {info.st_ino, fd, getpid(), offset, length};
  }
  int fd = -1;
  size_t length;
  char* memory;
};

class ShmMapping : public testing::Test {
 protected:
  ShmMapping() {
    auto made = a_.context->connect(1, b_.context->address());
    EXPECT_TRUE(made.isOk());
    connection_ = made.take();
  }
  End a_{*find("shm"), 0, 2};
  End b_{*find("shm"), 1, 2};
  std::unique_ptr<Connection> connection_;
};

TEST_F(ShmMapping, MapsMemoryAtItsOffset) {
  const SharedFile file(8192);
  file.memory[5000] = 'x';
  auto* seen = connection_->mapPeer(0, file.handle(5000), 100);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(static_cast<char>(*seen), 'x');
  EXPECT_EQ(connection_->mapPeer(0, file.handle(4999), 100), seen - 1) << "the mapping is kept";
}

TEST_F(ShmMapping, MapsNothingOutsideTheFileOrNotShared) {
  const SharedFile file(4096);
  EXPECT_EQ(connection_->mapPeer(0, file.handle(4000), 100), nullptr);
  EXPECT_EQ(connection_->mapPeer(0, {}, 100), nullptr) << "inode 0: not shareable";
}

TEST_F(ShmMapping, KeepsABoundedNumberOfFiles) {
  struct Count {
    static size_t maps() {
      size_t lines = 0;
      FILE* maps = fopen("/proc/self/maps", "r");
      for (int c = getc(maps); c != EOF; c = getc(maps)) lines += c == '\n' ? 1 : 0;
      fclose(maps);
      return lines;
    }
  };
  const size_t before = Count::maps();
  for (int i = 0; i < 300; ++i) {
    const SharedFile file(4096);
    auto* seen = connection_->mapPeer(0, file.handle(0), 4096);
    ASSERT_NE(seen, nullptr);
    *reinterpret_cast<int*>(seen) = i;
    EXPECT_EQ(*reinterpret_cast<int*>(file.memory), i);
  }
  EXPECT_LT(Count::maps(), before + 100);
}

TEST(Template, IsNotRegisteredAndReachesNobody) {
  EXPECT_EQ(find("template"), nullptr);
  const End a(*skeleton::backend(), 0, 2);
  const End b(*skeleton::backend(), 1, 2);
  EXPECT_TRUE(a.context->canReach(b.context->descriptor()));
  const auto connection = a.context->connect(1, b.context->address());
  ASSERT_FALSE(connection.isOk());
  EXPECT_EQ(connection.status().errorId(), base::kErrTransportFailed);
}

}  // namespace
}  // namespace tutti::transports
