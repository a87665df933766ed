// Operations in the order of a stream, driven by the progress thread.
#include <gtest/gtest.h>

#include <atomic>

#include "src/base/errors.h"
#include "src/executor/progress_thread.h"
#include "tests/unit/executor/ranks.h"

namespace tutti::executor::test {
namespace {

using Clock = std::chrono::steady_clock;
using ir::Call;
using ir::Collective;
using ir::DataType;
using ir::RedOp;
using Flag = std::shared_ptr<std::atomic<uint32_t>>;

Flag makeFlag(uint32_t value) { return std::make_shared<std::atomic<uint32_t>>(value); }

bool becomesSet(const Flag& flag, milliseconds limit = milliseconds(10000)) {
  const auto end = Clock::now() + limit;
  while (flag->load() == 0) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

Request allReduce(Ranks& ranks, int rank, std::vector<float>& values, const Flag& gate,
                  const Flag& release) {
  Request request;
  request.programs = ranks.programs(
      {Collective::kAllReduce, DataType::kFloat32, RedOp::kSum, values.size(), 0}, rank);
  request.input = request.output = values.data();
  request.gate = gate;
  request.release = release;
  return request;
}

TEST(Async, WaitsForItsGateAndSaysWhenItIsDone) {
  Ranks ranks(3);
  std::vector<std::vector<float>> values(3, std::vector<float>(5000, 1));
  std::vector<Flag> gates;
  std::vector<Flag> releases;
  for (int rank = 0; rank < 3; ++rank) {
    gates.push_back(makeFlag(0));
    releases.push_back(makeFlag(0));
    ranks.engine(rank).startAsync(
        allReduce(ranks, rank, values[static_cast<size_t>(rank)], gates.back(), releases.back()));
  }
  for (int rank = 0; rank < 2; ++rank) gates[static_cast<size_t>(rank)]->store(1);
  ProgressThread::instance().wake();
  EXPECT_FALSE(becomesSet(releases[0], milliseconds(50))) << "rank 2 has not started";
  gates[2]->store(1);
  ProgressThread::instance().wake();
  for (const auto& release : releases) EXPECT_TRUE(becomesSet(release));
  for (const auto& mine : values) EXPECT_EQ(std::vector<float>(5000, 3), mine);
  for (int rank = 0; rank < 3; ++rank) {
    ranks.engine(rank).drainAsync();
    EXPECT_FALSE(ranks.engine(rank).hasAsync());
  }
}

TEST(Async, KeepsTheOrderOfManyOperations) {
  constexpr int kOperations = 100;
  Ranks ranks(2);
  std::vector<std::vector<float>> values(2, std::vector<float>(100, 1));
  Flag last[2];
  for (int turn = 0; turn < kOperations; ++turn) {
    for (int rank = 0; rank < 2; ++rank) {
      last[rank] = makeFlag(0);
      ranks.engine(rank).startAsync(
          allReduce(ranks, rank, values[static_cast<size_t>(rank)], makeFlag(1), last[rank]));
    }
    if (turn % 20 == 19) {
      for (const auto& flag : last) ASSERT_TRUE(becomesSet(flag));
      for (auto& mine : values) {
        EXPECT_EQ(mine[99], static_cast<float>(1 << 20)) << "20 doublings";
        std::fill(mine.begin(), mine.end(), 1.0F);
      }
    }
  }
}

// A blocking call and asynchronous ones of the same engine go on in the order they were started.
TEST(Async, BlockingCallsWaitForTheirTurn) {
  Ranks ranks(2);
  ranks.run([&](int rank) {
    std::vector<float> first(1000, 1);
    std::vector<float> second(1000, 1);
    const auto release = makeFlag(0);
    auto& engine = ranks.engine(rank);
    engine.startAsync(allReduce(ranks, rank, first, makeFlag(1), release));
    const auto status =
        ranks.call(rank, {Collective::kAllReduce, DataType::kFloat32, RedOp::kSum, 1000, 0},
                   second.data(), second.data());
    ASSERT_TRUE(status.isOk()) << status.toString();
    EXPECT_TRUE(becomesSet(release));
    EXPECT_EQ(first[999], 2);
    EXPECT_EQ(second[999], 2);
    engine.drainAsync();
  });
}

TEST(Async, AFailureReleasesTheStream) {
  Ranks ranks(2, {.timeout = milliseconds(300)});
  std::vector<float> values(10, 1);
  const auto release = makeFlag(0);
  ranks.engine(0).startAsync(allReduce(ranks, 0, values, makeFlag(1), release));
  EXPECT_TRUE(becomesSet(release)) << "or the stream would hang for ever";
  EXPECT_TRUE(ranks.engine(0).hasFailed());
  EXPECT_EQ(ranks.engine(0).failure().errorId(), base::kErrCollectiveTimeout);
}

TEST(Async, AnEngineMayGoWhileOperationsWait) {
  Ranks ranks(2);
  std::vector<float> values(10, 1);
  ranks.engine(0).startAsync(allReduce(ranks, 0, values, makeFlag(0), makeFlag(0)));
  ranks.engine(0).abort({base::Code::kInvalidUsage, base::kErrPeerAborted, "over"});
}

}  // namespace
}  // namespace tutti::executor::test
