// tuttiCommAbort from another thread, at any moment.
#include <gtest/gtest.h>

#include <thread>

#include "tests/faults/faults.h"

namespace tutti::test {
namespace {

class Abort : public testing::TestWithParam<Setting> {};

// Rank 0 is blocked in a collective that rank 1 never joins.
TEST_P(Abort, EndsABlockedCollective) {
  runRanks(GetParam(), [](RankContext& context) {
    exercise(context, {.kind = Kind::kAllReduce, .count = 100});
    Exercise one(context, {.kind = Kind::kAllReduce, .count = 100});
    if (context.rank() == 0) {
      std::thread aborter([&] {
        sleepMs(50);
        (void)tuttiCommAbort(context.comm());
      });
      const int64_t start = nowNs();
      const tuttiResult_t result = one.call();
      const std::string text = tuttiGetLastError(nullptr);
      aborter.join();
      context.setComm(nullptr);
      TUTTI_CHECK(context, secondsSince(start) < 5);
      TUTTI_CHECK(context, result == tuttiInvalidUsage);
      TUTTI_CHECK(context, text.find("abort") != std::string::npos);
      context.board().values[0].store(1);
      return;
    }
    context.awaitValue(0, 1);
    const int64_t start = nowNs();
    // Rank 0 may have given its part before it was aborted: then this call succeeds, but no other.
    TUTTI_CHECK(context, repeatUntilError(context, [&] { return one.call(); }) == tuttiRemoteError);
    TUTTI_CHECK(context, secondsSince(start) < 5);
    requireNamed(context, 0);
  });
}

// All other ranks are blocked when one aborts.
TEST_P(Abort, IsHeardByBlockedPeers) {
  runRanks(GetParam(), [](RankContext& context) {
    Exercise one(context, {.kind = Kind::kAllGather, .count = 100});
    if (context.rank() == context.size() - 1) {
      sleepMs(100);
      context.board().values[0].store(static_cast<uint64_t>(nowNs()));
      giveUpComm(context);
      return;
    }
    TUTTI_CHECK(context, one.call() == tuttiRemoteError);
    TUTTI_CHECK(context, secondsSince(static_cast<int64_t>(context.board().values[0].load())) <
                             kDeathSeconds);
    requireNamed(context, context.size() - 1);
  });
}

// Many rounds, so that the abort meets the calls in many states.
TEST_P(Abort, InTheMiddleOfALoop) {
  RunOptions options;
  options.setting = GetParam();
  options.makesComm = false;
  runRanks(options, [](RankContext& context) {
    for (int round = 0; round < (kIsSanitized ? 5 : 15); ++round) {
      context.setComm(context.newComm());
      const int aborting = round % context.size();
      const size_t count = round % 2 == 0 ? 100 : 300000;
      std::thread aborter;
      {
        Exercise one(context,
                     {.kind = round % 3 == 2 ? Kind::kSendRecv : Kind::kAllReduce, .count = count});
        tuttiComm_t comm = context.comm();
        if (context.rank() == aborting) {
          aborter = std::thread([comm, round] {
            sleepMs(round);
            (void)tuttiCommAbort(comm);
          });
        }
        const tuttiResult_t result = repeatUntilError(context, [&] { return one.call(); });
        if (context.rank() == aborting) {
          // Inside the call: invalid usage; after it: no communicator any more.
          TUTTI_CHECK(context, result == tuttiInvalidUsage || result == tuttiInvalidArgument);
        } else {
          TUTTI_CHECK(context, result == tuttiRemoteError);
        }
        if (aborter.joinable()) aborter.join();
      }
      if (context.rank() != aborting) TUTTI_REQUIRE(context, tuttiCommAbort(context.comm()));
      context.setComm(nullptr);
      context.barrier();
    }
  });
}

TEST_P(Abort, DuringInit) {
  RunOptions options;
  options.setting = GetParam();
  options.makesComm = false;
  runRanks(options, [](RankContext& context) {
    const tuttiUniqueId id = context.newId();
    const int late = context.size() - 1;
    if (context.rank() == late) {
      context.awaitValue(0, static_cast<uint64_t>(late));
      return;
    }
    tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
    config.blocking = 0;
    tuttiComm_t comm = nullptr;
    TUTTI_CHECK(context, tuttiCommInitRankConfig(&comm, context.size(), id, context.rank(),
                                                 &config) == tuttiInProgress);
    TUTTI_CHECK(context, comm != nullptr);
    sleepMs(50);
    const int64_t start = nowNs();
    std::thread aborter([&] { (void)tuttiCommAbort(comm); });
    aborter.join();
    TUTTI_CHECK(context, secondsSince(start) < 5);
    tuttiResult_t state = tuttiSuccess;
    TUTTI_CHECK(context, tuttiCommGetAsyncError(comm, &state) == tuttiInvalidArgument);
    context.board().values[0].fetch_add(1);
  });
}

// One rank gives up joining; those who had joined hear of it.
TEST_P(Abort, OfOneRankDuringInit) {
  RunOptions options;
  options.setting = GetParam();
  options.makesComm = false;
  runRanks(options, [](RankContext& context) {
    const tuttiUniqueId id = context.newId();
    const int late = context.size() - 1;
    if (context.rank() == late) {
      context.awaitValue(0, static_cast<uint64_t>(late));
      return;
    }
    tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
    config.blocking = 0;
    config.timeoutMs = 10000;
    tuttiComm_t comm = nullptr;
    TUTTI_CHECK(context, tuttiCommInitRankConfig(&comm, context.size(), id, context.rank(),
                                                 &config) == tuttiInProgress);
    sleepMs(100);
    const int64_t start = nowNs();
    if (context.rank() != 0) {
      const tuttiResult_t state = context.settle(comm);
      TUTTI_CHECK(context, state == tuttiRemoteError || state == tuttiTimeout);
      TUTTI_CHECK(context, secondsSince(start) < 15);
    }
    TUTTI_REQUIRE(context, tuttiCommAbort(comm));
    context.board().values[0].fetch_add(1);
  });
}

// Blocking or not, a split that the others do not come to ends with its parent.
TEST_P(Abort, DuringSplit) {
  runRanks(GetParam(), [](RankContext& context) {
    tuttiComm_t comm = context.comm();
    if (context.rank() == 0) {
      std::thread aborter([&] {
        sleepMs(50);
        TUTTI_REQUIRE(context, tuttiCommAbort(comm));
      });
      const int64_t start = nowNs();
      tuttiComm_t half = nullptr;
      TUTTI_CHECK(context, tuttiCommSplit(comm, 0, 0, &half, nullptr) != tuttiSuccess);
      TUTTI_CHECK(context, half == nullptr);
      aborter.join();
      TUTTI_CHECK(context, secondsSince(start) < 5);
      context.setComm(nullptr);
      context.board().values[0].store(1);
      return;
    }
    context.awaitValue(0, 1);
    Exercise one(context, {.kind = Kind::kAllReduce, .count = 100});
    TUTTI_CHECK(context, one.call() == tuttiRemoteError);
    requireNamed(context, 0);
    giveUpComm(context);
  });
}

TEST_P(Abort, WithWorkOnAStream) {
  runRanks(GetParam(), [](RankContext& context) {
    tuttiStream_t stream = nullptr;
    TUTTI_REQUIRE(context, tuttiStreamCreate(context.comm(), &stream));
    Exercise one(context, {.kind = Kind::kAllReduce, .count = 100});
    tuttiComm_t comm = context.comm();
    if (context.rank() == 0) {
      TUTTI_REQUIRE(context, one.call(stream));
      context.doing("abort with work on a stream");
      giveUpComm(context);
      context.board().values[0].store(1);
    } else {
      context.awaitValue(0, 1);
      TUTTI_CHECK(context,
                  repeatUntilError(context, [&] { return one.call(); }) == tuttiRemoteError);
    }
    context.doing("synchronize after a failure");
    (void)tuttiStreamSynchronize(comm, stream);
    TUTTI_REQUIRE(context, tuttiStreamDestroy(comm, stream));
  });
}

// The queries any thread may make, while the communicator works and goes.
TEST_P(Abort, WhileOtherThreadsAsk) {
  runRanks(GetParam(), [](RankContext& context) {
    tuttiComm_t comm = context.comm();
    std::atomic<bool> isOver{false};
    std::thread asker([&] {
      while (!isOver.load()) {
        tuttiResult_t state = tuttiSuccess;
        (void)tuttiCommGetAsyncError(comm, &state);
        (void)tuttiGetLastError(comm);
      }
    });
    Exercise one(context, {.kind = Kind::kAllReduce, .count = 2000});
    for (int i = 0; i < 50; ++i) TUTTI_REQUIRE(context, one.call());
    context.barrier();
    giveUpComm(context);
    sleepMs(5);
    isOver.store(true);
    asker.join();
  });
}

// Whoever comes first frees the communicator; the other hears that it is gone.
TEST_P(Abort, WhileAnotherThreadDestroys) {
  runRanks(GetParam(), [](RankContext& context) {
    for (int round = 0; round < (kIsSanitized ? 10 : 30); ++round) {
      tuttiComm_t comm = context.newComm();
      context.doing("destroy against abort");
      tuttiResult_t aborted = tuttiInternalError;
      std::thread aborter([&] { aborted = tuttiCommAbort(comm); });
      if (round % 3 == 0) (void)tuttiCommFinalize(comm);
      const tuttiResult_t destroyed = tuttiCommDestroy(comm);
      aborter.join();
      const auto isFine = [](tuttiResult_t result) {
        return result == tuttiSuccess || result == tuttiInvalidArgument;
      };
      TUTTI_CHECK(context, isFine(aborted) && isFine(destroyed));
      TUTTI_CHECK(context, aborted == tuttiSuccess || destroyed == tuttiSuccess);
      int count = 0;
      TUTTI_CHECK(context, tuttiCommCount(comm, &count) == tuttiInvalidArgument);
      context.barrier();
    }
  });
}

INSTANTIATE_TEST_SUITE_P(All, Abort,
                         testing::ValuesIn(seen({{Launch::kThreads, 3}, {Launch::kProcesses, 3}})),
                         [](const auto& tested) { return name(tested.param); });

}  // namespace
}  // namespace tutti::test
