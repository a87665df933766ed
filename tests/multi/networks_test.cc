// Ranks on several hosts, by every network transport of this build: processes that say they are
// hosts of their own.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/multi/exercise.h"
#include "tests/multi/networks.h"

namespace tutti::test {
namespace {

class Networks : public testing::TestWithParam<Network> {
 protected:
  RunOptions options(Setting setting) const {
    RunOptions options;
    options.setting = setting;
    options.environment = GetParam().environment;
    options.environment.emplace_back("TUTTI_TRANSPORTS", "inproc,shm," + GetParam().transport);
    return options;
  }
  RunOptions alone(Setting setting) const {
    RunOptions options;
    options.setting = setting;
    options.environment = GetParam().environment;
    options.environment.emplace_back("TUTTI_TRANSPORTS", GetParam().transport);
    return options;
  }
  // Each process, or every second one, is a host.
  static bool everyProcess() {
    return setenv("TUTTI_HOSTID", std::to_string(getpid()).c_str(), 1) == 0;
  }
  static bool twoHosts() {
    return setenv("TUTTI_HOSTID", getpid() % 2 == 0 ? "even" : "odd", 1) == 0;
  }
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Networks);

void runEverything(RankContext& context) {
  uint32_t seed = 1;
  for (const size_t count : {size_t{0}, size_t{5}, size_t{3000}, size_t{100003}}) {
    if (kIsSanitized && count > 3000) continue;
    for (const bool isInPlace : {false, true}) {
      for (const Kind kind : allKinds()) {
        if (isInPlace && kind != Kind::kAllReduce && kind != Kind::kAllGather) continue;
        exercise(context, {.kind = kind,
                           .count = count,
                           .root = static_cast<int>(seed),
                           .isInPlace = isInPlace,
                           .seed = seed});
        ++seed;
      }
    }
  }
}

TEST_P(Networks, EveryCollectiveOverNothingElse) {
  for (const Setting setting : seen({{Launch::kThreads, 2}, {Launch::kProcesses, 3}})) {
    RunOptions run = alone(setting);
    runRanks(run, runEverything);
  }
}

// Threads of two hosts; then processes of two hosts, so that three transports meet.
TEST_P(Networks, EveryCollectiveBesideSharedMemory) {
  if (kIsThreadSanitized) GTEST_SKIP() << "two processes for each run";
  RunOptions run = options({Launch::kMixed, 5});
  run.prepare = everyProcess;
  runRanks(run, runEverything);
  run = options({Launch::kProcesses, 5});
  run.prepare = twoHosts;
  runRanks(run, runEverything);
}

TEST_P(Networks, StreamsAndManyCallsInFlight) {
  for (const Setting setting : seen({{Launch::kThreads, 3}, {Launch::kProcesses, 3}})) {
    RunOptions run = alone(setting);
    runRanks(run, [](RankContext& context) {
      tuttiStream_t stream = nullptr;
      TUTTI_REQUIRE(context, tuttiStreamCreate(context.comm(), &stream));
      std::vector<std::unique_ptr<Exercise>> exercises;
      for (uint32_t round = 0; round < 2; ++round) {
        for (const Kind kind : allKinds()) {
          exercises.push_back(std::make_unique<Exercise>(
              context, Case{.kind = kind, .count = 1 + 20000 * round, .seed = 1 + round}));
          TUTTI_REQUIRE(context, exercises.back()->call(stream));
        }
      }
      TUTTI_REQUIRE(context, tuttiStreamSynchronize(context.comm(), stream));
      for (const auto& one : exercises) one->verify();
      TUTTI_REQUIRE(context, tuttiStreamDestroy(context.comm(), stream));
    });
  }
}

// What was sent arrives although the sender waits for nothing any more and leaves.
TEST_P(Networks, LastMessagesArrive) {
  for (const size_t count : {size_t{1}, size_t{200001}}) {
    RunOptions run = alone({kIsThreadSanitized ? Launch::kThreads : Launch::kProcesses, 2});
    runRanks(run, [count](RankContext& context) {
      std::vector<int32_t> data(count, 7 + context.rank());
      if (context.rank() == 0) {
        TUTTI_REQUIRE(context,
                      tuttiSend(data.data(), count, tuttiInt32, 1, context.comm(), nullptr));
        return;  // which destroys the communicator
      }
      sleepMs(100);
      TUTTI_REQUIRE(context, tuttiRecv(data.data(), count, tuttiInt32, 0, context.comm(), nullptr));
      TUTTI_CHECK(context, data == std::vector<int32_t>(count, 7));
    });
  }
}

// Cores are for others while a rank waits; also when messages have come before.
TEST_P(Networks, WaitingTakesNoCore) {
  RunOptions run = alone({kIsThreadSanitized ? Launch::kThreads : Launch::kProcesses, 2});
  runRanks(run, [](RankContext& context) {
    std::vector<int32_t> data(100001, context.rank());
    const auto give = [&] {
      TUTTI_REQUIRE(context, tuttiBroadcast(data.data(), data.data(), data.size(), tuttiInt32, 0,
                                            context.comm(), nullptr));
    };
    for (int i = 0; i < 20; ++i) give();
    constexpr int64_t kAwayNs = 1'000'000'000;
    if (context.rank() == 0) {
      std::this_thread::sleep_for(std::chrono::nanoseconds(kAwayNs));
      return give();
    }
    const auto cpuNs = [] {
      timespec now{};
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
      return now.tv_sec * 1'000'000'000 + now.tv_nsec;
    };
    const int64_t before = cpuNs();
    give();
    TUTTI_CHECK(context, cpuNs() - before < kAwayNs / 5);
  });
}

std::vector<Network> allNetworks() {
  return kIsSanitized ? networks() : networks({6, 7, 8, 9, 10, 11, 12});
}

INSTANTIATE_TEST_SUITE_P(All, Networks, testing::ValuesIn(allNetworks()),
                         [](const auto& tested) { return tested.param.name; });

// A rank that is killed ends the others' calls, in time and by name.
class NetworkDeath : public Networks {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(NetworkDeath);

TEST_P(NetworkDeath, NamesTheRank) {
  RunOptions run = alone({Launch::kProcesses, 3});
  run.timeoutMs = 20000;
  run.mayDie = {1};
  runRanks(run, [](RankContext& context) {
    exercise(context, {.kind = Kind::kAllReduce, .count = 5000});
    if (context.rank() == 1) {
      sleepMs(20);  // the others may still pass on to each other what they have of it
      raise(SIGKILL);
    }
    std::vector<float> in(5000), out(5000);
    const int64_t start = nowNs();
    tuttiResult_t result = tuttiSuccess;
    while (result == tuttiSuccess) {
      result = tuttiAllReduce(in.data(), out.data(), in.size(), tuttiFloat32, tuttiSum,
                              context.comm(), nullptr);
    }
    TUTTI_CHECK(context, result == tuttiRemoteError);
    TUTTI_CHECK(context, nowNs() - start < int64_t{2'000'000'000} * (kIsSanitized ? 4 : 1));
    const std::string text = tuttiGetLastError(context.comm());
    TUTTI_CHECK(context, text.find("rank 1") != std::string::npos);
    TUTTI_REQUIRE(context, tuttiCommAbort(context.comm()));
    context.setComm(nullptr);
  });
}

INSTANTIATE_TEST_SUITE_P(All, NetworkDeath,
                         testing::ValuesIn(kIsThreadSanitized ? std::vector<Network>{}
                                                              : networks()),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace tutti::test
