// Sends, receives and groups: order, nesting, self, many calls, several communicators, one thread
// that drives many ranks.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "tests/multi/exercise.h"

namespace tutti::test {
namespace {

class Groups : public testing::TestWithParam<Setting> {
 protected:
  const Setting& setting() const { return GetParam(); }
};

// What `from` sends to `to` as its message number `index`.
std::vector<int32_t> message(int from, int to, int index, size_t count) {
  std::vector<int32_t> values(count);
  std::iota(values.begin(), values.end(), from * 1000000 + to * 10000 + index * 100);
  return values;
}

void requireEqual(RankContext& context, const std::vector<int32_t>& found,
                  const std::vector<int32_t>& expected, const std::string& what) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (found[i] == expected[i]) continue;
    context.fail(what + ": element " + std::to_string(i) + " is " + std::to_string(found[i]) +
                 ", expected " + std::to_string(expected[i]));
  }
}

TEST_P(Groups, SendAndReceiveWithoutGroup) {
  runRanks(setting(), [](RankContext& context) {
    for (const size_t count : {size_t{1}, size_t{100}, size_t{5000}, size_t{300000}}) {
      std::vector<int32_t> buffer(count);
      const int rank = context.rank();
      // Pass a message down the line of ranks.
      context.doing("line of " + std::to_string(count));
      if (rank == 0) {
        buffer = message(0, 1, 0, count);
      } else {
        TUTTI_REQUIRE(context, tuttiRecv(buffer.data(), count, tuttiInt32, rank - 1, context.comm(),
                                         nullptr));
      }
      if (rank + 1 < context.size()) {
        TUTTI_REQUIRE(context, tuttiSend(buffer.data(), count, tuttiInt32, rank + 1, context.comm(),
                                         nullptr));
      }
      requireEqual(context, buffer, message(0, 1, 0, count), "line");
    }
  });
}

TEST_P(Groups, MessagesOfOnePairKeepTheirOrder) {
  runRanks(setting(), [](RankContext& context) {
    constexpr int kMessages = 20;
    const int size = context.size();
    const auto countOf = [](int index) { return static_cast<size_t>(1 + index * index * 90); };
    std::vector<std::vector<int32_t>> sends, receives;
    TUTTI_REQUIRE(context, tuttiGroupStart());
    for (int peer = 0; peer < size; ++peer) {
      for (int index = 0; index < kMessages; ++index) {
        const size_t count = countOf(index);
        sends.push_back(message(context.rank(), peer, index, count));
        receives.emplace_back(count);
        TUTTI_REQUIRE(context, tuttiSend(sends.back().data(), count, tuttiInt32, peer,
                                         context.comm(), nullptr));
        TUTTI_REQUIRE(context, tuttiRecv(receives.back().data(), count, tuttiInt32, peer,
                                         context.comm(), nullptr));
      }
    }
    context.doing("group end");
    TUTTI_REQUIRE(context, tuttiGroupEnd());
    size_t next = 0;
    for (int peer = 0; peer < size; ++peer) {
      for (int index = 0; index < kMessages; ++index, ++next) {
        requireEqual(context, receives[next], message(peer, context.rank(), index, countOf(index)),
                     "message " + std::to_string(index) + " from " + std::to_string(peer));
      }
    }
  });
}

TEST_P(Groups, ZeroCountsMatch) {
  runRanks(setting(), [](RankContext& context) {
    const int next = (context.rank() + 1) % context.size();
    const int previous = (context.rank() + context.size() - 1) % context.size();
    int32_t sent = context.rank();
    int32_t got = -1;
    TUTTI_REQUIRE(context, tuttiGroupStart());
    TUTTI_REQUIRE(context, tuttiSend(nullptr, 0, tuttiInt32, next, context.comm(), nullptr));
    TUTTI_REQUIRE(context, tuttiSend(&sent, 1, tuttiInt32, next, context.comm(), nullptr));
    TUTTI_REQUIRE(context, tuttiRecv(nullptr, 0, tuttiInt32, previous, context.comm(), nullptr));
    TUTTI_REQUIRE(context, tuttiRecv(&got, 1, tuttiInt32, previous, context.comm(), nullptr));
    TUTTI_REQUIRE(context, tuttiGroupEnd());
    TUTTI_CHECK(context, got == previous);
  });
}

TEST_P(Groups, ManyCollectivesInNestedGroups) {
  runRanks(setting(), [](RankContext& context) {
    for (const size_t count : {size_t{10}, size_t{3000}, size_t{70000}}) {
      std::vector<std::unique_ptr<Exercise>> exercises;
      uint32_t seed = 1;
      for (const Kind kind : allKinds()) {
        Case wanted;
        wanted.kind = kind;
        wanted.count = count;
        wanted.seed = seed++;
        wanted.root = static_cast<int>(seed);
        exercises.push_back(std::make_unique<Exercise>(context, wanted));
      }
      TUTTI_REQUIRE(context, tuttiGroupStart());
      for (size_t i = 0; i < exercises.size(); ++i) {
        if (i % 3 == 0) TUTTI_REQUIRE(context, tuttiGroupStart());
        TUTTI_REQUIRE(context, exercises[i]->call());
        if (i % 3 == 0) TUTTI_REQUIRE(context, tuttiGroupEnd());
      }
      context.doing("outermost group end");
      TUTTI_REQUIRE(context, tuttiGroupEnd());
      for (const auto& one : exercises) one->verify();
    }
  });
}

TEST_P(Groups, SeveralCommunicatorsInOneGroup) {
  runRanks(setting(), [](RankContext& context) {
    tuttiComm_t second = context.newComm();
    for (const size_t count : {size_t{100}, size_t{50000}}) {
      std::vector<std::unique_ptr<Exercise>> exercises;
      for (const Kind kind : {Kind::kAllReduce, Kind::kAllGather, Kind::kSendRecv}) {
        for (tuttiComm_t comm : {context.comm(), second}) {
          Case wanted;
          wanted.kind = kind;
          wanted.count = count;
          exercises.push_back(std::make_unique<Exercise>(context, wanted, comm));
        }
      }
      TUTTI_REQUIRE(context, tuttiGroupStart());
      for (const auto& one : exercises) TUTTI_REQUIRE(context, one->call());
      TUTTI_REQUIRE(context, tuttiGroupEnd());
      for (const auto& one : exercises) one->verify();
    }
    TUTTI_REQUIRE(context, tuttiCommDestroy(second));
  });
}

TEST_P(Groups, AnErrorInsideIsTheGroupsError) {
  runRanks(setting(), [](RankContext& context) {
    int32_t value = 1;
    TUTTI_REQUIRE(context, tuttiGroupStart());
    TUTTI_REQUIRE_ERROR(context,
                        tuttiBcast(&value, 1, tuttiInt32, context.size(), context.comm(), nullptr),
                        tuttiInvalidArgument, "root");
    TUTTI_REQUIRE(context,
                  tuttiAllReduce(&value, &value, 1, tuttiInt32, tuttiSum, context.comm(), nullptr));
    TUTTI_CHECK(context, tuttiGroupEnd() == tuttiInvalidArgument);
    TUTTI_CHECK(context, value == 1);
    // The communicator and this thread's groups are as before.
    exercise(context, {.kind = Kind::kAllReduce, .count = 100});
  });
}

INSTANTIATE_TEST_SUITE_P(All, Groups, testing::ValuesIn(fewSettings()),
                         [](const auto& tested) { return name(tested.param); });

// All ranks of one communicator, driven by one thread inside groups.
TEST(OneThread, DrivesAllRanksInsideAGroup) {
  RunOptions options;
  options.setting = {Launch::kThreads, 1};
  options.makesComm = false;
  runRanks(options, [](RankContext& context) {
    constexpr int kRanks = 5;
    std::vector<tuttiComm_t> comms(kRanks);
    TUTTI_REQUIRE(context, tuttiCommInitAll(comms.data(), kRanks, nullptr));
    for (const size_t count : {size_t{1}, size_t{1000}, size_t{30000}, size_t{400000}}) {
      for (const Kind kind : allKinds()) {
        std::vector<std::unique_ptr<Exercise>> exercises;
        for (auto* comm : comms) {
          Case wanted;
          wanted.kind = kind;
          wanted.count = count;
          wanted.root = 2;
          exercises.push_back(std::make_unique<Exercise>(context, wanted, comm));
        }
        TUTTI_REQUIRE(context, tuttiGroupStart());
        for (const auto& one : exercises) TUTTI_REQUIRE(context, one->call());
        TUTTI_REQUIRE(context, tuttiGroupEnd());
        for (const auto& one : exercises) one->verify();
      }
    }
    for (auto* comm : comms) TUTTI_REQUIRE(context, tuttiCommDestroy(comm));
  });
}

// Two threads that make two ranks each, inside a group, and drive them.
TEST(OneThread, DrivesTwoRanksOfFour) {
  RunOptions options;
  options.setting = {Launch::kThreads, 2};
  options.makesComm = false;
  runRanks(options, [](RankContext& context) {
    constexpr int kRanks = 4;
    const tuttiUniqueId id = context.newId();
    std::vector<tuttiComm_t> comms(2);
    TUTTI_REQUIRE(context, tuttiGroupStart());
    for (int i = 0; i < 2; ++i) {
      TUTTI_REQUIRE(context, tuttiCommInitRank(&comms[static_cast<size_t>(i)], kRanks, id,
                                               context.rank() * 2 + i));
    }
    TUTTI_REQUIRE(context, tuttiGroupEnd());
    for (const Kind kind : allKinds()) {
      std::vector<std::unique_ptr<Exercise>> exercises;
      for (auto* comm : comms) {
        exercises.push_back(
            std::make_unique<Exercise>(context, Case{.kind = kind, .count = 20000}, comm));
      }
      TUTTI_REQUIRE(context, tuttiGroupStart());
      for (const auto& one : exercises) TUTTI_REQUIRE(context, one->call());
      TUTTI_REQUIRE(context, tuttiGroupEnd());
      for (const auto& one : exercises) one->verify();
    }
    for (auto* comm : comms) TUTTI_REQUIRE(context, tuttiCommDestroy(comm));
  });
}

}  // namespace
}  // namespace tutti::test
