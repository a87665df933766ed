// Joining and exchanging values, with ranks as threads over loopback.
#include <numeric>

#include "src/base/errors.h"
#include "tests/unit/bootstrap/ranks.h"

namespace tutti::bootstrap::test {
namespace {

std::string valueOf(int rank, size_t bytes) {
  return std::to_string(rank) + std::string(bytes, static_cast<char>('a' + rank % 26));
}

class SizeTest : public testing::TestWithParam<int> {};

TEST_P(SizeTest, JoinsAndGathers) {
  const int size = GetParam();
  const UniqueId id = newId();
  runThreads(size, [&](int rank) {
    auto plane = joinAs(id, rank, size);
    ASSERT_TRUE(plane.isOk()) << plane.status().toString();
    EXPECT_EQ((*plane)->rank(), rank);
    EXPECT_EQ((*plane)->size(), size);
    for (const size_t bytes : {0u, 1u, 1000u, 0u, 77u}) {
      auto values = (*plane)->allGather(valueOf(rank, bytes * static_cast<size_t>(rank)));
      ASSERT_TRUE(values.isOk()) << values.status().toString();
      for (int other = 0; other < size; ++other) {
        EXPECT_EQ((*values)[static_cast<size_t>(other)],
                  valueOf(other, bytes * static_cast<size_t>(other)));
      }
    }
    EXPECT_FALSE((*plane)->hasFailed());
    (*plane)->announceLeave();
  });
}

std::vector<int> sizes() {
  if (tutti::test::kIsThreadSanitized) return {1, 2, 3, 5, 8, 17};
  return {1, 2, 3, 5, 8, 33, 64};
}

INSTANTIATE_TEST_SUITE_P(Sizes, SizeTest, testing::ValuesIn(sizes()));

TEST(Join, DeepTree) {
  const int size = 13;
  const UniqueId id = newId();
  runThreads(size, [&](int rank) {
    auto plane = joinAs(id, rank, size, kPatience, 2);
    ASSERT_TRUE(plane.isOk()) << plane.status().toString();
    for (int i = 0; i < 20; ++i) {
      auto values = (*plane)->allGather(valueOf(rank, 3));
      ASSERT_TRUE(values.isOk()) << values.status().toString();
      for (int r = 0; r < size; ++r) EXPECT_EQ((*values)[static_cast<size_t>(r)], valueOf(r, 3));
    }
    EXPECT_FALSE((*plane)->hasFailed());
    (*plane)->announceLeave();
  });
}

TEST(Join, SixtyFourRanksAreFast) {
  const int size = tutti::test::kIsThreadSanitized ? 24 : 64;
  const UniqueId id = newId();
  std::atomic<int64_t> joinNs{0};
  std::atomic<int64_t> gatherNs{0};
  runThreads(size, [&](int rank) {
    const int64_t start = base::nowNs();
    auto plane = joinAs(id, rank, size);
    ASSERT_TRUE(plane.isOk()) << plane.status().toString();
    if (rank == 0) joinNs = base::nowNs() - start;
    const int rounds = 20;
    ASSERT_TRUE((*plane)->allGather("").isOk());
    const int64_t begin = base::nowNs();
    for (int i = 0; i < rounds; ++i)
      ASSERT_TRUE((*plane)->allGather(std::string(1024, 'x')).isOk());
    if (rank == 0) gatherNs = (base::nowNs() - begin) / rounds;
    (*plane)->announceLeave();
  });
  RecordProperty("join_us", static_cast<int>(joinNs / 1000));
  RecordProperty("allgather_us", static_cast<int>(gatherNs / 1000));
  printf("%d ranks: join %.1f ms, allGather of 1 KiB %.2f ms\n", size,
         static_cast<double>(joinNs) / 1e6, static_cast<double>(gatherNs) / 1e6);
  EXPECT_LT(joinNs, 5'000'000'000);
}

TEST(Join, LargeValues) {
  const size_t bytes = size_t{tutti::test::kIsThreadSanitized ? 1 : 16} << 20;
  const UniqueId id = newId();
  runThreads(3, [&](int rank) {
    auto plane = joinAs(id, rank, 3);
    ASSERT_TRUE(plane.isOk()) << plane.status().toString();
    auto values = (*plane)->allGather(std::string(bytes, static_cast<char>('a' + rank)));
    ASSERT_TRUE(values.isOk()) << values.status().toString();
    for (size_t r = 0; r < 3; ++r) {
      EXPECT_EQ((*values)[r], std::string(bytes, static_cast<char>('a' + r)));
    }
    auto tooLarge = (*plane)->allGather(std::string((16 << 20) + 1, 'x'));
    ASSERT_FALSE(tooLarge.isOk());
    EXPECT_EQ(tooLarge.status().errorId(), base::kErrValueTooLarge);
    (*plane)->announceLeave();
  });
}

TEST(Join, SeveralCommunicatorsAtOnce) {
  const UniqueId ids[3] = {newId(), newId(), newId()};
  runThreads(12, [&](int i) {
    const int comm = i % 3;
    auto plane = joinAs(ids[comm], i / 3, 4);
    ASSERT_TRUE(plane.isOk()) << plane.status().toString();
    auto values = (*plane)->allGather(std::to_string(comm));
    ASSERT_TRUE(values.isOk());
    for (const std::string& value : *values) EXPECT_EQ(value, std::to_string(comm));
    (*plane)->announceLeave();
  });
}

TEST(Join, SeveralRoots) {
  for (const int roots : {2, 3, 5}) {
    std::vector<UniqueId> ids;
    for (int i = 0; i < roots; ++i) ids.push_back(newId());
    runThreads(9, [&](int rank) {
      auto plane = joinWithFanOut({.ids = ids, .rank = rank, .size = 9}, 2);
      ASSERT_TRUE(plane.isOk()) << plane.status().toString();
      auto values = (*plane)->allGather(valueOf(rank, 9));
      ASSERT_TRUE(values.isOk());
      for (int r = 0; r < 9; ++r) EXPECT_EQ((*values)[static_cast<size_t>(r)], valueOf(r, 9));
      (*plane)->announceLeave();
    });
  }
}

TEST(Join, TokensAgreeWithinAndDifferBetweenCommunicators) {
  std::array<std::array<std::byte, 32>, 4> tokens;
  for (size_t comm = 0; comm < 2; ++comm) {
    const UniqueId id = newId();
    runThreads(2, [&](int rank) {
      auto plane = joinAs(id, rank, 2);
      ASSERT_TRUE(plane.isOk());
      tokens[comm * 2 + static_cast<size_t>(rank)] = (*plane)->deriveToken("data");
      EXPECT_NE((*plane)->deriveToken("data"), (*plane)->deriveToken("other"));
      (*plane)->announceLeave();
    });
  }
  EXPECT_EQ(tokens[0], tokens[1]);
  EXPECT_EQ(tokens[2], tokens[3]);
  EXPECT_NE(tokens[0], tokens[2]);
}

TEST(Join, SizeMismatchIsToldToAll) {
  const UniqueId id = newId();
  runThreads(3, [&](int rank) {
    auto plane = joinAs(id, rank, rank == 2 ? 8 : 3);
    ASSERT_FALSE(plane.isOk());
    EXPECT_EQ(plane.status().errorId(), base::kErrSizeMismatch) << plane.status().toString();
    EXPECT_NE(plane.status().text().find("says 8"), std::string_view::npos)
        << plane.status().toString();
    EXPECT_NE(plane.status().text().find("says 3"), std::string_view::npos);
  });
}

TEST(Join, RankTakenTwice) {
  const UniqueId id = newId();
  runThreads(3, [&](int i) {
    auto plane = joinAs(id, i == 2 ? 1 : i, 4);
    ASSERT_FALSE(plane.isOk());
    EXPECT_EQ(plane.status().errorId(), base::kErrDuplicateRank) << plane.status().toString();
    EXPECT_NE(plane.status().text().find("rank 1 is taken twice"), std::string_view::npos);
  });
}

TEST(Join, TimeoutNamesWhoIsMissing) {
  const UniqueId id = newId();
  const int64_t start = base::nowMs();
  runThreads(3, [&](int i) {
    auto plane = joinAs(id, i * 2, 6, milliseconds(700));
    ASSERT_FALSE(plane.isOk());
    EXPECT_NE(plane.status().text().find("ranks 1, 3, 5 of 6 have not joined"),
              std::string_view::npos)
        << plane.status().toString();
  });
  EXPECT_LT(base::nowMs() - start, 5000);
}

TEST(Join, AbortFromAnotherThread) {
  const UniqueId id = newId();
  std::atomic<bool> isAborted{false};
  std::atomic<int64_t> abortedAt{0};
  std::thread aborter([&] {
    std::this_thread::sleep_for(milliseconds(200));
    abortedAt = base::nowMs();
    isAborted = true;
  });
  auto plane = ControlPlane::join({.ids = {&id, 1}, .rank = 0, .size = 2, .isAborted = &isAborted});
  EXPECT_LT(base::nowMs() - abortedAt, 1000);
  aborter.join();
  ASSERT_FALSE(plane.isOk());
  EXPECT_EQ(plane.status().errorId(), base::kErrJoinAborted);
}

TEST(Join, OneThatGivesUpEndsTheOthers) {
  const UniqueId id = newId();
  const int64_t start = base::nowMs();
  std::atomic<bool> isAborted{false};
  runThreads(4, [&](int rank) {
    if (rank == 3) {
      std::this_thread::sleep_for(milliseconds(300));
      isAborted = true;
      return;
    }
    auto plane = ControlPlane::join(
        {.ids = {&id, 1}, .rank = rank, .size = 4, .isAborted = rank == 1 ? &isAborted : nullptr});
    ASSERT_FALSE(plane.isOk());
    if (rank == 1) return;
    EXPECT_EQ(plane.status().errorId(), base::kErrPeerAborted) << plane.status().toString();
    EXPECT_NE(plane.status().text().find("rank 1"), std::string_view::npos);
  });
  EXPECT_LT(base::nowMs() - start, 5000);
}

TEST(Join, IdIsGoodForOneCommunicator) {
  const UniqueId id = newId();
  ASSERT_TRUE(joinAs(id, 0, 1).isOk());
  const auto again = joinAs(id, 0, 1);
  ASSERT_FALSE(again.isOk());
}

TEST(Join, BadArguments) {
  const UniqueId id = newId();
  EXPECT_EQ(joinAs(id, 2, 2).status().code(), base::Code::kInvalidArgument);
  EXPECT_EQ(joinAs(id, -1, 2).status().code(), base::Code::kInvalidArgument);
  EXPECT_EQ(joinAs(id, 0, 0).status().code(), base::Code::kInvalidArgument);
  EXPECT_EQ(joinAs(UniqueId{}, 0, 1).status().errorId(), base::kErrBadUniqueId);
  UniqueId damaged = id;
  damaged.bytes[20] ^= std::byte{1};
  EXPECT_EQ(joinAs(damaged, 0, 1).status().errorId(), base::kErrBadUniqueId);
}

TEST(Gather, TimeoutNamesWhoIsMissing) {
  const UniqueId id = newId();
  runThreads(5, [&](int rank) {
    auto plane = joinAs(id, rank, 5, milliseconds(1500), 2);
    ASSERT_TRUE(plane.isOk()) << plane.status().toString();
    if (rank == 1 || rank == 4) {
      std::this_thread::sleep_for(milliseconds(2600));
    } else {
      auto values = (*plane)->allGather("x");
      ASSERT_FALSE(values.isOk());
      EXPECT_EQ(values.status().errorId(), base::kErrCollectiveTimeout)
          << values.status().toString();
      EXPECT_NE(values.status().text().find("ranks 1, 4 of 5"), std::string_view::npos)
          << values.status().toString();
      std::this_thread::sleep_for(milliseconds(600));
    }
    (*plane)->announceLeave();
  });
}

TEST(Gather, EndsWhenAPeerLeft) {
  const UniqueId id = newId();
  runThreads(3, [&](int rank) {
    auto plane = joinAs(id, rank, 3);
    ASSERT_TRUE(plane.isOk());
    if (rank == 2) return (*plane)->announceLeave();
    auto values = (*plane)->allGather("x");
    ASSERT_FALSE(values.isOk());
    EXPECT_EQ(values.status().errorId(), base::kErrPeerLeft) << values.status().toString();
    EXPECT_NE(values.status().text().find('2'), std::string_view::npos) << values.status().text();
    EXPECT_FALSE((*plane)->hasFailed());
    (*plane)->announceLeave();
  });
}

}  // namespace
}  // namespace tutti::bootstrap::test
