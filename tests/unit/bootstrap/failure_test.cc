// Ranks as processes that are killed, stopped, or abort. The parent has no threads, so that it can
// fork as often as it likes.
#include <atomic>
#include <cstring>

#include "src/base/errors.h"
#include "src/base/log.h"
#include "tests/unit/bootstrap/ranks.h"

namespace tutti::bootstrap::test {
namespace {

constexpr int kMaxRanks = 40;

// What the children tell the parent.
struct Board {
  std::atomic<bool> hasId{false};
  UniqueId id;
  std::atomic<int> joined{0};
  std::atomic<int> registered{0};
  struct Entry {
    std::atomic<int64_t> noticedMs{0};
    std::atomic<int> failedRank{-1};
    std::atomic<bool> isAbort{false};
    std::atomic<int> errorId{0};
    char reason[256];
  } entries[kMaxRanks];
};

void note(Board::Entry& entry, const PeerFailure& failure) {
  strncpy(entry.reason, failure.reason.c_str(), sizeof entry.reason - 1);
  entry.isAbort = failure.isAbort;
  entry.noticedMs = base::nowMs();
  entry.failedRank = failure.rank;
}

UniqueId idOf(Board& board, bool isMaker) {
  if (isMaker) {
    board.id = newId();
    board.hasId = true;
  }
  while (!board.hasId) usleep(1000);
  return board.id;
}

class FailureTest : public testing::Test {
 protected:
  // Starts `size` ranks; each joins, then runs body, then waits until the parent is done with it.
  void startRanks(int size, int fanOut, milliseconds timeout,
                  const std::function<void(ControlPlane&, Board::Entry&)>& body) {
    size_ = size;
    for (int rank = 0; rank < size; ++rank) {
      processes_.start([=, this, &board = *board_] {
        auto plane = joinAs(idOf(board, rank == 0), rank, size, timeout, fanOut);
        if (!plane) {
          fprintf(stderr, "rank %d: %s\n", rank, plane.status().toString().c_str());
          return 1;
        }
        ++board.joined;
        body(**plane, board.entries[rank]);
        return 0;
      });
    }
    const int64_t end = base::nowMs() + 20000;
    while (board_->joined < size && base::nowMs() < end) usleep(1000);
    ASSERT_EQ(board_->joined, size);
  }

  static void watch(ControlPlane& plane, Board::Entry& entry) {
    if (const auto failure = awaitFailure(plane, milliseconds(20000))) note(entry, *failure);
  }

  // Checks that all ranks but `gone` noticed one of `gone` within limitMs of startMs.
  void expectNoticed(const std::vector<int>& gone, int64_t startMs, int64_t limitMs) {
    for (int rank = 0; rank < size_; ++rank) {
      if (std::count(gone.begin(), gone.end(), rank) != 0) continue;
      ASSERT_EQ(processes_.wait(static_cast<size_t>(rank)), 0) << "rank " << rank;
      const Board::Entry& entry = board_->entries[rank];
      EXPECT_EQ(std::count(gone.begin(), gone.end(), entry.failedRank.load()), 1)
          << "rank " << rank << " blames " << entry.failedRank << ": " << entry.reason;
      EXPECT_LT(entry.noticedMs - startMs, limitMs) << "rank " << rank;
      const size_t failed = static_cast<size_t>(entry.failedRank.load());
      if (failed >= static_cast<size_t>(size_)) continue;
      const std::string pid = "process " + std::to_string(processes_.pid(failed));
      EXPECT_NE(std::string(entry.reason).find(pid), std::string::npos) << entry.reason;
      EXPECT_NE(std::string(entry.reason).find("on host "), std::string::npos) << entry.reason;
    }
  }

  void killAndExpect(int size, int fanOut, const std::vector<int>& victims) {
    startRanks(size, fanOut, milliseconds(20000), watch);
    const int64_t start = base::nowMs();
    for (const int victim : victims) processes_.signal(static_cast<size_t>(victim), SIGKILL);
    expectNoticed(victims, start, 2000);
  }

  Shared<Board> board_;
  Processes processes_;
  int size_ = 0;
};

TEST_F(FailureTest, KilledLeaf) { killAndExpect(5, 32, {3}); }
TEST_F(FailureTest, KilledRoot) { killAndExpect(5, 32, {0}); }
TEST_F(FailureTest, KilledInner) { killAndExpect(8, 2, {1}); }
TEST_F(FailureTest, KilledDeepLeaf) { killAndExpect(8, 2, {7}); }
TEST_F(FailureTest, KilledNeighboursAtOnce) { killAndExpect(8, 2, {0, 1}); }
TEST_F(FailureTest, KilledParentAndChild) { killAndExpect(9, 2, {1, 3}); }
TEST_F(FailureTest, KilledAllButThree) { killAndExpect(8, 2, {0, 1, 2, 3, 4}); }
TEST_F(FailureTest, KilledAmongMany) { killAndExpect(34, 32, {33}); }

TEST_F(FailureTest, KilledWhileOthersExchange) {
  startRanks(5, 2, milliseconds(20000), [](ControlPlane& plane, Board::Entry& entry) {
    while (true) {
      const auto values = plane.allGather("x");
      if (values) continue;
      entry.errorId = values.status().errorId();
      break;
    }
    watch(plane, entry);
  });
  usleep(50000);
  const int64_t start = base::nowMs();
  processes_.signal(4, SIGKILL);
  expectNoticed({4}, start, 2000);
  for (const int rank : {0, 1, 2, 3}) {
    EXPECT_EQ(board_->entries[rank].errorId, base::kErrPeerDied) << rank;
  }
}

TEST_F(FailureTest, StoppedIsNoticedAfterTheTimeout) {
  for (const int victim : {1}) {
    startRanks(5, 2, milliseconds(2000), watch);
    const int64_t start = base::nowMs();
    processes_.signal(static_cast<size_t>(victim), SIGSTOP);
    expectNoticed({victim}, start, 5000);
    for (const int rank : {0, 2, 3, 4}) {
      EXPECT_GE(board_->entries[rank].noticedMs - start, 1500);
      EXPECT_NE(std::string(board_->entries[rank].reason).find("no sign of life"),
                std::string::npos);
    }
  }
}

TEST_F(FailureTest, AllStoppedForAWhileIsNoFailure) {
  startRanks(3, 2, milliseconds(2500), [](ControlPlane& plane, Board::Entry& entry) {
    if (const auto failure = awaitFailure(plane, milliseconds(5500))) note(entry, *failure);
    plane.announceLeave();
  });
  for (size_t i = 0; i < 3; ++i) processes_.signal(i, SIGSTOP);
  usleep(3'500'000);
  for (size_t i = 0; i < 3; ++i) processes_.signal(i, SIGCONT);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(processes_.wait(i), 0);
    EXPECT_EQ(board_->entries[i].failedRank, -1) << board_->entries[i].reason;
  }
}

TEST_F(FailureTest, AbortIsToldWithItsReasonEvenIfTheProcessEndsAtOnce) {
  startRanks(6, 2, milliseconds(20000), [](ControlPlane& plane, Board::Entry& entry) {
    if (plane.rank() != 2) return watch(plane, entry);
    usleep(200'000);
    entry.noticedMs = base::nowMs();
    plane.announceAbort("the optimiser found a NaN");
    _exit(0);
  });
  ASSERT_EQ(processes_.wait(2), 0);
  for (const size_t rank : {0u, 1u, 3u, 4u, 5u}) {
    ASSERT_EQ(processes_.wait(rank), 0);
    const Board::Entry& entry = board_->entries[rank];
    EXPECT_EQ(entry.failedRank, 2) << entry.reason;
    EXPECT_TRUE(entry.isAbort);
    EXPECT_NE(std::string(entry.reason).find("the optimiser found a NaN"), std::string::npos);
    EXPECT_LT(entry.noticedMs - board_->entries[2].noticedMs, 1000);
  }
}

TEST_F(FailureTest, LeavingInOrderIsNoFailure) {
  startRanks(7, 2, milliseconds(20000), [](ControlPlane& plane, Board::Entry& entry) {
    // Inner ranks leave first.
    usleep(static_cast<useconds_t>(plane.rank()) * 50'000);
    if (const auto failure = plane.failure()) note(entry, *failure);
    plane.announceLeave();
  });
  for (size_t rank = 0; rank < 7; ++rank) {
    EXPECT_EQ(processes_.wait(rank), 0);
    EXPECT_EQ(board_->entries[rank].failedRank, -1) << board_->entries[rank].reason;
  }
}

TEST_F(FailureTest, KilledWhileAChildOfItLivesOn) {
  startRanks(3, 2, milliseconds(20000), [](ControlPlane& plane, Board::Entry& entry) {
    if (plane.rank() != 1) return watch(plane, entry);
    // Like a data loader's worker: forked after init, it inherits every descriptor.
    if (fork() == 0) {
      usleep(4'000'000);
      _exit(0);
    }
    entry.failedRank = 0;
    watch(plane, entry);
  });
  while (board_->entries[1].failedRank != 0) usleep(1000);
  usleep(50'000);
  const int64_t start = base::nowMs();
  processes_.signal(1, SIGKILL);
  expectNoticed({1}, start, 2000);
}

TEST_F(FailureTest, KilledWhileJoining) {
  for (const int victim : {0, 1}) {
    Shared<Board> board;
    Processes processes;
    for (int rank = 0; rank < 3; ++rank) {
      processes.start([&board = *board, rank] {
        const UniqueId id = idOf(board, rank == 0);
        ++board.registered;
        auto plane = joinAs(id, rank, 4, milliseconds(20000));
        board.entries[rank].noticedMs = base::nowMs();
        board.entries[rank].errorId = plane.status().errorId();
        strncpy(board.entries[rank].reason, plane.status().toString().c_str(), 255);
        return 0;
      });
    }
    while (board->registered < 3) usleep(1000);
    usleep(300'000);
    const int64_t start = base::nowMs();
    processes.signal(static_cast<size_t>(victim), SIGKILL);
    for (int rank = 0; rank < 3; ++rank) {
      if (rank == victim) continue;
      ASSERT_EQ(processes.wait(static_cast<size_t>(rank)), 0);
      const Board::Entry& entry = board->entries[rank];
      EXPECT_LT(entry.noticedMs - start, 2000);
      EXPECT_EQ(entry.errorId, victim == 0 ? base::kErrRendezvousLost : base::kErrPeerDied)
          << entry.reason;
      if (victim == 0) continue;
      EXPECT_NE(std::string(entry.reason).find("rank 1"), std::string::npos);
    }
  }
}

TEST_F(FailureTest, ForkedChildMakesItsOwn) {
  if (tutti::test::kIsThreadSanitized) {
    GTEST_SKIP() << "the thread sanitizer ends forked children that start threads";
  }
  const int exitCode = processes_.wait(processes_.start([] {
    const UniqueId id = newId();
    auto plane = joinAs(id, 0, 1);
    if (!plane) return 1;
    Processes children;
    const int code = children.wait(children.start([&] {
      if ((*plane)->allGather("x").isOk()) return 2;
      plane->reset();
      auto own = joinAs(newId(), 0, 1);
      return own.isOk() && (*own)->allGather("x").isOk() ? 0 : 3;
    }));
    return code == 0 && (*plane)->allGather("x").isOk() ? 0 : 10 + code;
  }));
  EXPECT_EQ(exitCode, 0);
}

}  // namespace
}  // namespace tutti::bootstrap::test
