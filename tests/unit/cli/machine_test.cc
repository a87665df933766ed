// What the library describes, as people read it.
#include "src/cli/machine.h"

#include <gtest/gtest.h>
#include <tutti/tutti.h>

#include <stdexcept>

namespace tutti::cli {
namespace {

const char* kJson = R"({
  "version": "9.8.7",
  "host": {"name": "box", "cpu": "Some CPU", "usable_cores": 2, "numa_nodes": 1,
           "l3_bytes": 1048576, "memory_bytes": 8589934592},
  "devices": [{"name": "host", "model": "Some CPU, 2 cores", "usable": true, "memory_bytes": 1024},
              {"name": "other", "usable": false, "reason": "libother.so.1 is missing"}],
  "link_probes": [{"name": "one", "devices": 8, "links": 96, "notes": [], "reason": ""},
                  {"name": "two", "devices": 0, "links": 0, "reason": "libtwo.so.1 is missing"}],
  "transports": [{"name": "shm", "description": "processes of one host"}],
  "networks": [{"name": "tcp", "note": ""}, {"name": "ucx", "note": "no RDMA device"}],
  "configuration": [
    {"name": "TUTTI_ALGO", "value": "ring", "origin": "environment TUTTI_ALGO", "help": "force"},
    {"name": "TUTTI_DEBUG", "value": "WARN", "origin": "default", "help": "log level"},
    {"name": "TUTTI_ADDR", "value": "", "origin": "default", "help": "host:port"}]
})";

TEST(Machine, ReadsTheDescription) {
  const Machine machine = parseMachine(kJson);
  EXPECT_EQ(machine.version, "9.8.7");
  EXPECT_EQ(machine.usableCores, 2);
  ASSERT_EQ(machine.devices.size(), 2u);
  EXPECT_TRUE(machine.hasUsableDevice());
  EXPECT_EQ(machine.devices[1].reason, "libother.so.1 is missing");
  ASSERT_NE(machine.find("TUTTI_DEBUG"), nullptr);
  EXPECT_EQ(machine.find("TUTTI_DEBUG")->value, "WARN");
  EXPECT_EQ(machine.find("TUTTI_NONE"), nullptr);
}

TEST(Machine, RendersDevicesAndReasons) {
  const std::string text = renderMachine(parseMachine(kJson));
  EXPECT_NE(text.find("Some CPU, 2 usable cores, 8 GiB of memory"), std::string::npos) << text;
  EXPECT_NE(text.find("other      not usable: libother.so.1 is missing"), std::string::npos)
      << text;
}

TEST(Machine, RendersLinkProbes) {
  const std::string text = renderMachine(parseMachine(kJson));
  EXPECT_NE(text.find("link probes one        8 devices, 96 link ends"), std::string::npos) << text;
  EXPECT_NE(text.find("two        none: libtwo.so.1 is missing"), std::string::npos) << text;
}

TEST(Machine, RendersTheOrderOfNetworks) {
  Machine machine = parseMachine(kJson);
  EXPECT_NE(renderMachine(machine).find("networks    tcp, then ucx (no RDMA device)\n"),
            std::string::npos)
      << renderMachine(machine);
  machine.networks.clear();
  EXPECT_NE(renderMachine(machine).find("none is allowed by the settings"), std::string::npos);
}

TEST(Machine, RendersWhatWasSetWithItsOriginFirst) {
  const std::string text = renderSettings(parseMachine(kJson));
  const size_t set = text.find("TUTTI_ALGO   ring                from environment TUTTI_ALGO");
  const size_t other = text.find("TUTTI_DEBUG  WARN                log level");
  ASSERT_NE(set, std::string::npos) << text;
  ASSERT_NE(other, std::string::npos) << text;
  EXPECT_LT(set, other);
  EXPECT_NE(text.find("TUTTI_ADDR   -"), std::string::npos) << text;
}

TEST(Machine, MissingMembersHaveDefaults) {
  const Machine machine = parseMachine("{}");
  EXPECT_FALSE(machine.hasUsableDevice());
  EXPECT_EQ(machine.usableCores, 1);
  EXPECT_NE(renderSettings(machine).find("nothing"), std::string::npos);
  EXPECT_THROW(parseMachine("oops"), std::runtime_error);
}

TEST(Machine, ReadsWhatTheLibrarySays) {
  const char* json = nullptr;
  ASSERT_EQ(tuttiDescribe(&json), tuttiSuccess);
  const Machine machine = parseMachine(json);
  EXPECT_TRUE(machine.hasUsableDevice()) << json;
  EXPECT_GE(machine.usableCores, 1);
  EXPECT_GT(machine.memoryBytes, 0u);
  EXPECT_NE(machine.find("TUTTI_TIMEOUT"), nullptr);
  EXPECT_FALSE(machine.linkProbes.empty());
}

}  // namespace
}  // namespace tutti::cli
