// Wrong arguments and calls at the wrong time: the right code, a text that says what was wrong, and
// a communicator that still works.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "tests/faults/faults.h"

namespace tutti::test {
namespace {

constexpr auto kBadType = static_cast<tuttiDataType_t>(12);
constexpr auto kNegativeType = static_cast<tuttiDataType_t>(-1);
constexpr auto kBadOp = static_cast<tuttiRedOp_t>(5);
constexpr size_t kHuge = std::numeric_limits<size_t>::max() / 2;

struct Call {
  const char* title;
  std::function<tuttiResult_t(tuttiComm_t)> make;
  tuttiResult_t expected = tuttiInvalidArgument;
  const char* text = "";
};

[[maybe_unused]] void PrintTo(const Call& call, std::ostream* out) { *out << call.title; }

float in[64], out[64];
const size_t counts[2] = {3, 4};

// Every one is made by both ranks of a communicator of two.
std::vector<Call> badCalls() {
  return {
      {"null_comm",
       [](tuttiComm_t) {
         return tuttiAllReduce(in, out, 1, tuttiFloat, tuttiSum, nullptr, nullptr);
       },
       tuttiInvalidArgument, "null"},
      {"garbage_comm",
       [](tuttiComm_t) {
         alignas(64) static char garbage[4096];
         std::memset(garbage, 0x77, sizeof(garbage));
         return tuttiAllReduce(in, out, 1, tuttiFloat, tuttiSum,
                               reinterpret_cast<tuttiComm_t>(garbage), nullptr);
       }},
      {"unaligned_garbage_comm",
       [](tuttiComm_t) {
         static char garbage[4096];
         return tuttiAllReduce(in, out, 1, tuttiFloat, tuttiSum,
                               reinterpret_cast<tuttiComm_t>(garbage + 1), nullptr);
       }},
      {"null_send",
       [](tuttiComm_t c) {
         return tuttiAllReduce(nullptr, out, 1, tuttiFloat, tuttiSum, c, nullptr);
       },
       tuttiInvalidArgument, "send buffer is null"},
      {"null_recv",
       [](tuttiComm_t c) {
         return tuttiAllReduce(in, nullptr, 1, tuttiFloat, tuttiSum, c, nullptr);
       },
       tuttiInvalidArgument, "receive buffer is null"},
      {"bad_type",
       [](tuttiComm_t c) { return tuttiAllReduce(in, out, 1, kBadType, tuttiSum, c, nullptr); },
       tuttiInvalidArgument, "12"},
      {"negative_type",
       [](tuttiComm_t c) { return tuttiAllGather(in, out, 1, kNegativeType, c, nullptr); },
       tuttiInvalidArgument, "-1"},
      {"bad_op",
       [](tuttiComm_t c) { return tuttiAllReduce(in, out, 1, tuttiFloat, kBadOp, c, nullptr); },
       tuttiInvalidArgument, "5"},
      {"negative_op",
       [](tuttiComm_t c) {
         return tuttiReduceScatter(in, out, 1, tuttiFloat, static_cast<tuttiRedOp_t>(-7), c,
                                   nullptr);
       },
       tuttiInvalidArgument, "-7"},
      {"negative_root",
       [](tuttiComm_t c) { return tuttiBroadcast(in, out, 1, tuttiFloat, -1, c, nullptr); },
       tuttiInvalidArgument, "root -1"},
      {"large_root",
       [](tuttiComm_t c) { return tuttiReduce(in, out, 1, tuttiFloat, tuttiSum, 2, c, nullptr); },
       tuttiInvalidArgument, "root 2"},
      {"root_of_bcast", [](tuttiComm_t c) { return tuttiBcast(in, 1, tuttiFloat, 2, c, nullptr); },
       tuttiInvalidArgument, "root 2"},
      {"root_of_gather",
       [](tuttiComm_t c) { return tuttiGather(in, out, 1, tuttiFloat, 9, c, nullptr); },
       tuttiInvalidArgument, "root 9"},
      {"root_of_scatter",
       [](tuttiComm_t c) { return tuttiScatter(in, out, 1, tuttiFloat, 9, c, nullptr); },
       tuttiInvalidArgument, "root 9"},
      {"root_of_gather_v",
       [](tuttiComm_t c) {
         return tuttiGatherV(in, 1, out, counts, nullptr, tuttiFloat, 9, c, nullptr);
       },
       tuttiInvalidArgument, "root 9"},
      {"peer_of_send", [](tuttiComm_t c) { return tuttiSend(in, 1, tuttiFloat, 2, c, nullptr); },
       tuttiInvalidArgument, "peer 2"},
      {"peer_of_recv", [](tuttiComm_t c) { return tuttiRecv(out, 1, tuttiFloat, -1, c, nullptr); },
       tuttiInvalidArgument, "peer -1"},
      {"send_to_self",
       [](tuttiComm_t c) {
         int rank = 0;
         (void)tuttiCommUserRank(c, &rank);
         return tuttiSend(in, 1, tuttiFloat, rank, c, nullptr);
       },
       tuttiInvalidUsage, "oneself"},
      {"huge_count",
       [](tuttiComm_t c) {
         return tuttiAllReduce(in, out, kHuge, tuttiFloat64, tuttiSum, c, nullptr);
       },
       tuttiInvalidArgument, "more than any memory"},
      {"huge_block",
       [](tuttiComm_t c) { return tuttiAllGather(in, out, kHuge, tuttiInt8, c, nullptr); },
       tuttiInvalidArgument, "more than any memory"},
      {"null_counts",
       [](tuttiComm_t c) {
         return tuttiAllGatherV(in, 1, out, nullptr, nullptr, tuttiFloat, c, nullptr);
       },
       tuttiInvalidArgument, "counts is null"},
      {"all_to_all_v_in_place",
       [](tuttiComm_t c) {
         return tuttiAllToAllV(in, counts, nullptr, in, counts, nullptr, tuttiFloat, c, nullptr);
       },
       tuttiInvalidArgument, "in place"},
      {"null_counts_all_to_all_v",
       [](tuttiComm_t c) {
         return tuttiAllToAllV(in, counts, nullptr, out, nullptr, nullptr, tuttiFloat, c, nullptr);
       },
       tuttiInvalidArgument, "counts is null"},
      {"count_unlike_counts",
       [](tuttiComm_t c) {
         return tuttiAllGatherV(in, 9, out, counts, nullptr, tuttiFloat, c, nullptr);
       },
       tuttiInvalidArgument, "sendCount is 9"},
      {"huge_counts",
       [](tuttiComm_t c) {
         static const size_t huge[2] = {kHuge, kHuge};
         return tuttiReduceScatterV(in, out, huge, nullptr, tuttiFloat, tuttiSum, c, nullptr);
       },
       tuttiInvalidArgument, "more than any memory"},
      {"group_end_without_start", [](tuttiComm_t) { return tuttiGroupEnd(); }, tuttiInvalidUsage,
       "tuttiGroupStart"},
      {"destroyed_op",
       [](tuttiComm_t c) {
         float scalar = 2;
         tuttiRedOp_t op = tuttiSum;
         (void)tuttiRedOpCreatePreMulSum(&op, &scalar, tuttiFloat, tuttiScalarHostImmediate, c);
         (void)tuttiRedOpDestroy(op, c);
         return tuttiAllReduce(in, out, 1, tuttiFloat, op, c, nullptr);
       },
       tuttiInvalidArgument, "operator"},
      {"op_destroyed_twice",
       [](tuttiComm_t c) {
         float scalar = 2;
         tuttiRedOp_t op = tuttiSum;
         (void)tuttiRedOpCreatePreMulSum(&op, &scalar, tuttiFloat, tuttiScalarHostImmediate, c);
         (void)tuttiRedOpDestroy(op, c);
         return tuttiRedOpDestroy(op, c);
       },
       tuttiInvalidArgument, "operator"},
      {"op_of_another_type",
       [](tuttiComm_t c) {
         float scalar = 2;
         tuttiRedOp_t op = tuttiSum;
         (void)tuttiRedOpCreatePreMulSum(&op, &scalar, tuttiFloat, tuttiScalarHostImmediate, c);
         const auto result = tuttiAllReduce(in, out, 1, tuttiInt32, op, c, nullptr);
         const std::string text = tuttiGetLastError(nullptr);
         (void)tuttiRedOpDestroy(op, c);
         return result;
       },
       tuttiInvalidArgument, "float"},
      {"builtin_op_destroyed", [](tuttiComm_t c) { return tuttiRedOpDestroy(tuttiSum, c); },
       tuttiInvalidArgument, "built-in"},
      {"null_scalar",
       [](tuttiComm_t c) {
         tuttiRedOp_t op = tuttiSum;
         return tuttiRedOpCreatePreMulSum(&op, nullptr, tuttiFloat, tuttiScalarHostImmediate, c);
       },
       tuttiInvalidArgument, "null"},
      {"bad_residence",
       [](tuttiComm_t c) {
         tuttiRedOp_t op = tuttiSum;
         float scalar = 1;
         return tuttiRedOpCreatePreMulSum(&op, &scalar, tuttiFloat,
                                          static_cast<tuttiScalarResidence_t>(3), c);
       },
       tuttiInvalidArgument, "3"},
      {"null_count_query", [](tuttiComm_t c) { return tuttiCommCount(c, nullptr); },
       tuttiInvalidArgument, "null"},
      {"null_rank_query", [](tuttiComm_t c) { return tuttiCommUserRank(c, nullptr); },
       tuttiInvalidArgument, "null"},
      {"null_async_error", [](tuttiComm_t c) { return tuttiCommGetAsyncError(c, nullptr); },
       tuttiInvalidArgument, "null"},
      {"null_describe", [](tuttiComm_t c) { return tuttiCommDescribe(c, nullptr); },
       tuttiInvalidArgument, "null"},
      {"null_split", [](tuttiComm_t c) { return tuttiCommSplit(c, 0, 0, nullptr, nullptr); },
       tuttiInvalidArgument, "null"},
      {"bad_colour",
       [](tuttiComm_t c) {
         tuttiComm_t made = nullptr;
         return tuttiCommSplit(c, -5, 0, &made, nullptr);
       },
       tuttiInvalidArgument, "-5"},
      {"null_stream_pointer", [](tuttiComm_t c) { return tuttiStreamCreate(c, nullptr); },
       tuttiInvalidArgument, "null"},
      {"garbage_stream",
       [](tuttiComm_t c) {
         alignas(64) static char garbage[4096];
         std::memset(garbage, 0x77, sizeof(garbage));
         return tuttiStreamSynchronize(c, garbage);
       }},
      {"null_memcpy", [](tuttiComm_t c) { return tuttiMemcpy(c, nullptr, in, 4, nullptr); },
       tuttiInvalidArgument, "null"},
      {"free_of_other_memory", [](tuttiComm_t) { return tuttiMemFree(in); }, tuttiInvalidArgument},
      {"alloc_to_null", [](tuttiComm_t) { return tuttiMemAlloc(nullptr, 4); }, tuttiInvalidArgument,
       "null"},
      {"alloc_of_too_much",
       [](tuttiComm_t) {
         void* memory = nullptr;
         return tuttiMemAlloc(&memory, size_t{1} << 50);
       },
       tuttiSystemError},
      {"register_null",
       [](tuttiComm_t c) {
         void* handle = nullptr;
         return tuttiCommRegister(c, nullptr, 10, &handle);
       },
       tuttiInvalidArgument, "null"},
      {"null_version", [](tuttiComm_t) { return tuttiGetVersion(nullptr); }, tuttiInvalidArgument,
       "null"},
      {"null_unique_id", [](tuttiComm_t) { return tuttiGetUniqueId(nullptr); },
       tuttiInvalidArgument, "null"},
      {"null_launcher_info", [](tuttiComm_t) { return tuttiGetLauncherInfo(nullptr); },
       tuttiInvalidArgument, "null"},
      {"init_all_null", [](tuttiComm_t) { return tuttiCommInitAll(nullptr, 2, nullptr); },
       tuttiInvalidArgument, "null"},
      {"init_all_none",
       [](tuttiComm_t) {
         tuttiComm_t comms[1];
         return tuttiCommInitAll(comms, 0, nullptr);
       },
       tuttiInvalidArgument, "nDev is 0"},
      {"init_null", [](tuttiComm_t) { return tuttiCommInitRank(nullptr, 1, tuttiUniqueId{}, 0); },
       tuttiInvalidArgument, "null"},
      {"init_rank_outside",
       [](tuttiComm_t) {
         tuttiComm_t made = nullptr;
         return tuttiCommInitRank(&made, 2, tuttiUniqueId{}, 2);
       },
       tuttiInvalidArgument, "rank 2"},
      {"init_negative_rank",
       [](tuttiComm_t) {
         tuttiComm_t made = nullptr;
         return tuttiCommInitRank(&made, 2, tuttiUniqueId{}, -1);
       },
       tuttiInvalidArgument, "rank -1"},
      {"init_no_ranks",
       [](tuttiComm_t) {
         tuttiComm_t made = nullptr;
         return tuttiCommInitRank(&made, 0, tuttiUniqueId{}, 0);
       },
       tuttiInvalidArgument, "nRanks is 0"},
      {"config_not_initialized",
       [](tuttiComm_t) {
         tuttiComm_t made = nullptr;
         tuttiConfig_t config{};
         return tuttiCommInitRankConfig(&made, 1, tuttiUniqueId{}, 0, &config);
       },
       tuttiInvalidArgument, "TUTTI_CONFIG_INITIALIZER"},
      {"config_blocking",
       [](tuttiComm_t) {
         tuttiComm_t made = nullptr;
         tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
         config.blocking = 7;
         return tuttiCommInitRankConfig(&made, 1, tuttiUniqueId{}, 0, &config);
       },
       tuttiInvalidArgument, "blocking is 7"},
      {"config_timeout",
       [](tuttiComm_t) {
         tuttiComm_t made = nullptr;
         tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
         config.timeoutMs = -3;
         return tuttiCommInitRankConfig(&made, 1, tuttiUniqueId{}, 0, &config);
       },
       tuttiInvalidArgument, "timeoutMs is -3"},
      {"config_device",
       [](tuttiComm_t) {
         tuttiComm_t made = nullptr;
         tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
         config.device = "abacus:0";
         tuttiUniqueId id{};
         (void)tuttiGetUniqueId(&id);
         return tuttiCommInitRankConfig(&made, 1, id, 0, &config);
       },
       tuttiInvalidArgument, "abacus"},
      {"scalable_without_ids",
       [](tuttiComm_t) {
         tuttiComm_t made = nullptr;
         return tuttiCommInitRankScalable(&made, 2, 0, 1, nullptr, nullptr);
       },
       tuttiInvalidArgument, "ids is null"},
      {"scalable_with_too_many_ids",
       [](tuttiComm_t) {
         tuttiComm_t made = nullptr;
         tuttiUniqueId ids[3] = {};
         return tuttiCommInitRankScalable(&made, 2, 0, 3, ids, nullptr);
       },
       tuttiInvalidArgument, "nId is 3"},
  };
}

// All in one communicator: none may harm it.
TEST(Arguments, WrongOnesGetTheRightErrorAndDoNoHarm) {
  runRanks(Setting{Launch::kThreads, 2}, [](RankContext& context) {
    std::string wrong;
    for (const auto& call : badCalls()) {
      context.doing(call.title);
      const tuttiResult_t result = call.make(context.comm());
      const std::string text = tuttiGetLastError(nullptr);
      const bool isRight = result == call.expected && text.find(call.text) != std::string::npos &&
                           text.find("TUTTI-E") != std::string::npos;
      if (!isRight) {
        wrong +=
            fmt::format("\n  {}: returned {} \"{}\", expected {} with \"{}\"", call.title,
                        static_cast<int>(result), text, static_cast<int>(call.expected), call.text);
      }
      context.barrier();
    }
    exercise(context, {.kind = Kind::kAllReduce, .count = 1000});
    if (!wrong.empty()) context.fail(wrong);
  });
}

// What is allowed although it looks odd.
TEST(Arguments, NullsThatAreAllowed) {
  runRanks(Setting{Launch::kThreads, 2}, [](RankContext& context) {
    tuttiComm_t comm = context.comm();
    TUTTI_REQUIRE(context, tuttiCommDestroy(nullptr));
    TUTTI_REQUIRE(context, tuttiCommAbort(nullptr));
    TUTTI_REQUIRE(context, tuttiMemFree(nullptr));
    TUTTI_REQUIRE(context, tuttiStreamDestroy(comm, nullptr));
    TUTTI_REQUIRE(context, tuttiStreamSynchronize(comm, nullptr));
    TUTTI_REQUIRE(context, tuttiCommDeregister(comm, nullptr));
    TUTTI_REQUIRE(context, tuttiGroupStart());
    TUTTI_REQUIRE(context, tuttiGroupEnd());
    TUTTI_REQUIRE(context,
                  tuttiAllReduce(nullptr, nullptr, 0, tuttiFloat, tuttiSum, comm, nullptr));
    TUTTI_REQUIRE(context, tuttiAllGather(nullptr, nullptr, 0, tuttiFloat, comm, nullptr));
    void* memory = &comm;
    TUTTI_REQUIRE(context, tuttiMemAlloc(&memory, 0));
    TUTTI_CHECK(context, memory == nullptr);
    float value = 1;
    const bool isRoot = context.rank() == 1;
    TUTTI_REQUIRE(context, tuttiReduce(&value, isRoot ? &value : nullptr, 1, tuttiFloat, tuttiSum,
                                       1, comm, nullptr));
    TUTTI_REQUIRE(context, tuttiBroadcast(isRoot ? &value : nullptr, &value, 1, tuttiFloat, 1, comm,
                                          nullptr));
    TUTTI_CHECK(context, value == 2);
    void* handle = nullptr;
    TUTTI_REQUIRE(context, tuttiCommRegister(comm, &value, sizeof(value), &handle));
    TUTTI_REQUIRE(context, tuttiCommDeregister(comm, handle));
  });
}

TEST(Arguments, AnOperatorBelongsToItsCommunicator) {
  runRanks(Setting{Launch::kThreads, 2}, [](RankContext& context) {
    tuttiComm_t other = context.newComm();
    float scalar = 2;
    tuttiRedOp_t op = tuttiSum;
    TUTTI_REQUIRE(context, tuttiRedOpCreatePreMulSum(&op, &scalar, tuttiFloat,
                                                     tuttiScalarHostImmediate, other));
    TUTTI_REQUIRE_ERROR(context,
                        tuttiAllReduce(in, out, 1, tuttiFloat, op, context.comm(), nullptr),
                        tuttiInvalidArgument, "operator");
    TUTTI_REQUIRE_ERROR(context, tuttiRedOpDestroy(op, context.comm()), tuttiInvalidArgument,
                        "operator");
    TUTTI_REQUIRE(context, tuttiRedOpDestroy(op, other));
    TUTTI_REQUIRE(context, tuttiCommDestroy(other));
  });
}

TEST(AfterTheEnd, OfADestroyedCommunicator) {
  RunOptions options;
  options.setting = {Launch::kThreads, 2};
  options.makesComm = false;
  runRanks(options, [](RankContext& context) {
    for (const bool isAborted : {false, true}) {
      tuttiComm_t comm = context.newComm();
      exercise(context, {.kind = Kind::kAllReduce, .count = 10}, comm);
      context.barrier();
      TUTTI_REQUIRE(context, isAborted ? tuttiCommAbort(comm) : tuttiCommDestroy(comm));
      int value = 0;
      float one = 1;
      tuttiResult_t state = tuttiSuccess;
      const auto requireGone = [&](tuttiResult_t result) {
        if (result != tuttiInvalidArgument) {
          context.fail(fmt::format("a call after the end returned {}", static_cast<int>(result)));
        }
        requireText(context, "destroyed or aborted");
      };
      requireGone(tuttiAllReduce(&one, &one, 1, tuttiFloat, tuttiSum, comm, nullptr));
      requireGone(tuttiSend(&one, 1, tuttiFloat, 0, comm, nullptr));
      requireGone(tuttiCommCount(comm, &value));
      requireGone(tuttiCommUserRank(comm, &value));
      requireGone(tuttiCommGetAsyncError(comm, &state));
      requireGone(tuttiCommFinalize(comm));
      requireGone(tuttiCommDestroy(comm));
      requireGone(tuttiCommAbort(comm));
      tuttiComm_t child = nullptr;
      requireGone(tuttiCommSplit(comm, 0, 0, &child, nullptr));
      context.barrier();
    }
  });
}

TEST(AfterTheEnd, OfAFinalizedCommunicator) {
  RunOptions options;
  options.setting = {Launch::kThreads, 2};
  options.makesComm = false;
  runRanks(options, [](RankContext& context) {
    tuttiComm_t comm = context.newComm();
    TUTTI_REQUIRE(context, tuttiCommFinalize(comm));
    float one = 1;
    TUTTI_REQUIRE_ERROR(context, tuttiAllReduce(&one, &one, 1, tuttiFloat, tuttiSum, comm, nullptr),
                        tuttiInvalidUsage, "finalized");
    TUTTI_REQUIRE_ERROR(context, tuttiCommFinalize(comm), tuttiInvalidUsage, "finalized");
    int value = 0;
    TUTTI_REQUIRE(context, tuttiCommCount(comm, &value));
    TUTTI_REQUIRE(context, tuttiCommDestroy(comm));
  });
}

TEST(AfterTheEnd, AnUnreadyCommunicatorRefusesCalls) {
  RunOptions options;
  options.setting = {Launch::kThreads, 2};
  options.makesComm = false;
  runRanks(options, [](RankContext& context) {
    const tuttiUniqueId id = context.newId();
    tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
    config.blocking = 0;
    tuttiComm_t comm = nullptr;
    if (context.rank() == 1) context.awaitValue(0, 1);
    (void)tuttiCommInitRankConfig(&comm, 2, id, context.rank(), &config);
    if (context.rank() == 0) {
      float one = 1;
      TUTTI_REQUIRE_ERROR(context,
                          tuttiAllReduce(&one, &one, 1, tuttiFloat, tuttiSum, comm, nullptr),
                          tuttiInvalidArgument, "tuttiInProgress");
      context.board().values[0].store(1);
    }
    TUTTI_REQUIRE(context, context.settle(comm));
    TUTTI_REQUIRE(context, tuttiCommDestroy(comm));
  });
}

}  // namespace
}  // namespace tutti::test
