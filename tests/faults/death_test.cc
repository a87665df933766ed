// Ranks that are killed, stopped or never arrive: every other rank gets an error, in time, that
// names the culprit, and nothing is left behind.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <set>
#include <span>
#include <thread>

#include "tests/faults/faults.h"

namespace tutti::test {
namespace {

constexpr int kDiedAt = 0;  // the Board's values

// Ends this process in a while, whatever its other threads are at.
std::thread signalLater(RankContext& context, int number, int milliseconds) {
  return std::thread([&context, number, milliseconds] {
    sleepMs(milliseconds);
    context.board().values[kDiedAt].store(static_cast<uint64_t>(nowNs()));
    ::kill(getpid(), number);
  });
}

void requireInTime(RankContext& context, double seconds) {
  const auto diedAt = static_cast<int64_t>(context.board().values[kDiedAt].load());
  const double took = secondsSince(diedAt);
  if (diedAt != 0 && took > seconds) {
    context.fail(fmt::format("the error came {:.1f} s after the event, allowed are {:.1f} s: {}",
                             took, seconds, tuttiGetLastError(context.comm())));
  }
}

struct Work {
  const char* title;
  Kind kind;
  size_t count;
  Memory memory = Memory::kPlain;
};

void PrintTo(const Work& work, std::ostream* out) { *out << work.title; }

class Killed : public testing::TestWithParam<std::tuple<Work, Setting>> {};

TEST_P(Killed, OthersHearOfIt) {
  const auto [work, setting] = GetParam();
  const int victim = setting.size / 2;
  RunOptions options;
  options.setting = setting;
  options.mayDie = {victim};
  const Case wanted{.kind = work.kind, .count = work.count, .memory = work.memory};
  runRanks(options, [&](RankContext& context) {
    std::thread killer;
    if (context.rank() == victim) killer = signalLater(context, SIGKILL, 60);
    Exercise one(context, wanted);
    const tuttiResult_t result = repeatUntilError(context, [&] { return one.call(); });
    requireInTime(context, kDeathSeconds);
    TUTTI_CHECK(context, result == tuttiRemoteError);
    requireNamed(context, victim);
    // The communicator stays broken, and says so.
    TUTTI_CHECK(context, one.call() == tuttiRemoteError);
    tuttiResult_t state = tuttiSuccess;
    TUTTI_REQUIRE(context, tuttiCommGetAsyncError(context.comm(), &state));
    TUTTI_CHECK(context, state == tuttiRemoteError);
    if (killer.joinable()) killer.join();
  });
}

std::vector<Work> works() {
  return {{"small_all_reduce", Kind::kAllReduce, 8},
          {"large_all_reduce", Kind::kAllReduce, 4 << 20},
          {"large_shared_all_reduce", Kind::kAllReduce, 4 << 20, Memory::kShared},
          {"all_gather", Kind::kAllGather, 100000},
          {"send_recv", Kind::kSendRecv, 200000}};
}

INSTANTIATE_TEST_SUITE_P(All, Killed,
                         testing::Combine(testing::ValuesIn(works()),
                                          testing::Values(Setting{Launch::kProcesses, 2},
                                                          Setting{Launch::kProcesses, 4})),
                         [](const auto& tested) {
                           return std::string(std::get<0>(tested.param).title) + "_" +
                                  name(std::get<1>(tested.param));
                         });

TEST(KilledRank, WithWorkOnStreams) {
  RunOptions options;
  options.setting = {Launch::kProcesses, 3};
  options.mayDie = {1};
  runRanks(options, [&](RankContext& context) {
    std::thread killer;
    if (context.rank() == 1) killer = signalLater(context, SIGKILL, 60);
    tuttiStream_t stream = nullptr;
    TUTTI_REQUIRE(context, tuttiStreamCreate(context.comm(), &stream));
    Exercise one(context, {.kind = Kind::kAllReduce, .count = 10000});
    const tuttiResult_t result = repeatUntilError(context, [&]() -> tuttiResult_t {
      if (const auto called = one.call(stream); called != tuttiSuccess) return called;
      (void)tuttiStreamSynchronize(context.comm(), stream);
      tuttiResult_t state = tuttiSuccess;
      TUTTI_REQUIRE(context, tuttiCommGetAsyncError(context.comm(), &state));
      return state;
    });
    requireInTime(context, kDeathSeconds);
    TUTTI_CHECK(context, result == tuttiRemoteError);
    (void)tuttiStreamDestroy(context.comm(), stream);
  });
}

// Killed while others are still to come.
TEST(KilledRank, DuringInit) {
  RunOptions options;
  options.setting = {Launch::kProcesses, 3};
  options.makesComm = false;
  options.mayDie = {1};
  runRanks(options, [&](RankContext& context) {
    const tuttiUniqueId id = context.newId();
    std::thread killer;
    if (context.rank() == 1) killer = signalLater(context, SIGKILL, 150);
    if (context.rank() == 2) {
      context.awaitValue(kDiedAt, 1);
      sleepMs(100);
    }
    tuttiComm_t comm = nullptr;
    tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
    config.timeoutMs = 10000;
    const int64_t start = nowNs();
    const auto result = tuttiCommInitRankConfig(&comm, 3, id, context.rank(), &config);
    TUTTI_CHECK(context, result == tuttiRemoteError);
    TUTTI_CHECK(context, comm == nullptr);
    // Rank 2 comes so late that it may find nobody to tell it who died.
    if (context.rank() == 0) {
      requireNamed(context, 1);
      requireInTime(context, kDeathSeconds);
    }
    TUTTI_CHECK(context, secondsSince(start) < 10);
    if (killer.joinable()) killer.join();
  });
}

// The rank that serves the rendezvous.
TEST(KilledRank, ServerDuringInit) {
  RunOptions options;
  options.setting = {Launch::kProcesses, 3};
  options.makesComm = false;
  options.mayDie = {0};
  runRanks(options, [&](RankContext& context) {
    const tuttiUniqueId id = context.newId();
    if (context.rank() == 0) {
      context.awaitValue(1, 1);  // somebody is about to join
      sleepMs(100);
      context.board().values[kDiedAt].store(static_cast<uint64_t>(nowNs()));
      ::kill(getpid(), SIGKILL);
    }
    context.board().values[1].store(1);
    if (context.rank() == 2) sleepMs(300);
    tuttiComm_t comm = nullptr;
    tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
    config.timeoutMs = 5000;
    const int64_t start = nowNs();
    const auto result = tuttiCommInitRankConfig(&comm, 3, id, context.rank(), &config);
    TUTTI_CHECK(context, result == tuttiRemoteError || result == tuttiTimeout);
    TUTTI_CHECK(context, secondsSince(start) < 5 * 2);
    TUTTI_CHECK(context, comm == nullptr);
  });
}

TEST(StoppedRank, IsNamedWithinTwiceTheTimeout) {
  RunOptions options;
  options.setting = {Launch::kProcesses, 4};
  options.environment = {{"TUTTI_TIMEOUT", "2"}};
  options.mayDie = {2};
  runRanks(options, [&](RankContext& context) {
    std::thread stopper;
    if (context.rank() == 2) stopper = signalLater(context, SIGSTOP, 60);
    Exercise one(context, {.kind = Kind::kAllReduce, .count = 1000});
    const tuttiResult_t result = repeatUntilError(context, [&] { return one.call(); });
    requireInTime(context, 2 * 2 + (kIsSanitized ? 8 : 1));
    TUTTI_CHECK(context, result == tuttiTimeout || result == tuttiRemoteError);
    requireNamed(context, 2);
    giveUpComm(context);
    if (stopper.joinable()) stopper.join();
  });
}

// Stops this process once `value` is no longer 0, which the library writes meanwhile; or never, if
// it is over before.
[[gnu::no_sanitize_thread]] void stopOnceWritten(const volatile int32_t* value,
                                                 const std::atomic<bool>* isOver) {
  while (*value == 0) {
    if (isOver->load()) return;
    sched_yield();
  }
  ::kill(getpid(), SIGSTOP);
}

// The root has given up meanwhile and uses its buffer for something else: what the other one
// returns as a success must have been one.
TEST(StoppedRank, ThatGoesOnReturnsNoWrongData) {
  constexpr size_t kCount = 24 << 20;
  RunOptions options;
  options.setting = {Launch::kProcesses, 2};
  options.timeoutMs = 500;
  runRanks(options, [&](RankContext& context) {
    void* memory = nullptr;
    TUTTI_REQUIRE(context, tuttiMemAlloc(&memory, kCount * sizeof(int32_t)));
    const std::span<int32_t> values(static_cast<int32_t*>(memory), kCount);
    std::fill(values.begin(), values.end(), context.rank() == 0 ? 7 : 0);
    const auto broadcast = [&] {
      return tuttiBcast(memory, kCount, tuttiInt32, 0, context.comm(), nullptr);
    };
    if (context.rank() == 1) {
      context.board().values[1].store(static_cast<uint64_t>(getpid()));
      std::atomic<bool> isOver{false};
      std::thread stopper(stopOnceWritten, &values[kCount / 4], &isOver);
      const auto result = broadcast();
      isOver.store(true);
      stopper.join();
      const bool isRight =
          std::all_of(values.begin(), values.end(), [](int32_t value) { return value == 7; });
      TUTTI_CHECK(context, result == tuttiRemoteError || (result == tuttiSuccess && isRight));
    } else {
      const auto result = broadcast();
      std::fill(values.begin(), values.end(), -1);
      ::kill(static_cast<pid_t>(context.board().values[1].load()), SIGCONT);
      if (result != tuttiSuccess) requireNamed(context, 1);
    }
    giveUpComm(context);
    TUTTI_REQUIRE(context, tuttiMemFree(memory));
  });
}

TEST(LateRank, IsNamedWhereOthersWaitForIt) {
  for (const auto& setting : seen({{Launch::kThreads, 3}, {Launch::kProcesses, 3}})) {
    RunOptions options;
    options.setting = setting;
    options.timeoutMs = 1000;
    runRanks(options, [&](RankContext& context) {
      exercise(context, {.kind = Kind::kAllReduce, .count = 100});
      if (context.rank() == 1) {
        context.awaitValue(1, 2);  // both others have their errors
        giveUpComm(context);
        return;
      }
      Exercise one(context, {.kind = Kind::kAllReduce, .count = 100});
      const int64_t start = nowNs();
      const tuttiResult_t result = one.call();
      const double took = secondsSince(start);
      // Who hears of another rank's timeout first may report that.
      TUTTI_CHECK(context, result == tuttiTimeout || result == tuttiRemoteError);
      if (result == tuttiTimeout) context.board().values[2].fetch_add(1);
      requireNamed(context, 1);
      TUTTI_CHECK(context, took > 0.8 && took < 3);
      context.board().values[1].fetch_add(1);
      context.awaitValue(1, 2);
      TUTTI_CHECK(context, context.board().values[2].load() > 0);
      giveUpComm(context);
    });
  }
}

TEST(LateRank, IsNamedInAReceive) {
  RunOptions options;
  options.setting = {Launch::kProcesses, 2};
  options.timeoutMs = 1000;
  runRanks(options, [&](RankContext& context) {
    int32_t value = 0;
    if (context.rank() == 1) {
      context.awaitValue(1, 1);
      giveUpComm(context);
      return;
    }
    TUTTI_REQUIRE_ERROR(context, tuttiRecv(&value, 1, tuttiInt32, 1, context.comm(), nullptr),
                        tuttiTimeout, "rank 1");
    context.board().values[1].store(1);
    giveUpComm(context);
  });
}

TEST(LateRank, IsNamedAtInit) {
  RunOptions options;
  options.setting = {Launch::kProcesses, 4};
  options.makesComm = false;
  runRanks(options, [&](RankContext& context) {
    const tuttiUniqueId id = context.newId();
    if (context.rank() == 3) {
      context.awaitValue(1, 3);
      return;
    }
    tuttiComm_t comm = nullptr;
    tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
    config.timeoutMs = 1000;
    const int64_t start = nowNs();
    const auto result = tuttiCommInitRankConfig(&comm, 4, id, context.rank(), &config);
    TUTTI_CHECK(context, result == tuttiTimeout || result == tuttiRemoteError);
    TUTTI_CHECK(context, secondsSince(start) < 4);
    requireNamed(context, 3);
    context.board().values[1].fetch_add(1);
  });
}

std::set<std::string> leftovers() {
  std::set<std::string> names;
  for (const char* folder : {"/dev/shm", "/tmp"}) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string name = entry.path().string();
      if (name.find("tutti") != std::string::npos) names.insert(name);
    }
  }
  return names;
}

TEST(KilledRank, NothingIsLeftOfACrash) {
  const auto before = leftovers();
  RunOptions options;
  options.setting = {Launch::kProcesses, 3};
  options.mayDie = {0, 1, 2};
  runRanks(options, [](RankContext& context) {
    exercise(context, {.kind = Kind::kAllReduce, .count = 300000, .memory = Memory::kShared});
    exercise(context, {.kind = Kind::kAllToAll, .count = 30000});
    context.barrier();
    ::kill(getpid(), SIGKILL);
  });
  EXPECT_EQ(before, leftovers());
}

}  // namespace
}  // namespace tutti::test
