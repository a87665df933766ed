// Streams and non-blocking communicators: calls return before they are done, in order with the
// stream's other work.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "tests/multi/exercise.h"

namespace tutti::test {
namespace {

class Streams : public testing::TestWithParam<Setting> {
 protected:
  const Setting& setting() const { return GetParam(); }
};

tuttiStream_t makeStream(RankContext& context) {
  tuttiStream_t stream = nullptr;
  TUTTI_REQUIRE(context, tuttiStreamCreate(context.comm(), &stream));
  return stream;
}

TEST_P(Streams, EveryCollective) {
  runRanks(setting(), [](RankContext& context) {
    tuttiStream_t stream = makeStream(context);
    for (const size_t count : {size_t{0}, size_t{9}, size_t{5000}, size_t{200001}}) {
      if (kIsSanitized && count > 100000) continue;
      for (const Kind kind : allKinds()) {
        Case wanted;
        wanted.kind = kind;
        wanted.count = count;
        wanted.root = 1;
        wanted.op = count == 9 ? kPreMulSum : tuttiSum;
        Exercise one(context, wanted);
        TUTTI_REQUIRE(context, one.call(stream));
        TUTTI_REQUIRE(context, tuttiStreamSynchronize(context.comm(), stream));
        one.verify();
      }
    }
    TUTTI_REQUIRE(context, tuttiStreamDestroy(context.comm(), stream));
  });
}

TEST_P(Streams, ManyCallsInFlight) {
  runRanks(setting(), [](RankContext& context) {
    tuttiStream_t first = makeStream(context);
    tuttiStream_t second = makeStream(context);
    std::vector<std::unique_ptr<Exercise>> exercises;
    for (uint32_t round = 0; round < 3; ++round) {
      for (const Kind kind : allKinds()) {
        Case wanted;
        wanted.kind = kind;
        wanted.count = 1 + 700 * round;
        wanted.seed = 1 + round;
        exercises.push_back(std::make_unique<Exercise>(context, wanted));
      }
    }
    for (size_t i = 0; i < exercises.size(); ++i) {
      TUTTI_REQUIRE(context, exercises[i]->call(i % 2 == 0 ? first : second));
    }
    TUTTI_REQUIRE(context, tuttiStreamSynchronize(context.comm(), first));
    TUTTI_REQUIRE(context, tuttiStreamSynchronize(context.comm(), second));
    for (const auto& one : exercises) one->verify();
    TUTTI_REQUIRE(context, tuttiStreamDestroy(context.comm(), first));
    TUTTI_REQUIRE(context, tuttiStreamDestroy(context.comm(), second));
  });
}

// Rank 0's call must return although the others have not called yet: they wait for its return.
TEST_P(Streams, CallReturnsBeforePeersArrive) {
  runRanks(setting(), [](RankContext& context) {
    if (context.size() == 1) return;
    tuttiStream_t stream = makeStream(context);
    Exercise one(context, {.kind = Kind::kAllReduce, .count = 1000});
    if (context.rank() == 0) {
      TUTTI_REQUIRE(context, one.call(stream));
      int isDone = 1;
      TUTTI_REQUIRE(context, tuttiStreamQuery(context.comm(), stream, &isDone));
      TUTTI_CHECK(context, isDone == 0);
      context.board().values[0].store(1);
    } else {
      context.awaitValue(0, 1);
      TUTTI_REQUIRE(context, one.call(stream));
    }
    TUTTI_REQUIRE(context, tuttiStreamSynchronize(context.comm(), stream));
    one.verify();
    TUTTI_REQUIRE(context, tuttiStreamDestroy(context.comm(), stream));
  });
}

// copy in, all_reduce, copy out, all on one stream, while earlier work of the stream is slow.
TEST_P(Streams, EarlierAndLaterWorkKeepTheirOrder) {
  runRanks(setting(), [](RankContext& context) {
    constexpr size_t kCount = 50000;
    constexpr size_t kSlowBytes = size_t{8} << 20;
    tuttiStream_t stream = makeStream(context);
    std::vector<std::byte> slowFrom(kSlowBytes), slowTo(kSlowBytes);
    for (int round = 0; round < 5; ++round) {
      std::vector<int32_t> input(kCount, context.rank() + round), work(kCount), output(kCount);
      const size_t bytes = kCount * sizeof(int32_t);
      for (int i = 0; i < 4; ++i) {
        TUTTI_REQUIRE(context, tuttiMemcpy(context.comm(), slowTo.data(), slowFrom.data(),
                                           kSlowBytes, stream));
      }
      TUTTI_REQUIRE(context, tuttiMemcpy(context.comm(), work.data(), input.data(), bytes, stream));
      TUTTI_REQUIRE(context, tuttiAllReduce(work.data(), work.data(), kCount, tuttiInt32, tuttiSum,
                                            context.comm(), stream));
      TUTTI_REQUIRE(context,
                    tuttiMemcpy(context.comm(), output.data(), work.data(), bytes, stream));
      TUTTI_REQUIRE(context, tuttiStreamSynchronize(context.comm(), stream));
      const int size = context.size();
      const int expected = size * (size - 1) / 2 + size * round;
      for (size_t i = 0; i < kCount; ++i) TUTTI_CHECK(context, output[i] == expected);
    }
    TUTTI_REQUIRE(context, tuttiStreamDestroy(context.comm(), stream));
  });
}

// A scalar in device memory is read when the operation's turn comes.
TEST_P(Streams, ScalarsThatEarlierWorkWrites) {
  runRanks(setting(), [](RankContext& context) {
    tuttiStream_t stream = makeStream(context);
    double scalar = -1, first = 3, second = 5;
    tuttiRedOp_t op;
    TUTTI_REQUIRE(context, tuttiRedOpCreatePreMulSum(&op, &scalar, tuttiFloat64, tuttiScalarDevice,
                                                     context.comm()));
    double one = 1, outputs[2] = {};
    int at = 0;
    for (const double* value : {&first, &second}) {
      TUTTI_REQUIRE(context, tuttiMemcpy(context.comm(), &scalar, value, sizeof(scalar), stream));
      TUTTI_REQUIRE(context, tuttiAllReduce(&one, &outputs[at++], 1, tuttiFloat64, op,
                                            context.comm(), stream));
    }
    TUTTI_REQUIRE(context, tuttiStreamSynchronize(context.comm(), stream));
    TUTTI_CHECK(context, outputs[0] == 3 * context.size() && outputs[1] == 5 * context.size());
    // Without a stream: when it is called.
    scalar = 7;
    TUTTI_REQUIRE(context,
                  tuttiAllReduce(&one, &outputs[0], 1, tuttiFloat64, op, context.comm(), nullptr));
    TUTTI_CHECK(context, outputs[0] == 7 * context.size());
    TUTTI_REQUIRE(context, tuttiRedOpDestroy(op, context.comm()));
    TUTTI_REQUIRE(context, tuttiStreamDestroy(context.comm(), stream));
  });
}

// A message to oneself waits for both ends' streams, and both wait for it.
TEST_P(Streams, MessageToOneselfBetweenTwoStreams) {
  runRanks(setting(), [](RankContext& context) {
    constexpr size_t kCount = 1 << 20;
    tuttiStream_t sending = makeStream(context);
    tuttiStream_t receiving = makeStream(context);
    std::vector<int32_t> source(kCount, 1), from(kCount), to(kCount), after(kCount), zero(kCount);
    const size_t bytes = kCount * sizeof(int32_t);
    TUTTI_REQUIRE(context, tuttiMemcpy(context.comm(), from.data(), source.data(), bytes, sending));
    TUTTI_REQUIRE(context, tuttiGroupStart());
    TUTTI_REQUIRE(context, tuttiSend(from.data(), kCount, tuttiInt32, context.rank(),
                                     context.comm(), sending));
    TUTTI_REQUIRE(context, tuttiRecv(to.data(), kCount, tuttiInt32, context.rank(), context.comm(),
                                     receiving));
    TUTTI_REQUIRE(context, tuttiGroupEnd());
    TUTTI_REQUIRE(context, tuttiMemcpy(context.comm(), from.data(), zero.data(), bytes, sending));
    TUTTI_REQUIRE(context, tuttiMemcpy(context.comm(), after.data(), to.data(), bytes, receiving));
    TUTTI_REQUIRE(context, tuttiStreamSynchronize(context.comm(), sending));
    TUTTI_REQUIRE(context, tuttiStreamSynchronize(context.comm(), receiving));
    TUTTI_CHECK(context, to == source && after == source && from == zero);
    TUTTI_REQUIRE(context, tuttiStreamDestroy(context.comm(), sending));
    TUTTI_REQUIRE(context, tuttiStreamDestroy(context.comm(), receiving));
  });
}

// Calls with a null stream between calls with one.
TEST_P(Streams, BlockingCallsBetweenAsynchronousOnes) {
  runRanks(setting(), [](RankContext& context) {
    tuttiStream_t stream = makeStream(context);
    for (uint32_t round = 0; round < 10; ++round) {
      Exercise later(context, {.kind = Kind::kAllReduce, .count = 3000, .seed = round + 1});
      TUTTI_REQUIRE(context, later.call(stream));
      exercise(context, {.kind = Kind::kAllGather, .count = 100, .seed = round + 2});
      TUTTI_REQUIRE(context, tuttiStreamSynchronize(context.comm(), stream));
      later.verify();
    }
    TUTTI_REQUIRE(context, tuttiStreamDestroy(context.comm(), stream));
  });
}

TEST_P(Streams, DestroyCompletesWhatIsUnderWay) {
  RunOptions options;
  options.setting = setting();
  options.makesComm = false;
  runRanks(options, [](RankContext& context) {
    tuttiComm_t comm = context.newComm();
    tuttiStream_t stream = nullptr;
    TUTTI_REQUIRE(context, tuttiStreamCreate(comm, &stream));
    Exercise one(context, {.kind = Kind::kAllReduce, .count = 100000}, comm);
    TUTTI_REQUIRE(context, one.call(stream));
    context.doing("finalize with work under way");
    TUTTI_REQUIRE(context, tuttiCommFinalize(comm));
    TUTTI_REQUIRE(context, tuttiStreamSynchronize(comm, stream));
    one.verify();
    TUTTI_REQUIRE(context, tuttiCommDestroy(comm));
    TUTTI_REQUIRE(context, tuttiStreamDestroy(comm, stream));
  });
}

TEST_P(Streams, InsideGroups) {
  runRanks(setting(), [](RankContext& context) {
    tuttiStream_t stream = makeStream(context);
    std::vector<std::unique_ptr<Exercise>> exercises;
    for (const Kind kind : allKinds()) {
      exercises.push_back(
          std::make_unique<Exercise>(context, Case{.kind = kind, .count = 4000, .root = 1}));
    }
    TUTTI_REQUIRE(context, tuttiGroupStart());
    for (const auto& one : exercises) TUTTI_REQUIRE(context, one->call(stream));
    TUTTI_REQUIRE(context, tuttiGroupEnd());
    TUTTI_REQUIRE(context, tuttiStreamSynchronize(context.comm(), stream));
    for (const auto& one : exercises) one->verify();
    TUTTI_REQUIRE(context, tuttiStreamDestroy(context.comm(), stream));
  });
}

TEST_P(Streams, NonBlockingCommunicator) {
  RunOptions options;
  options.setting = setting();
  options.makesComm = false;
  runRanks(options, [](RankContext& context) {
    tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
    config.blocking = 0;
    const tuttiUniqueId id = context.newId();
    tuttiComm_t comm = nullptr;
    const tuttiResult_t made =
        tuttiCommInitRankConfig(&comm, context.size(), id, context.rank(), &config);
    TUTTI_CHECK(context, made == tuttiInProgress || made == tuttiSuccess);
    TUTTI_CHECK(context, comm != nullptr);
    TUTTI_REQUIRE(context, context.settle(comm));
    for (const size_t count : {size_t{20}, size_t{60000}}) {
      for (const Kind kind : allKinds()) {
        Exercise one(context, {.kind = kind, .count = count}, comm);
        const tuttiResult_t result = one.call();
        if (result != tuttiInProgress) TUTTI_REQUIRE(context, result);
        TUTTI_REQUIRE(context, context.settle(comm));
        one.verify();
      }
    }
    TUTTI_REQUIRE(context, tuttiCommDestroy(comm));
  });
}

INSTANTIATE_TEST_SUITE_P(All, Streams, testing::ValuesIn(fewSettings()),
                         [](const auto& tested) { return name(tested.param); });

}  // namespace
}  // namespace tutti::test
