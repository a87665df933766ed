// Operations that end badly: in time, on all ranks, and saying why.
#include <gtest/gtest.h>

#include <atomic>

#include "src/base/errors.h"
#include "tests/unit/executor/ranks.h"

namespace tutti::executor::test {
namespace {

using base::Code;
using Clock = std::chrono::steady_clock;
using ir::Call;
using ir::Collective;
using ir::DataType;
using ir::RedOp;

Call allReduce(uint64_t count) {
  return {Collective::kAllReduce, DataType::kFloat32, RedOp::kSum, count, 0};
}

std::string textOf(const base::Status& status) { return status.toString(); }

TEST(Failure, DifferentCountsAreToldApart) {
  for (const uint64_t count : {uint64_t{4}, uint64_t{40000}}) {
    Ranks ranks(3);
    ranks.run([&](int rank) {
      const auto mine = count + (rank == 2 ? 1 : 0);
      std::vector<float> values(mine);
      const auto status = ranks.call(rank, allReduce(mine), values.data(), values.data());
      ASSERT_FALSE(status.isOk());
      const bool isPrecise = status.errorId() == base::kErrCollectiveMismatch;
      EXPECT_TRUE(isPrecise || status.errorId() == base::kErrPeerAborted) << textOf(status);
      if (!isPrecise) return;
      EXPECT_EQ(status.code(), Code::kInvalidUsage);
      EXPECT_NE(textOf(status).find(std::to_string(count + 1)), std::string::npos)
          << textOf(status);
    });
  }
}

TEST(Failure, DifferentCollectivesAreToldApart) {
  Ranks ranks(2);
  ranks.run([&](int rank) {
    std::vector<float> input(2000);
    std::vector<float> output(4000);
    Call call = allReduce(1000);
    if (rank == 1) call.collective = Collective::kAllGather;
    const auto status = ranks.call(rank, call, input.data(), output.data());
    ASSERT_FALSE(status.isOk());
    if (status.errorId() != base::kErrCollectiveMismatch) return;
    EXPECT_NE(textOf(status).find("all_gather"), std::string::npos) << textOf(status);
    EXPECT_NE(textOf(status).find("all_reduce"), std::string::npos) << textOf(status);
  });
}

TEST(Failure, ALateRankIsNamed) {
  Ranks ranks(3, {.timeout = milliseconds(200)});
  const auto start = Clock::now();
  ranks.run([&](int rank) {
    if (rank == 1) return;
    float value = 1;
    const auto status = ranks.call(rank, allReduce(1), &value, &value);
    ASSERT_FALSE(status.isOk());
    if (status.code() != Code::kTimeout) return;  // the other one said so first
    EXPECT_EQ(status.errorId(), base::kErrCollectiveTimeout);
    EXPECT_NE(textOf(status).find("rank 1 did not arrive"), std::string::npos) << textOf(status);
  });
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(10));
}

TEST(Failure, ARankThatLeftIsNotWaitedFor) {
  Ranks ranks(2);
  ranks.engine(1).leave();
  float value = 1;
  const auto status = ranks.call(0, allReduce(1), &value, &value);
  EXPECT_EQ(status.code(), Code::kRemoteError);
  EXPECT_EQ(status.errorId(), base::kErrPeerLeft) << textOf(status);
  EXPECT_NE(textOf(status).find("rank 1"), std::string::npos) << textOf(status);
}

// What a rank did before it left counts.
TEST(Failure, LeavingAfterOnesPartIsInOrder) {
  for (int turn = 0; turn < 50; ++turn) {
    Ranks ranks(2);
    ranks.run([&](int rank) {
      float value = 1;
      const auto status = ranks.call(rank, allReduce(1), &value, &value);
      EXPECT_TRUE(status.isOk()) << textOf(status);
      EXPECT_EQ(value, 2);
      ranks.engine(rank).leave();
    });
  }
}

TEST(Failure, AbortEndsACallThatWaits) {
  Ranks ranks(2);
  std::thread other([&] {
    std::this_thread::sleep_for(milliseconds(50));
    ranks.engine(0).abort({Code::kInvalidUsage, base::kErrPeerAborted, "enough"});
  });
  const auto start = Clock::now();
  float value = 1;
  const auto status = ranks.call(0, allReduce(1), &value, &value);
  other.join();
  EXPECT_EQ(status.code(), Code::kInvalidUsage);
  EXPECT_EQ(status.text(), "enough");
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(5));
  EXPECT_TRUE(ranks.engine(0).hasFailed());
}

TEST(Failure, APeersFailureEndsTheOthers) {
  Ranks ranks(3);
  ranks.engine(2).abort({Code::kInternalError, base::kErrInternal, "a defect"});
  ranks.run([&](int rank) {
    if (rank == 2) return;
    float value = 1;
    const auto status = ranks.call(rank, allReduce(1), &value, &value);
    EXPECT_EQ(status.code(), Code::kRemoteError) << textOf(status);
  });
}

TEST(Failure, TheFirstFailureStands) {
  Ranks ranks(2);
  ranks.engine(0).abort({Code::kInternalError, base::kErrInternal, "first"});
  ranks.engine(0).abort({Code::kInternalError, base::kErrInternal, "second"});
  EXPECT_EQ(ranks.engine(0).failure().text(), "first");
}

TEST(Failure, MessagesThatDoNotMatchAreToldApart) {
  Ranks ranks(2, {.timeout = milliseconds(3000)});
  ranks.run([&](int rank) {
    std::vector<float> values(10);
    const auto collective = rank == 0 ? Collective::kSend : Collective::kRecv;
    const Call call{collective, DataType::kFloat32, RedOp::kSum,
                    static_cast<uint64_t>(rank == 0 ? 5 : 6), 1 - rank};
    const auto status = ranks.call(rank, call, values.data(), values.data());
    if (rank == 0) return;  // the sender's buffer was free before anybody looked
    EXPECT_EQ(status.errorId(), base::kErrCollectiveMismatch) << textOf(status);
  });
}

// An outside failure ends the wait as soon as it is known, unless the data is there already.
TEST(Failure, TheControlPlanesNewsEndTheWait) {
  Ranks ranks(2);
  std::atomic<bool> isGone{false};
  EngineOptions options = ranks.engine(0).options();
  options.externalFailure = [&] {
    return isGone ? base::Status(Code::kRemoteError, base::kErrPeerDied, "rank 1 is gone")
                  : base::Status();
  };
  Engine engine(std::move(options));
  Request request;
  float value = 1;
  request.programs = ranks.programs(allReduce(1), 0);
  request.input = request.output = &value;
  std::thread killer([&] {
    std::this_thread::sleep_for(milliseconds(50));
    isGone = true;
  });
  const auto status = engine.wait(engine.start(std::move(request)));
  killer.join();
  EXPECT_EQ(status.errorId(), base::kErrPeerDied) << textOf(status);
}

}  // namespace
}  // namespace tutti::executor::test
