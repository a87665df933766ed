// Ranks that disagree: an error on every rank, with a text that says what both called, and no hang.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <vector>

#include "tests/faults/faults.h"

namespace tutti::test {
namespace {

constexpr int kTimeoutMs = 2000;

struct Disagreement {
  const char* title;
  // Rank 1 makes `odd`, all others `usual`.
  std::function<tuttiResult_t(tuttiComm_t, int32_t*, int32_t*)> usual, odd;
  std::vector<std::string> texts;  // what the explaining text holds
};

void PrintTo(const Disagreement& disagreement, std::ostream* out) { *out << disagreement.title; }

constexpr size_t kElements = 4096;

auto allReduce(size_t count, tuttiDataType_t type, tuttiRedOp_t op) {
  return [=](tuttiComm_t comm, int32_t* send, int32_t* recv) {
    return tuttiAllReduce(send, recv, count, type, op, comm, nullptr);
  };
}
auto broadcast(size_t count, int root) {
  return [=](tuttiComm_t comm, int32_t* send, int32_t* recv) {
    return tuttiBroadcast(send, recv, count, tuttiInt32, root, comm, nullptr);
  };
}
auto allGather(size_t count) {
  return [=](tuttiComm_t comm, int32_t* send, int32_t* recv) {
    return tuttiAllGather(send, recv, count, tuttiInt32, comm, nullptr);
  };
}

// A count for each rank.
std::vector<size_t> counts(tuttiComm_t comm, size_t each) {
  int size = 0;
  (void)tuttiCommCount(comm, &size);
  return std::vector<size_t>(static_cast<size_t>(size), each);
}
size_t rankOf(tuttiComm_t comm) {
  int rank = 0;
  (void)tuttiCommUserRank(comm, &rank);
  return static_cast<size_t>(rank);
}

// Rank 0 gives `first` elements, the last rank 20 - first, the others 10.
auto allGatherV(size_t first) {
  return [=](tuttiComm_t comm, int32_t* send, int32_t* recv) {
    auto all = counts(comm, 10);
    all.front() = first;
    all.back() = 20 - first;
    return tuttiAllGatherV(send, all[rankOf(comm)], recv, all.data(), nullptr, tuttiInt32, comm,
                           nullptr);
  };
}

// Every rank sends each other 10 elements, but `toZero` to rank 0.
auto allToAllV(size_t toZero) {
  return [=](tuttiComm_t comm, int32_t* send, int32_t* recv) {
    const auto receives = counts(comm, 10);
    auto sends = receives;
    if (rankOf(comm) != 0) sends[0] = toZero;
    return tuttiAllToAllV(send, sends.data(), nullptr, recv, receives.data(), nullptr, tuttiInt32,
                          comm, nullptr);
  };
}
auto gatherV(int root, size_t count) {
  return [=](tuttiComm_t comm, int32_t* send, int32_t* recv) {
    return tuttiGatherV(send, count, recv, counts(comm, count).data(), nullptr, tuttiInt32, root,
                        comm, nullptr);
  };
}
auto scatterV(int root, size_t count) {
  return [=](tuttiComm_t comm, int32_t* send, int32_t* recv) {
    return tuttiScatterV(send, counts(comm, count).data(), nullptr, recv, count, tuttiInt32, root,
                         comm, nullptr);
  };
}
auto sendToZero(size_t count) {
  return [=](tuttiComm_t comm, int32_t* send, int32_t*) {
    return tuttiSend(send, count, tuttiInt32, 0, comm, nullptr);
  };
}

std::vector<Disagreement> disagreements() {
  return {
      {"count",
       allReduce(100, tuttiInt32, tuttiSum),
       allReduce(101, tuttiInt32, tuttiSum),
       {"all_reduce of 100", "all_reduce of 101"}},
      {"large_count",
       allReduce(4000, tuttiInt32, tuttiSum),
       allReduce(4001, tuttiInt32, tuttiSum),
       {"all_reduce of 4000", "all_reduce of 4001"}},
      {"small_and_large",
       allReduce(1, tuttiInt32, tuttiSum),
       allReduce(4096, tuttiInt32, tuttiSum),
       {"all_reduce of 1 ", "all_reduce of 4096"}},
      {"type",
       allReduce(100, tuttiInt32, tuttiSum),
       allReduce(100, tuttiFloat32, tuttiSum),
       {"int32", "float"}},
      {"operator",
       allReduce(100, tuttiInt32, tuttiSum),
       allReduce(100, tuttiInt32, tuttiMax),
       {"sum", "max"}},
      {"root", broadcast(100, 0), broadcast(100, 1), {"from rank 0", "from rank 1"}},
      {"collective",
       allReduce(100, tuttiInt32, tuttiSum),
       broadcast(100, 0),
       {"all_reduce", "broadcast"}},
      {"collective_and_count",
       allGather(10),
       allReduce(1000, tuttiInt32, tuttiSum),
       {"all_gather", "all_reduce"}},
      {"counts_of_blocks", allGatherV(5), allGatherV(15), {"counts of the blocks"}},
      {"nothing",
       allReduce(100, tuttiInt32, tuttiSum),
       allReduce(0, tuttiInt32, tuttiSum),
       {"all_reduce of 100 ", "all_reduce of 0 "}},
      {"more_to_one", allToAllV(10), allToAllV(11), {"of 10 int32 from rank 1", "all_to_all_v"}},
      {"nothing_to_one", allToAllV(10), allToAllV(0), {"of 10 int32 from rank 1"}},
      {"something_for_nothing", allToAllV(10), allToAllV(4000), {"of 10 int32 from rank 1"}},
      {"one_gathers_less", gatherV(0, 10), gatherV(0, 9), {"of 10 int32 from rank 1", "gather"}},
      {"one_gathers_nothing", gatherV(0, 10), gatherV(0, 0), {"of 10 int32 from rank 1"}},
      {"roots", gatherV(0, 10), gatherV(1, 10), {"gather_v", "rank 0", "rank 1"}},
      {"other_messages", gatherV(0, 10), scatterV(0, 10), {"gather_v", "scatter_v"}},
      {"messages_and_collective",
       scatterV(1, 10),
       allReduce(100, tuttiInt32, tuttiSum),
       {"scatter_v", "all_reduce of 100 "}},
      {"a_lone_message", gatherV(0, 10), sendToZero(10), {"gather_v"}}};
}

class Mismatch : public testing::TestWithParam<std::tuple<Disagreement, Setting>> {};

TEST_P(Mismatch, IsAnErrorThatSaysWhatBothCalled) {
  const auto& [disagreement, setting] = GetParam();
  RunOptions options;
  options.setting = setting;
  options.timeoutMs = kTimeoutMs;
  const auto& it = disagreement;
  runRanks(options, [&](RankContext& context) {
    std::vector<int32_t> send(kElements * 4, 1), recv(kElements * 4);
    exercise(context, {.kind = Kind::kAllReduce, .count = 100});
    const int64_t start = nowNs();
    const auto& mine = context.rank() == 1 ? it.odd : it.usual;
    tuttiResult_t result = mine(context.comm(), send.data(), recv.data());
    context.barrier();
    // Ranks whose parts need nobody else (roots that only send) get through; the next call that
    // needs the others tells them, and names the call that was to blame.
    if (result == tuttiSuccess) {
      result = tuttiAllReduce(send.data(), recv.data(), 10, tuttiInt32, tuttiSum, context.comm(),
                              nullptr);
    }
    const double took = secondsSince(start);
    TUTTI_CHECK(context, result == tuttiInvalidUsage || result == tuttiRemoteError);
    TUTTI_CHECK(context, took < kTimeoutMs / 1000.0);
    if (result == tuttiInvalidUsage) {
      for (const auto& text : it.texts) requireText(context, text);
      requireText(context, "TUTTI-E0124");
      context.board().values[0].fetch_add(1);
    }
    context.barrier();
    // At least one rank saw the disagreement itself.
    TUTTI_CHECK(context, context.board().values[0].load() > 0);
    giveUpComm(context);
  });
}

INSTANTIATE_TEST_SUITE_P(
    All, Mismatch,
    testing::Combine(testing::ValuesIn(disagreements()),
                     testing::ValuesIn(seen({{Launch::kThreads, 2}, {Launch::kProcesses, 3}}))),
    [](const auto& tested) {
      return std::string(std::get<0>(tested.param).title) + "_" + name(std::get<1>(tested.param));
    });

// What only some ranks set would make them run different algorithms.
TEST(SettingMismatch, IsAnErrorAtInit) {
  RunOptions options;
  options.setting = {Launch::kProcesses, 2};
  options.makesComm = false;
  options.timeoutMs = kTimeoutMs;
  runRanks(options, [](RankContext& context) {
    if (context.rank() == 1) setenv("TUTTI_ALGO", "ring", 1);
    const tuttiUniqueId id = context.newId();
    tuttiComm_t comm = nullptr;
    TUTTI_REQUIRE_ERROR(context, tuttiCommInitRank(&comm, context.size(), id, context.rank()),
                        tuttiInvalidUsage, "TUTTI-E0131");
    requireText(context, "TUTTI_ALGO=ring");
    TUTTI_CHECK(context, comm == nullptr);
    context.barrier();
  });
}

class PairMismatch : public testing::TestWithParam<Setting> {};

TEST_P(PairMismatch, OfASendAndItsReceive) {
  RunOptions options;
  options.setting = GetParam();
  options.timeoutMs = kTimeoutMs;
  runRanks(options, [](RankContext& context) {
    std::vector<int32_t> buffer(100);
    const tuttiResult_t result =
        context.rank() == 0 ? tuttiSend(buffer.data(), 10, tuttiInt32, 1, context.comm(), nullptr)
                            : tuttiRecv(buffer.data(), 11, tuttiInt32, 0, context.comm(), nullptr);
    // A short send is gone before the receiver looks at it.
    if (context.rank() == 0 && result == tuttiSuccess) return giveUpComm(context);
    TUTTI_CHECK(context, result == tuttiInvalidUsage || result == tuttiRemoteError);
    if (context.rank() == 1) {
      TUTTI_CHECK(context, result == tuttiInvalidUsage);
      requireText(context, "11");
      requireNamed(context, 0);
    }
    giveUpComm(context);
  });
}

// One rank makes one call more: it waits in vain and says for whom; the others are long gone.
TEST_P(PairMismatch, OfTheNumberOfCalls) {
  RunOptions options;
  options.setting = GetParam();
  options.timeoutMs = kTimeoutMs;
  runRanks(options, [](RankContext& context) {
    exercise(context, {.kind = Kind::kAllReduce, .count = 100});
    if (context.rank() != 0) return;  // leaves in order
    Exercise extra(context, {.kind = Kind::kAllReduce, .count = 100});
    const int64_t start = nowNs();
    const tuttiResult_t result = extra.call();
    TUTTI_CHECK(context, result == tuttiRemoteError || result == tuttiTimeout);
    TUTTI_CHECK(context, secondsSince(start) < 2 * kTimeoutMs / 1000.0);
    requireNamed(context, 1);
    giveUpComm(context);
  });
}

// What is stuck ends in time, however much else moves.
TEST_P(PairMismatch, OfAMessageBesideCollectives) {
  RunOptions options;
  options.setting = GetParam();
  options.timeoutMs = kTimeoutMs;
  runRanks(options, [](RankContext& context) {
    std::vector<int32_t> in(10), out(10), never(10);
    tuttiStream_t stream = nullptr;
    TUTTI_REQUIRE(context, tuttiStreamCreate(context.comm(), &stream));
    if (context.rank() == 0) {
      TUTTI_REQUIRE(context, tuttiRecv(never.data(), 10, tuttiInt32, 1, context.comm(), stream));
    }
    const int64_t start = nowNs();
    const auto result = repeatUntilError(context, [&] {
      return tuttiAllReduce(in.data(), out.data(), 10, tuttiInt32, tuttiSum, context.comm(),
                            nullptr);
    });
    const auto expected = context.rank() == 0 ? tuttiTimeout : tuttiRemoteError;
    TUTTI_CHECK(context, result == expected);
    TUTTI_CHECK(context, secondsSince(start) < 3 * kTimeoutMs / 1000.0);
    requireText(context, "recv of 10 int32 from rank 1");
    context.barrier();
    TUTTI_REQUIRE(context, tuttiStreamDestroy(context.comm(), stream));
    giveUpComm(context);
  });
}

INSTANTIATE_TEST_SUITE_P(All, PairMismatch,
                         testing::ValuesIn(seen({{Launch::kThreads, 2}, {Launch::kProcesses, 2}})),
                         [](const auto& tested) { return name(tested.param); });

TEST(InitMismatch, OfTheSize) {
  for (const auto& setting : seen({{Launch::kThreads, 3}, {Launch::kProcesses, 3}})) {
    RunOptions options;
    options.setting = setting;
    options.makesComm = false;
    runRanks(options, [](RankContext& context) {
      const tuttiUniqueId id = context.newId();
      tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
      config.timeoutMs = kTimeoutMs;
      tuttiComm_t comm = nullptr;
      const int size = context.rank() == 2 ? 4 : 3;
      const auto result = tuttiCommInitRankConfig(&comm, size, id, context.rank(), &config);
      TUTTI_CHECK(context, result == tuttiInvalidUsage || result == tuttiRemoteError);
      TUTTI_CHECK(context, comm == nullptr);
      if (result == tuttiInvalidUsage) requireText(context, "TUTTI-E0106");
    });
  }
}

TEST(InitMismatch, OfTheRank) {
  for (const auto& setting : seen({{Launch::kThreads, 3}, {Launch::kProcesses, 3}})) {
    RunOptions options;
    options.setting = setting;
    options.makesComm = false;
    runRanks(options, [](RankContext& context) {
      const tuttiUniqueId id = context.newId();
      tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
      config.timeoutMs = kTimeoutMs;
      tuttiComm_t comm = nullptr;
      const int rank = context.rank() == 2 ? 1 : context.rank();
      const auto result = tuttiCommInitRankConfig(&comm, 3, id, rank, &config);
      TUTTI_CHECK(context, result == tuttiInvalidUsage || result == tuttiRemoteError);
      if (result == tuttiInvalidUsage) {
        requireText(context, "TUTTI-E0107");
        requireNamed(context, 1);
        context.board().values[0].fetch_add(1);
      }
      context.barrier();
      TUTTI_CHECK(context, context.board().values[0].load() > 0);
    });
  }
}

TEST(InitMismatch, OfTheUniqueId) {
  RunOptions options;
  options.setting = {Launch::kThreads, 1};
  options.makesComm = false;
  runRanks(options, [](RankContext& context) {
    tuttiUniqueId id{};
    tuttiComm_t comm = nullptr;
    TUTTI_REQUIRE_ERROR(context, tuttiCommInitRank(&comm, 2, id, 0), tuttiInvalidArgument,
                        "TUTTI-E0103");
    std::memset(&id, 0x5a, sizeof(id));
    TUTTI_REQUIRE_ERROR(context, tuttiCommInitRank(&comm, 2, id, 0), tuttiInvalidArgument,
                        "TUTTI-E0103");
  });
}

}  // namespace
}  // namespace tutti::test
