// The small things: hashes, checksums, random, descriptors, host, status.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include <gtest/gtest.h>

#include "src/base/clock.h"
#include "src/base/errors.h"
#include "src/base/fd.h"
#include "src/base/hash.h"
#include "src/base/host.h"
#include "src/base/random.h"
#include "src/base/status.h"
#include "src/base/words.h"

namespace tutti::base {
namespace {

std::span<const std::byte> bytesOf(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(Words, TheNearestIsMeant) {
  constexpr std::string_view kKnown[] = {"switch", "rank", "nic", "latency_us"};
  EXPECT_EQ(nearestWord("swich", kKnown), "switch");
  EXPECT_EQ(nearestWord("rnk", kKnown), "rank");
  EXPECT_EQ(nearestWord("latency", kKnown), "latency_us") << "a beginning";
  EXPECT_EQ(nearestWord("latencyus", kKnown), "latency_us");
  EXPECT_EQ(nearestWord("ux", kKnown), "");
  EXPECT_EQ(nearestWord("unlike", kKnown), "");
  EXPECT_EQ(nearestWord("", kKnown), "");
  EXPECT_EQ(nearestWord(std::string(1'000'000, 'x'), kKnown), "");
  EXPECT_EQ(nearestWord("x", {}), "");
}

TEST(Hash, IsStable) {
  // Test vectors of the FNV specification.
  EXPECT_EQ(hash64(""), 0xcbf29ce484222325u);
  EXPECT_EQ(hash64("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(hash64("foobar"), 0x85944171f73967e8u);
  EXPECT_EQ(hash64("bar", hash64("foo")), hash64("foobar"));
  EXPECT_NE(hash64(uint64_t{1}, kHashSeed), hash64(uint64_t{2}, kHashSeed));
}

TEST(Crc32c, KnownVectors) {
  // RFC 3720, appendix B.4.
  const std::vector<std::byte> zeros(32, std::byte{0});
  const std::vector<std::byte> ones(32, std::byte{0xff});
  EXPECT_EQ(crc32c(zeros), 0x8a9136aau);
  EXPECT_EQ(crc32c(ones), 0x62a8ab43u);
  EXPECT_EQ(crc32c(bytesOf("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c({}), 0u);
}

TEST(Crc32c, PortableAgreesAndChains) {
  std::vector<std::byte> data(1000);
  fillRandom(data);
  const std::span<const std::byte> view(data);
  for (size_t size = 0; size < 100; ++size) {
    for (const size_t start : {0u, 1u, 3u}) {
      const auto part = view.subspan(start, size);
      EXPECT_EQ(crc32c(part), crc32cPortable(part));
    }
    EXPECT_EQ(crc32c(view.subspan(size), crc32c(view.first(size))), crc32c(view));
  }
}

TEST(Random, Differs) { EXPECT_NE(random64(), random64()); }

TEST(UniqueFd, ClosesOnce) {
  int raw = -1;
  {
    UniqueFd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
    raw = fd.get();
    UniqueFd other = std::move(fd);
    EXPECT_FALSE(fd.isOpen());  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(other.get(), raw);
  }
  EXPECT_EQ(fcntl(raw, F_GETFD), -1);
}

TEST(Clock, Advances) {
  const int64_t start = nowNs();
  usleep(2000);
  EXPECT_GE(nowNs() - start, 1'900'000);
}

TEST(Host, Identity) {
  EXPECT_FALSE(hostName().empty());
  EXPECT_EQ(hostName().find('.'), std::string::npos);
  EXPECT_EQ(realHostIdentity(), realHostIdentity());
  EXPECT_NE(realHostIdentity().find('/'), std::string::npos);
}

TEST(Host, ParentsUpToTheTop) {
  EXPECT_EQ(parentProcess(getpid()), getppid());
  EXPECT_EQ(parentProcess(1), 0);
  EXPECT_FALSE(parentProcess(1 << 30).has_value());
}

TEST(Host, StartTimeTellsLiveFromDead) {
  ASSERT_TRUE(processStartTime(getpid()).has_value());
  EXPECT_EQ(processStartTime(getpid()), processStartTime(getpid()));
  const pid_t child = fork();
  if (child == 0) pause();
  const auto started = processStartTime(child);
  ASSERT_TRUE(started.has_value());
  EXPECT_GE(*started, *processStartTime(getpid()));
  kill(child, SIGKILL);
  siginfo_t info;
  waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  EXPECT_FALSE(processStartTime(child).has_value());  // a zombie
  waitpid(child, nullptr, 0);
  EXPECT_FALSE(processStartTime(child).has_value());
}

TEST(Status, Text) {
  const Status status(Code::kTimeout, kErrJoinTimeout, "too late");
  EXPECT_EQ(status.toString(), "TUTTI-E0109 too late");
  EXPECT_EQ(status.withContext("init").toString(), "TUTTI-E0109 init: too late");
  EXPECT_TRUE(Status().isOk());
  EXPECT_EQ(Status().withContext("x").toString(), "ok");
}

}  // namespace
}  // namespace tutti::base
