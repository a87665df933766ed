// Other plans in the course of a run: all ranks go over to them at the same collective, whatever
// they are at, and results stay right. TUTTI_REPLAN_DRILL makes links slow that are not.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/multi/exercise.h"
#include "tests/multi/networks.h"

namespace tutti::test {
namespace {

namespace fs = std::filesystem;

// So many ranks at one switch.
std::string starOf(int ranks) {
  nlohmann::json nodes = {{{"id", "s"}, {"kind", "switch"}}};
  nlohmann::json links = nlohmann::json::array();
  for (int rank = 0; rank < ranks; ++rank) {
    const std::string id = fmt::format("g{}", rank);
    nodes.push_back({{"id", id}, {"kind", "rank"}});
    links.push_back({{"a", id}, {"b", "s"}, {"gb_per_s", 8}, {"latency_us", 1}});
  }
  return nlohmann::json{{"nodes", nodes}, {"links", links}}.dump();
}

class Replan : public testing::Test {
 protected:
  Replan() {
    std::string pattern = testing::TempDir() + "tutti_replan_XXXXXX";
    if (mkdtemp(pattern.data()) != nullptr) folder_ = pattern;
  }
  ~Replan() override {
    std::error_code error;
    fs::remove_all(folder_, error);
  }
  RunOptions options(const Setting& setting, const std::string& drill) const {
    const fs::path file = folder_ / fmt::format("star{}.json", setting.size);
    std::ofstream(file) << starOf(setting.size);
    RunOptions options;
    options.setting = setting;
    options.environment = {{"TUTTI_TOPO_FILE", file.string()},
                           {"TUTTI_CACHE_DIR", "off"},
                           {"TUTTI_DEBUG", "NONE"},
                           {"TUTTI_REPLAN_DRILL", drill}};
    return options;
  }

  fs::path folder_;
};

struct Generation {
  uint64_t number = 0;
  uint64_t from = 0;
};

Generation generationOf(RankContext& context) {
  const char* text = nullptr;
  TUTTI_REQUIRE(context, tuttiCommDescribe(context.comm(), &text));
  const auto plan = nlohmann::json::parse(text).at("plan_generation");
  return {plan.at("number").get<uint64_t>(), plan.at("from_operation").get<uint64_t>()};
}

// After each collective all ranks have the same plan, since the same collective.
void requireSamePlan(RankContext& context) {
  const Generation mine = generationOf(context);
  context.requireSame(mine.number << 32 | mine.from, "generation and first operation");
}

// Until rank 0 has seen so many plans; all ranks end together.
void runUntil(RankContext& context, uint64_t generations,
              const std::function<void(uint32_t)>& run) {
  for (uint32_t round = 1;; ++round) {
    run(round);
    requireSamePlan(context);
    // The same value everywhere, as was just required.
    if (generationOf(context).number >= generations) return;
  }
}

constexpr Kind kPlannedKinds[] = {Kind::kAllReduce, Kind::kAllGather, Kind::kReduceScatter,
                                  Kind::kBroadcast, Kind::kReduce,    Kind::kAllToAll,
                                  Kind::kSendRecv};

void exerciseRound(RankContext& context, uint32_t round) {
  const Kind kind = kPlannedKinds[round % std::size(kPlannedKinds)];
  for (const size_t count : {size_t{3}, size_t{5000}, size_t{60'000}}) {
    if (kIsThreadSanitized && count > 5000) continue;
    exercise(context, {.kind = kind,
                       .count = count + round % 7,
                       .root = static_cast<int>(round) % context.size(),
                       .isInPlace = false,
                       .seed = round});
  }
}

class ReplanOf : public Replan, public testing::WithParamInterface<Setting> {};

TEST_P(ReplanOf, BlockingCalls) {
  runRanks(options(GetParam(), "20ms"), [](RankContext& context) {
    runUntil(context, 8, [&](uint32_t round) { exerciseRound(context, round); });
  });
}

// Ranks that drift apart: many calls between two looks at what the others do.
TEST_P(ReplanOf, ManyCallsOfRanksThatDrift) {
  runRanks(options(GetParam(), "5ms"), [](RankContext& context) {
    runUntil(context, 20, [&](uint32_t round) {
      for (uint32_t i = 0; i < (kIsSanitized ? 10 : 50); ++i) {
        if ((i + round) % static_cast<uint32_t>(context.size()) ==
            static_cast<uint32_t>(context.rank())) {
          sleepMs(1);
        }
        exercise(context, {.kind = i % 2 == 0 ? Kind::kAllReduce : Kind::kBroadcast,
                           .count = 1 + 400 * (i % 3),
                           .root = static_cast<int>(i) % context.size(),
                           .seed = i});
      }
    });
  });
}

TEST_P(ReplanOf, StreamsAndGroups) {
  runRanks(options(GetParam(), "10ms"), [](RankContext& context) {
    tuttiStream_t stream = nullptr;
    TUTTI_REQUIRE(context, tuttiStreamCreate(context.comm(), &stream));
    runUntil(context, 8, [&](uint32_t round) {
      std::vector<std::unique_ptr<Exercise>> exercises;
      for (uint32_t i = 0; i < 12; ++i) {
        const Kind kind = kPlannedKinds[(i + round) % 6];  // a group may not hold a group's wait
        exercises.push_back(std::make_unique<Exercise>(
            context, Case{.kind = kind, .count = 1 + 1000 * (i % 4), .seed = 1 + i}));
      }
      const bool isGroup = round % 2 == 0;
      if (isGroup) TUTTI_REQUIRE(context, tuttiGroupStart());
      for (const auto& one : exercises) TUTTI_REQUIRE(context, one->call(stream));
      if (isGroup) TUTTI_REQUIRE(context, tuttiGroupEnd());
      TUTTI_REQUIRE(context, tuttiStreamSynchronize(context.comm(), stream));
      for (const auto& one : exercises) one->verify();
    });
    TUTTI_REQUIRE(context, tuttiStreamDestroy(context.comm(), stream));
  });
}

// Whoever leaves first, also in the middle of an agreement: nobody waits.
TEST_P(ReplanOf, LeavingInBetween) {
  for (int leaver = 0; leaver < 2; ++leaver) {
    runRanks(options(GetParam(), "1ms"), [leaver](RankContext& context) {
      for (uint32_t round = 0; round < 20; ++round) exerciseRound(context, round);
      if (context.rank() % 2 != leaver) sleepMs(20);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(All, ReplanOf,
                         testing::ValuesIn(seen({{Launch::kThreads, 2},
                                                 {Launch::kThreads, 5},
                                                 {Launch::kProcesses, 4}})),
                         [](const auto& tested) { return name(tested.param); });

// One of the ranks dies while others wait for what it says: the usual error, in time.
TEST_F(Replan, ADeadRankIsNamed) {
  RunOptions run = options({Launch::kProcesses, 4}, "1ms");
  run.timeoutMs = 20000;
  for (const int victim : {0, 2}) {
    run.mayDie = {victim};
    runRanks(run, [victim](RankContext& context) {
      for (uint32_t round = 0; round < 10; ++round) exerciseRound(context, round);
      if (context.rank() == victim) raise(SIGKILL);
      std::vector<float> in(5000), out(5000);
      const int64_t start = nowNs();
      tuttiResult_t result = tuttiSuccess;
      while (result == tuttiSuccess) {
        result = tuttiAllReduce(in.data(), out.data(), in.size(), tuttiFloat32, tuttiSum,
                                context.comm(), nullptr);
      }
      TUTTI_CHECK(context, result == tuttiRemoteError);
      TUTTI_CHECK(context, nowNs() - start < int64_t{3'000'000'000} * (kIsSanitized ? 4 : 1));
      const std::string text = tuttiGetLastError(context.comm());
      TUTTI_CHECK(context, text.find(fmt::format("rank {}", victim)) != std::string::npos);
      TUTTI_REQUIRE(context, tuttiCommAbort(context.comm()));
      context.setComm(nullptr);
    });
  }
}

// A rank that is stopped for a while says nothing: the others go on as far as they can without it.
TEST_F(Replan, AStoppedRankHoldsNobodyForEver) {
  if (kIsThreadSanitized) GTEST_SKIP() << "processes";
  RunOptions run = options({Launch::kProcesses, 3}, "5ms");
  runRanks(run, [](RankContext& context) {
    for (uint32_t round = 0; round < 10; ++round) exerciseRound(context, round);
    const int64_t start = nowNs();
    if (context.rank() == 1) {
      context.board().values[0] = static_cast<uint64_t>(getpid());
      while (context.board().values[1] == 0) sleepMs(1);
    }
    if (context.rank() == 2) {
      context.awaitValue(0, 1);
      const auto pid = static_cast<pid_t>(context.board().values[0]);
      kill(pid, SIGSTOP);
      sleepMs(500);
      kill(pid, SIGCONT);
      context.board().values[1] = 1;
    }
    for (uint32_t round = 0; round < 10; ++round) exerciseRound(context, round);
    TUTTI_CHECK(context, nowNs() - start < int64_t{15'000'000'000});
  });
}

// Over networks, where the ranks of each process are a host of their own.
class ReplanOver : public Replan, public testing::WithParamInterface<Network> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ReplanOver);

TEST_P(ReplanOver, ResultsStayRight) {
  for (const Setting setting : seen({{Launch::kThreads, 3}, {Launch::kProcesses, 4}})) {
    RunOptions run = options(setting, "20ms");
    run.environment.emplace_back("TUTTI_TRANSPORTS", GetParam().transport);
    const auto& more = GetParam().environment;
    run.environment.insert(run.environment.end(), more.begin(), more.end());
    runRanks(run, [](RankContext& context) {
      runUntil(context, 5, [&](uint32_t round) { exerciseRound(context, round); });
    });
  }
}

INSTANTIATE_TEST_SUITE_P(All, ReplanOver, testing::ValuesIn(networks()),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace tutti::test
