// Which plugin, which of its devices, and that one which can not be used says why. Processes read
// their settings once, so each plugin is loaded in a child.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "transports/net_plugin/devices.h"
#include "transports/net_plugin/library.h"
#include "transports/registry.h"

namespace tutti::transports::net_plugin {

const Backend* backend();

namespace {

using Files = std::vector<std::vector<std::string>>;
using Settings = std::vector<std::pair<std::string, std::string>>;

TEST(NetPluginFiles, AreTheUsualOnesUnlessSomebodyAsks) {
  EXPECT_EQ(filesOf(""), (Files{{"libnccl-net.so", "librccl-net.so"}}));
  EXPECT_EQ(filesOf("none"), Files{});
  EXPECT_EQ(filesOf("NONE"), Files{});
}

TEST(NetPluginFiles, AreTakenLiterallyThenAsASuffix) {
  EXPECT_EQ(filesOf("ofi"), (Files{{"ofi", "libnccl-net-ofi.so", "librccl-net-ofi.so"}}));
  EXPECT_EQ(filesOf("/opt/x.so"), (Files{{"/opt/x.so"}}));
  EXPECT_EQ(filesOf("./x"), (Files{{"./x"}}));
  EXPECT_EQ(filesOf("libmine.so"), (Files{{"libmine.so"}}));
  EXPECT_EQ(filesOf("libmine.so.2"), (Files{{"libmine.so.2"}}));
}

TEST(NetPluginFiles, AreOfEachWordOfAList) {
  EXPECT_EQ(filesOf("/a.so,,/b.so"), (Files{{"/a.so"}, {"/b.so"}}));
}

Device deviceNamed(const std::string& name, int speed, int port = 1) {
  Device device;
  device.name = name;
  device.speed = speed;
  device.port = port;
  device.takesHostMemory = true;
  return device;
}

const std::vector<Device> kFour = {deviceNamed("mlx5_0", 100000), deviceNamed("mlx5_1", 200000),
                                   deviceNamed("mlx5_1", 200000, 2), deviceNamed("eth0", 10000)};

std::string chosen(const char* wanted, int rank) {
  const Device* device = choose(kFour, wanted, rank);
  return device == nullptr ? "none" : device->name + ":" + std::to_string(device->port);
}

TEST(NetPluginDevices, AreTheFastestInTurn) {
  EXPECT_EQ(chosen("", 0), "mlx5_1:1");
  EXPECT_EQ(chosen("", 1), "mlx5_1:2");
  EXPECT_EQ(chosen("", 2), "mlx5_1:1");
}

TEST(NetPluginDevices, AreThoseThatAreNamed) {
  EXPECT_EQ(chosen("mlx5_0", 0), "mlx5_0:1");
  EXPECT_EQ(chosen("=mlx5_0,eth0", 5), "mlx5_0:1");
  EXPECT_EQ(chosen("mlx5_1:2", 0), "mlx5_1:2");
  EXPECT_EQ(chosen("^mlx5_1", 0), "mlx5_0:1");
  EXPECT_EQ(chosen("^mlx", 3), "eth0:1");
  EXPECT_EQ(chosen("=mlx", 0), "mlx5_1:1") << "a list that leaves none is about others";
  EXPECT_EQ(choose({}, "", 0), nullptr);
}

TEST(NetPluginDevices, SayWhatIsInTheWay) {
  Device device = deviceNamed("a0", 1000);
  EXPECT_EQ(obstacle(device, 1000), "");
  device.mostBytes = 999;
  EXPECT_EQ(obstacle(device, 1000), "a0 takes messages of at most 999 bytes, and 1000 are needed");
  device.needsKernels = true;
  EXPECT_EQ(obstacle(device, 1000), "a0 needs kernels of its own");
  device.takesHostMemory = false;
  EXPECT_EQ(obstacle(device, 1000), "a0 takes no host memory");
}

TEST(NetPluginDevices, AreNamedButNotAll) {
  EXPECT_EQ(namesOf(kFour), "mlx5_0 100 Gb/s, mlx5_1 200 Gb/s, mlx5_1 200 Gb/s, eth0 10 Gb/s");
  const std::vector<Device> many(11, deviceNamed("a", 400));
  EXPECT_TRUE(namesOf(many).ends_with("a 0.4 Gb/s and 3 more")) << namesOf(many);
}

std::string fileOf(int version) {
  return std::string(TUTTI_FAKE_NETS) + "/libnccl-net-fake" + std::to_string(version) + ".so";
}

// What `text` gives in a fresh process with these settings.
std::string inChild(const Settings& settings, const std::function<std::string()>& text) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    for (const auto& [name, value] : settings) setenv(name.c_str(), value.c_str(), 1);
    const std::string made = text();
    _exit(write(ends[1], made.data(), made.size()) == static_cast<ssize_t>(made.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string result;
  char part[512];
  for (ssize_t got = 0; (got = read(ends[0], part, sizeof(part))) > 0;) {
    result.append(part, static_cast<size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << "of the child that said: " << result;
  return result;
}

std::string described(const std::string& file, const std::string& words,
                      const std::string& net = "") {
  return inChild({{"TUTTI_NET_PLUGIN", file},
                  {"TUTTI_NET", net},
                  {"FAKE_NET", words},
                  {"TUTTI_DEBUG", "NONE"}},
                 [] { return backend()->describe(); });
}

class NetPluginOfVersion : public testing::TestWithParam<int> {};

TEST_P(NetPluginOfVersion, IsFound) {
  const std::string text = "other hosts over " + fileOf(GetParam()) + ", v" +
                           std::to_string(GetParam()) + " Fake: fake0 10 Gb/s";
  EXPECT_EQ(described(fileOf(GetParam()), ""), text);
}

TEST_P(NetPluginOfVersion, MayFillItsTableInInit) {
  const std::string text = described(fileOf(GetParam()), "lazy-table");
  EXPECT_TRUE(text.ends_with(" FakeFilled: fake0 10 Gb/s")) << text;
}

TEST_P(NetPluginOfVersion, SaysWhyItCanNotBeUsed) {
  const auto whyNot = [](const std::string& words) {
    const std::string text = described(fileOf(GetParam()), words);
    const std::string before = "other hosts over a plugin made for NCCL; not usable: ";
    EXPECT_TRUE(text.starts_with(before)) << text;
    return text.substr(std::min(before.size(), text.size()));
  };
  EXPECT_EQ(whyNot("fail-init"), "net plugin Fake: init: error of the system (ncclSystemError)");
  EXPECT_EQ(whyNot("no-irecv"), "net plugin Fake lacks the function irecv");
  EXPECT_EQ(whyNot("no-devices"), "net plugin Fake finds 0 devices");
  EXPECT_EQ(whyNot("device-memory"),
            "net plugin Fake has no fit device: fake0 takes no host memory");
  if (GetParam() >= 7) {
    EXPECT_EQ(whyNot("kernels"),
              "net plugin Fake has no fit device: fake0 needs kernels of its own");
  }
  if (GetParam() >= 9) {
    EXPECT_EQ(whyNot("small-messages")
                  .find("net plugin Fake has no fit device: fake0 takes "
                        "messages of at most 4096 bytes"),
              0u);
  }
}

INSTANTIATE_TEST_SUITE_P(All, NetPluginOfVersion, testing::Range(6, 13));

TEST(NetPlugin, IsTheFirstOfAListThatWorks) {
  EXPECT_NE(described("/nowhere/x.so," + fileOf(9) + "," + fileOf(11), "").find("v9 Fake"),
            std::string::npos);
}

TEST(NetPlugin, MustExportATable) {
  EXPECT_TRUE(described("libm.so.6", "").ends_with("libm.so.6 has no ncclNetPlugin_v6 to v12"));
}

TEST(NetPlugin, ThatIsNotThereIsNamed) {
  EXPECT_TRUE(described("/nowhere/x.so", "").ends_with("there is no /nowhere/x.so"));
  EXPECT_EQ(described("none", ""), "plugins made for NCCL: none is there");
}

TEST(NetPlugin, AnswersToItsName) {
  const auto answer = [](const std::string& words, const char* name) {
    return inChild({{"TUTTI_NET_PLUGIN", fileOf(10)}, {"TUTTI_NET", name}, {"FAKE_NET", words}},
                   [name] { return backend()->answersTo(name) ? "yes" : "no"; });
  };
  EXPECT_EQ(answer("", "Fake"), "yes");
  EXPECT_EQ(answer("", "fAKE"), "yes");
  EXPECT_EQ(answer("", "Faker"), "no");
  EXPECT_EQ(answer("lazy-table", "FakeFilled"), "yes");
}

TEST(NetPlugin, IsPreferredToAllNetworksWhereSomebodyNamesIt) {
  const auto preference = [](const std::string& file) {
    return inChild({{"TUTTI_NET_PLUGIN", file}},
                   [] { return std::to_string(backend()->preference()); });
  };
  EXPECT_EQ(preference(fileOf(8)), "35");
  EXPECT_EQ(preference("/nowhere/x.so"), "35") << "so that it is tried, and the log says why not";
  EXPECT_EQ(preference("none"), "1");
}

}  // namespace
}  // namespace tutti::transports::net_plugin
