// Machines and settings that take a path away: the results stay right, or the text says what to do.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include <string>
#include <vector>

#include "tests/multi/exercise.h"

namespace tutti::test {
namespace {

void runEverything(RankContext& context, size_t largest) {
  uint32_t seed = 1;
  for (const size_t count : {size_t{5}, size_t{3000}, size_t{100003}}) {
    if (count > largest) continue;
    for (const Memory memory : {Memory::kPlain, Memory::kShared, Memory::kMixed}) {
      for (const Kind kind : allKinds()) {
        exercise(context, {.kind = kind,
                           .count = count,
                           .root = static_cast<int>(seed),
                           .memory = memory,
                           .seed = seed});
        ++seed;
      }
    }
  }
}

struct Variant {
  const char* title;
  std::vector<std::pair<std::string, std::string>> environment;
  size_t largest = kIsSanitized ? 3000 : 100003;  // elements
};

void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.title; }

class Environment : public testing::TestWithParam<Variant> {};

TEST_P(Environment, ResultsStayRight) {
  const std::vector<Setting> settings =
      kIsThreadSanitized ? std::vector<Setting>{{Launch::kThreads, 3}}
      : kIsSanitized     ? std::vector<Setting>{{Launch::kProcesses, 3}}
                         : std::vector<Setting>{
                               {Launch::kThreads, 3}, {Launch::kProcesses, 5}, {Launch::kMixed, 4}};
  for (const auto& setting : settings) {
    RunOptions options;
    options.setting = setting;
    options.environment = GetParam().environment;
    runRanks(options, [](RankContext& context) { runEverything(context, GetParam().largest); });
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Environment,
    testing::Values(Variant{"defaults", {}},
                    Variant{"files_in_a_directory", {{"TUTTI_SHM_DIR", "/dev/shm"}}, 3000},
                    Variant{"no_kernel_copies", {{"TUTTI_CMA_DISABLE", "1"}}},
                    Variant{"tiny_chunks", {{"TUTTI_CHUNK", "256"}}, 3000},
                    Variant{"odd_chunks", {{"TUTTI_CHUNK", "5000"}}},
                    Variant{"no_spinning", {{"TUTTI_SPIN_US", "0"}, {"TUTTI_YIELD_US", "0"}}},
                    Variant{"encrypted", {{"TUTTI_ENCRYPT", "1"}}}),
    [](const auto& tested) { return tested.param.title; });

// Without shared memory and networks two processes of one host have no way to each other.
TEST(NoSharedMemory, SaysThatNoTransportIsLeft) {
  RunOptions options;
  options.setting = {Launch::kProcesses, 2};
  options.makesComm = false;
  options.environment = {{"TUTTI_SHM_DISABLE", "1"}, {"TUTTI_TRANSPORTS", "inproc,shm"}};
  runRanks(options, [](RankContext& context) {
    const tuttiUniqueId id = context.newId();
    tuttiComm_t comm = nullptr;
    const auto result = tuttiCommInitRank(&comm, context.size(), id, context.rank());
    const std::string text = tuttiGetLastError(nullptr);
    TUTTI_CHECK(context, result == tuttiSystemError || result == tuttiRemoteError);
    TUTTI_CHECK(context, text.find("TUTTI-E0204") != std::string::npos);
    TUTTI_CHECK(context, text.find("no transport connects") != std::string::npos);
    TUTTI_CHECK(context, comm == nullptr);
  });
}

TEST(NoSharedMemory, ThreadsDoNotNeedIt) {
  RunOptions options;
  options.setting = {Launch::kThreads, 3};
  options.environment = {{"TUTTI_SHM_DISABLE", "1"}};
  runRanks(options, [](RankContext& context) {
    exercise(context, {.kind = Kind::kAllReduce, .count = 50000});
  });
}

// Containers have 64 MiB of /dev/shm. Needs the right to mount.
bool mountSmallShm() {
  struct statvfs info {};
  return unshare(CLONE_NEWNS) == 0 &&
         mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=64m") == 0 &&
         statvfs("/dev/shm", &info) == 0 && info.f_blocks * info.f_frsize <= (64u << 20);
}

TEST(SmallShm, SixtyFourMiBAreEnough) {
  RunOptions options;
  options.setting = {Launch::kProcesses, 4};
  options.prepare = mountSmallShm;
  runRanks(options, [](RankContext& context) {
    // 32 MiB on each of 4 ranks: more than all of /dev/shm.
    for (const Memory memory : {Memory::kPlain, Memory::kShared}) {
      exercise(context, {.kind = Kind::kAllReduce,
                         .count = (size_t{8} << 20) / (kIsSanitized ? 16 : 1),
                         .isInPlace = true,
                         .memory = memory});
      exercise(context, {.kind = Kind::kAllToAll,
                         .count = (size_t{1} << 20) / (kIsSanitized ? 16 : 1),
                         .memory = memory});
    }
  });
}

}  // namespace
}  // namespace tutti::test
