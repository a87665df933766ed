// Network plugins that are slow, refuse for a while, break or fail, between ranks that share
// nothing else.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/multi/exercise.h"
#include "tests/multi/networks.h"

namespace tutti::test {
namespace {

struct PluginCase {
  int version;
  const char* words;
};

std::string nameOf(const PluginCase& tested) {
  std::string name = "v" + std::to_string(tested.version) + "_" + tested.words;
  for (char& each : name) each = std::isalnum(static_cast<unsigned char>(each)) ? each : '_';
  return name;
}

void PrintTo(const PluginCase& tested, std::ostream* out) { *out << nameOf(tested); }

RunOptions optionsFor(const PluginCase& tested, Setting setting) {
  const Network network = pluginNetwork(tested.version, tested.words);
  RunOptions options;
  options.setting = setting;
  options.environment = network.environment;
  options.environment.emplace_back("TUTTI_TRANSPORTS", network.transport);
  return options;
}

void runSome(RankContext& context) {
  for (uint32_t seed = 1; seed <= 3; ++seed) {
    for (const Kind kind : {Kind::kAllReduce, Kind::kAllGather, Kind::kAllToAll}) {
      exercise(context, {.kind = kind, .count = 7000 * seed, .seed = seed});
    }
  }
}

class Plugins : public testing::TestWithParam<PluginCase> {};

TEST_P(Plugins, ResultsAreRight) {
  for (const Setting setting : seen({{Launch::kThreads, 3}, {Launch::kProcesses, 4}})) {
    runRanks(optionsFor(GetParam(), setting), runSome);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Plugins,
                         testing::Values(PluginCase{6, "busy"}, PluginCase{6, "no-sizes"},
                                         PluginCase{8, "slow-connect"}, PluginCase{9, "busy"},
                                         PluginCase{10, "lazy-table"},
                                         PluginCase{11, "slow-connect,busy"},
                                         PluginCase{11, "keep-open"},
                                         PluginCase{12, "several-devices"}),
                         [](const auto& tested) { return nameOf(tested.param); });

// The way breaks on both sides, and nobody is dead: each rank says so, or what another said.
class BrokenPlugin : public testing::TestWithParam<int> {};

TEST_P(BrokenPlugin, IsNamedWithThePeer) {
  for (const Setting setting : seen({{Launch::kThreads, 2}, {Launch::kProcesses, 3}})) {
    RunOptions run = optionsFor({GetParam(), "break"}, setting);
    run.timeoutMs = 20000;
    runRanks(run, [](RankContext& context) {
      std::vector<float> in(50000), out(50000);
      const int64_t start = nowNs();
      tuttiResult_t result = tuttiSuccess;
      while (result == tuttiSuccess) {
        result = tuttiAllReduce(in.data(), out.data(), in.size(), tuttiFloat32, tuttiSum,
                                context.comm(), nullptr);
      }
      TUTTI_CHECK(context, nowNs() - start < int64_t{2'000'000'000} * (kIsSanitized ? 4 : 1));
      const std::string text = tuttiGetLastError(context.comm());
      TUTTI_CHECK(context, text.find("is unreachable: net plugin Fake: ") != std::string::npos);
      TUTTI_REQUIRE(context, tuttiCommAbort(context.comm()));
      context.setComm(nullptr);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(All, BrokenPlugin, testing::Values(8, 11));

// A plugin that can not be used is passed over: the log says so once, and TCP serves.
TEST(UnusablePlugin, IsPassedOverWithAWarning) {
  const std::string file = testing::TempDir() + "/tutti_plugins_" + std::to_string(getpid());
  RunOptions run = optionsFor({10, "fail-init"}, {Launch::kThreads, 2});
  run.environment.emplace_back("TUTTI_TRANSPORTS", "net_plugin,tcp");
  run.environment.emplace_back("TUTTI_DEBUG_FILE", file);
  runRanks(run, runSome);
  std::stringstream log;
  log << std::ifstream(file).rdbuf();
  unlink(file.c_str());
  EXPECT_NE(log.str().find("can not be used: net plugin Fake: init: error of the system"),
            std::string::npos)
      << log.str();
  EXPECT_NE(log.str().find("net plugin: fake net: told to fail init"), std::string::npos)
      << log.str();
}

// Plugins complain of connections that end while something is under way: nothing is.
TEST(LeavingPlugin, SaysNothing) {
  const std::string file = testing::TempDir() + "/tutti_plugins_" + std::to_string(getpid());
  RunOptions run = optionsFor({11, ""}, {Launch::kThreads, 4});
  run.environment.emplace_back("TUTTI_DEBUG_FILE", file);
  runRanks(run, runSome);
  std::stringstream log;
  log << std::ifstream(file).rdbuf();
  unlink(file.c_str());
  EXPECT_EQ(log.str().find("fake net"), std::string::npos) << log.str();
}

// TUTTI_NET by the plugin's own name takes it and nothing else.
TEST(NamedPlugin, IsTakenByItsOwnName) {
  for (const bool isThere : {true, false}) {
    RunOptions run = optionsFor({12, isThere ? "" : "no-devices"}, {Launch::kThreads, 2});
    run.environment.emplace_back("TUTTI_TRANSPORTS", "net_plugin,tcp");
    run.environment.emplace_back("TUTTI_NET", "fake");
    run.makesComm = isThere;
    runRanks(run, [isThere](RankContext& context) {
      if (isThere) return runSome(context);
      tuttiComm_t comm = nullptr;
      const auto id = context.newId();
      TUTTI_CHECK(context,
                  tuttiCommInitRank(&comm, context.size(), id, context.rank()) != tuttiSuccess);
    });
  }
}

}  // namespace
}  // namespace tutti::test
