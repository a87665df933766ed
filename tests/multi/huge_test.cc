// More than 2^32 bytes in one call: 4.3 GB on each of two ranks, in place.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>

#include "tests/multi/exercise.h"

namespace tutti::test {
namespace {

constexpr size_t kCount = 4'300'000'001;

size_t availableBytes() {
  std::FILE* file = std::fopen("/proc/meminfo", "r");
  char line[128];
  size_t kib = 0;
  while (file != nullptr && std::fgets(line, sizeof(line), file) != nullptr) {
    if (std::sscanf(line, "MemAvailable: %zu", &kib) == 1) break;
  }
  if (file != nullptr) std::fclose(file);
  return kib << 10;
}

void runHuge(Kind kind, Launch launch) {
  if (kIsSanitized) GTEST_SKIP() << "too slow with sanitizers";
  if (availableBytes() < size_t{14} << 30) GTEST_SKIP() << "less than 14 GiB of memory available";
  RunOptions options;
  options.setting = {launch, 2};
  options.limit = std::chrono::seconds(120);
  runRanks(options, [&](RankContext& context) {
    exercise(context, {.kind = kind,
                       .count = kCount,
                       .type = tuttiInt8,
                       .root = 1,
                       .isInPlace = true,
                       .memory = Memory::kShared});
  });
}

TEST(Huge, AllReduceOverProcesses) { runHuge(Kind::kAllReduce, Launch::kProcesses); }
TEST(Huge, BroadcastOverThreads) { runHuge(Kind::kBroadcast, Launch::kThreads); }

}  // namespace
}  // namespace tutti::test
