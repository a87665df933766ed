// The life of communicators: making, splitting, many at once, and that nothing is left of them.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <thread>
#include <vector>

#include "tests/multi/exercise.h"

namespace tutti::test {
namespace {

class Life : public testing::TestWithParam<Setting> {
 protected:
  const Setting& setting() const { return GetParam(); }
  RunOptions withoutComm() const {
    RunOptions options;
    options.setting = setting();
    options.makesComm = false;
    return options;
  }
};

int openFiles() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

size_t residentBytes() {
  size_t pages = 0, resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  if (std::fscanf(file, "%zu %zu", &pages, &resident) != 2) resident = 0;
  std::fclose(file);
  return resident * static_cast<size_t>(getpagesize());
}

TEST_P(Life, QueriesTellTheTruth) {
  runRanks(setting(), [](RankContext& context) {
    int value = -1;
    TUTTI_REQUIRE(context, tuttiCommCount(context.comm(), &value));
    TUTTI_CHECK(context, value == context.size());
    TUTTI_REQUIRE(context, tuttiCommUserRank(context.comm(), &value));
    TUTTI_CHECK(context, value == context.rank());
    TUTTI_REQUIRE(context, tuttiCommDevice(context.comm(), &value));
    TUTTI_CHECK(context, value == 0);
    const char* text = nullptr;
    TUTTI_REQUIRE(context, tuttiCommDeviceName(context.comm(), &text));
    TUTTI_CHECK(context, std::string(text) == "host");
    TUTTI_REQUIRE(context, tuttiCommDescribe(context.comm(), &text));
    TUTTI_CHECK(context, std::string(text).find("ranks") != std::string::npos);
    tuttiResult_t state = tuttiInternalError;
    TUTTI_REQUIRE(context, tuttiCommGetAsyncError(context.comm(), &state));
    TUTTI_CHECK(context, state == tuttiSuccess);
    TUTTI_CHECK(context, std::string(tuttiGetLastError(context.comm())).empty());
  });
}

TEST_P(Life, FinalizeThenDestroy) {
  runRanks(withoutComm(), [](RankContext& context) {
    tuttiComm_t comm = context.newComm();
    exercise(context, {.kind = Kind::kAllReduce, .count = 1000}, comm);
    TUTTI_REQUIRE(context, tuttiCommFinalize(comm));
    int size = 0;
    TUTTI_REQUIRE(context, tuttiCommCount(comm, &size));
    TUTTI_REQUIRE(context, tuttiCommDestroy(comm));
  });
}

// Ranks leave at different times; what they had sent still arrives.
TEST_P(Life, RanksLeaveOneAfterTheOther) {
  runRanks(withoutComm(), [](RankContext& context) {
    for (uint32_t round = 0; round < 10; ++round) {
      tuttiComm_t comm = context.newComm();
      for (const Kind kind : {Kind::kAllReduce, Kind::kGather, Kind::kBroadcast, Kind::kSendRecv}) {
        exercise(context,
                 {.kind = kind,
                  .count = 1 + 9000 * round,
                  .root = static_cast<int>(round),
                  .seed = round + 1},
                 comm);
      }
      if ((static_cast<uint32_t>(context.rank()) + round) % 3 == 0) sleepMs(5);
      TUTTI_REQUIRE(context, tuttiCommDestroy(comm));
    }
  });
}

TEST_P(Life, Split) {
  runRanks(setting(), [](RankContext& context) {
    const int rank = context.rank();
    const int size = context.size();
    // Odd and even ranks, in reversed order.
    tuttiComm_t half = nullptr;
    context.doing("split by parity");
    TUTTI_REQUIRE(context, tuttiCommSplit(context.comm(), rank % 2, -rank, &half, nullptr));
    int newRank = -1, newSize = -1;
    TUTTI_REQUIRE(context, tuttiCommCount(half, &newSize));
    TUTTI_REQUIRE(context, tuttiCommUserRank(half, &newRank));
    TUTTI_CHECK(context, newSize == (size + 1 - rank % 2) / 2);
    TUTTI_CHECK(context, newRank == newSize - 1 - rank / 2);
    for (const size_t count : {size_t{5}, size_t{50000}}) {
      for (const Kind kind : allKinds()) exercise(context, {.kind = kind, .count = count}, half);
    }
    // Only rank 0's half splits again, and there the last rank stays out.
    if (rank % 2 == 0) {
      tuttiComm_t quarter = nullptr;
      context.doing("split of a split");
      const int color = newRank == newSize - 1 ? TUTTI_SPLIT_NOCOLOR : 7;
      TUTTI_REQUIRE(context, tuttiCommSplit(half, color, 0, &quarter, nullptr));
      TUTTI_CHECK(context, (quarter == nullptr) == (color == TUTTI_SPLIT_NOCOLOR));
      if (quarter != nullptr) exercise(context, {.kind = Kind::kAllReduce, .count = 777}, quarter);
      TUTTI_REQUIRE(context, tuttiCommDestroy(quarter));
    }
    // The parent goes on.
    exercise(context, {.kind = Kind::kAllToAll, .count = 300});
    TUTTI_REQUIRE(context, tuttiCommDestroy(half));
    // Nobody.
    tuttiComm_t none = context.comm();
    TUTTI_REQUIRE(context, tuttiCommSplit(context.comm(), TUTTI_SPLIT_NOCOLOR, 0, &none, nullptr));
    TUTTI_CHECK(context, none == nullptr);
  });
}

// Also twice at once, and with work that the peers have not come to yet.
TEST_P(Life, SplitAndFinalizeOfANonBlockingOne) {
  runRanks(withoutComm(), [](RankContext& context) {
    tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
    config.blocking = 0;
    const tuttiUniqueId id = context.newId();
    tuttiComm_t comm = nullptr;
    (void)tuttiCommInitRankConfig(&comm, context.size(), id, context.rank(), &config);
    TUTTI_REQUIRE(context, context.settle(comm));
    const int rank = context.rank();
    tuttiComm_t half = nullptr, but0 = nullptr;
    context.doing("split twice at once");
    const auto first = tuttiCommSplit(comm, rank % 2, 0, &half, nullptr);
    const auto second =
        tuttiCommSplit(comm, rank == 0 ? TUTTI_SPLIT_NOCOLOR : 0, 0, &but0, nullptr);
    TUTTI_CHECK(context, first == tuttiInProgress && second == tuttiInProgress);
    TUTTI_CHECK(context, half != nullptr && (but0 == nullptr) == (rank == 0));
    TUTTI_REQUIRE(context, context.settle(comm));
    for (auto* child : {half, but0}) {
      if (child == nullptr) continue;
      TUTTI_REQUIRE(context, context.settle(child));
      Exercise one(context, {.kind = Kind::kAllReduce, .count = 3000}, child);
      (void)one.call();
      context.doing("finalize with work under way");
      const auto result = tuttiCommFinalize(child);
      TUTTI_CHECK(context, result == tuttiInProgress || result == tuttiSuccess);
      TUTTI_CHECK(context, one.call() == tuttiInvalidUsage);  // no more work
      TUTTI_REQUIRE(context, context.settle(child));
      one.verify();
      TUTTI_REQUIRE(context, tuttiCommDestroy(child));
    }
    TUTTI_REQUIRE(context, tuttiCommDestroy(comm));
  });
}

TEST_P(Life, SeveralRendezvousServers) {
  runRanks(withoutComm(), [](RankContext& context) {
    const int servers = std::min(3, context.size());
    std::vector<tuttiUniqueId> ids;
    for (int i = 0; i < servers; ++i) ids.push_back(context.newId());
    tuttiComm_t comm = nullptr;
    TUTTI_REQUIRE(context, tuttiCommInitRankScalable(&comm, context.size(), context.rank(), servers,
                                                     ids.data(), nullptr));
    exercise(context, {.kind = Kind::kAllReduce, .count = 3000}, comm);
    TUTTI_REQUIRE(context, tuttiCommDestroy(comm));
  });
}

// What a forked child does with its parent's communicator is nothing to the parent's peers.
TEST_P(Life, ForkedChildrenDoNoHarm) {
  runRanks(setting(), [](RankContext& context) {
    exercise(context, {.kind = Kind::kAllReduce, .count = 100});
    context.barrier();
    if (context.rank() == 0) {
      const pid_t child = fork();
      if (child == 0) {
        float value = 0;
        const bool isRefused = tuttiAllReduce(&value, &value, 1, tuttiFloat32, tuttiSum,
                                              context.comm(), nullptr) == tuttiInvalidUsage;
        const bool isNamed =
            std::string(tuttiGetLastError(nullptr)).find("TUTTI-E0308") == 0 ||
            std::string(tuttiGetLastError(nullptr)).find("parent") != std::string::npos;
        const bool isForgotten = tuttiCommDestroy(context.comm()) == tuttiSuccess;
        _exit(isRefused && isNamed && isForgotten ? 0 : 1);
      }
      int status = -1;
      TUTTI_CHECK(context, waitpid(child, &status, 0) == child && status == 0);
    }
    context.barrier();
    exercise(context, {.kind = Kind::kAllReduce, .count = 3000});
  });
}

// Parts of a communicator have a rendezvous of their own, also where the launch names one address.
TEST(Split, WithAFixedAddress) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length), 0);
  close(listener);
  RunOptions options;
  options.setting = {Launch::kProcesses, 4};
  options.environment = {{"TUTTI_ADDR", "127.0.0.1:" + std::to_string(ntohs(address.sin_port))},
                         {"TUTTI_SECRET", "only for this test"}};
  runRanks(options, [](RankContext& context) {
    tuttiComm_t half = nullptr;
    TUTTI_REQUIRE(context, tuttiCommSplit(context.comm(), context.rank() % 2, 0, &half, nullptr));
    exercise(context, {.kind = Kind::kAllReduce, .count = 3000}, half);
    TUTTI_REQUIRE(context, tuttiCommDestroy(half));
  });
}

// Every thread has a communicator of its own with the same thread of the other ranks.
TEST_P(Life, ThreadsWithCommunicatorsOfTheirOwn) {
  runRanks(withoutComm(), [](RankContext& context) {
    constexpr int kThreads = 3;
    std::vector<tuttiUniqueId> ids;
    for (int i = 0; i < kThreads; ++i) ids.push_back(context.newId());
    std::atomic<int> failures{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        try {
          tuttiComm_t comm = nullptr;
          TUTTI_REQUIRE(context, tuttiCommInitRank(&comm, context.size(),
                                                   ids[static_cast<size_t>(i)], context.rank()));
          for (uint32_t round = 0; round < 6; ++round) {
            for (const Kind kind : {Kind::kAllReduce, Kind::kAllToAll, Kind::kSendRecv}) {
              exercise(context,
                       {.kind = kind,
                        .count = 20 + 5000 * round,
                        .seed = round + static_cast<uint32_t>(i)},
                       comm);
            }
          }
          TUTTI_REQUIRE(context, tuttiCommDestroy(comm));
        } catch (const RankFailed&) {
          failures.fetch_add(1);
        }
      });
    }
    for (auto& thread : threads) thread.join();
    TUTTI_CHECK(context, failures.load() == 0);
  });
}

INSTANTIATE_TEST_SUITE_P(All, Life, testing::ValuesIn(fewSettings()),
                         [](const auto& tested) { return name(tested.param); });

// Communicators, memory, streams and operators, made and destroyed again and again.
void makeAndDestroy(RankContext& context) {
  tuttiComm_t comm = context.newComm();
  for (const Memory memory : {Memory::kPlain, Memory::kShared}) {
    exercise(context,
             {.kind = Kind::kAllReduce, .count = 20000, .op = kPreMulSum, .memory = memory}, comm);
  }
  tuttiStream_t stream = nullptr;
  TUTTI_REQUIRE(context, tuttiStreamCreate(comm, &stream));
  Exercise one(context, {.kind = Kind::kBroadcast, .count = 100}, comm);
  TUTTI_REQUIRE(context, one.call(stream));
  TUTTI_REQUIRE(context, tuttiStreamSynchronize(comm, stream));
  TUTTI_REQUIRE(context, tuttiStreamDestroy(comm, stream));
  TUTTI_REQUIRE(context, tuttiCommDestroy(comm));
}

class Leaks : public testing::TestWithParam<Setting> {};

TEST_P(Leaks, NothingGrows) {
  RunOptions options;
  options.setting = GetParam();
  options.makesComm = false;
  runRanks(options, [](RankContext& context) {
    constexpr int kRounds = kIsSanitized ? 30 : 200;
    int filesBefore = 0;
    size_t bytesBefore = 0;
    for (int round = 0; round < kRounds; ++round) {
      makeAndDestroy(context);
      if (round != kRounds / 4) continue;
      context.barrier();
      filesBefore = openFiles();
      bytesBefore = residentBytes();
      context.barrier();
    }
    context.barrier();
    sleepMs(200);  // connections that a peer has not closed yet
    const int filesAfter = openFiles();
    context.barrier();
    if (filesAfter > filesBefore + 3) {
      context.fail("open files grew from " + std::to_string(filesBefore) + " to " +
                   std::to_string(filesAfter));
    }
    const size_t bytesAfter = residentBytes();
    const size_t allowed = bytesBefore + (size_t{3} << 20);
    if (!kIsSanitized && bytesAfter > allowed) {
      context.fail("memory grew from " + std::to_string(bytesBefore >> 10) + " KiB to " +
                   std::to_string(bytesAfter >> 10) + " KiB");
    }
  });
}

INSTANTIATE_TEST_SUITE_P(All, Leaks,
                         testing::Values(Setting{Launch::kThreads, 3},
                                         Setting{Launch::kProcesses, 2}),
                         [](const auto& tested) { return name(tested.param); });

TEST(ManyRanks, SixtyFourThreads) {
  if (kIsSanitized) GTEST_SKIP() << "too slow with sanitizers";
  runRanks(Setting{Launch::kThreads, 64}, [](RankContext& context) {
    for (const size_t count : {size_t{3}, size_t{2000}, size_t{100000}}) {
      for (const Kind kind : {Kind::kAllReduce, Kind::kBroadcast, Kind::kReduceScatterV,
                              Kind::kAllGather, Kind::kSendRecv}) {
        const bool isBlocks = kind == Kind::kAllGather;
        exercise(context, {.kind = kind, .count = isBlocks ? count / 50 + 1 : count, .root = 63});
      }
    }
  });
}

}  // namespace
}  // namespace tutti::test
