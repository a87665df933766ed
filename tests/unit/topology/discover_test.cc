#include "topology/discover.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/unit/topology/fake_root.h"
#include "tests/unit/topology/machines.h"

namespace tutti::topology {
namespace {

// A recorded machine: two NUMA nodes; on the first a switch with a device that idles and an RDMA
// NIC, on the second a device, a NIC that is down, one for management, and a console.
class FakeMachine : public FakeRoot {
 public:
  FakeMachine() {
    write("/proc/cpuinfo",
          "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\nmodel "
          "name\t: x\n");
    write("/sys/devices/system/node/node0/cpulist", "0\n");
    write("/sys/devices/system/node/node1/cpulist", "1\n");
    write("/sys/devices/system/node/possible", "0-1\n");
    addFunction("0000:10:00.0", "", "0x060400", 0, "16.0 GT/s PCIe", "16.0 GT/s PCIe", "16");
    addFunction("0000:11:00.0", "0000:10:00.0/", "0x060400", 0, "16.0 GT/s PCIe", "16.0 GT/s PCIe",
                "16");
    addFunction("0000:12:00.0", kBelow, "0x030200", 0, "2.5 GT/s PCIe", "32.0 GT/s PCIe", "16");
    addFunction("0000:13:00.0", kBelow, "0x020700", 0, "16.0 GT/s PCIe", "16.0 GT/s PCIe", "16");
    write(folder("0000:13:00.0") + "/infiniband/mlx5_0/ports/1/rate", "200 Gb/sec (4X HDR)\n");
    write(folder("0000:13:00.0") + "/infiniband/mlx5_0/ports/1/state", "4: ACTIVE\n");
    write(folder("0000:13:00.0") + "/net/ib0/operstate", "down\n");
    addFunction("0000:81:00.0", "", "0x120000", 1, "32.0 GT/s PCIe", "32.0 GT/s PCIe", "8");
    addFunction("0000:82:00.0", "", "0x020000", 1, "8.0 GT/s PCIe", "8.0 GT/s PCIe", "8");
    write(folder("0000:82:00.0") + "/net/eth0/operstate", "down\n");
    addFunction("0000:83:00.0", "", "0x020000", 1, "8.0 GT/s PCIe", "8.0 GT/s PCIe", "4");
    write(folder("0000:83:00.0") + "/net/eth1/operstate", "up\n");
    write(folder("0000:83:00.0") + "/net/eth1/speed", "10000\n");
    addFunction("0000:84:00.0", "", "0x020000", 1, "8.0 GT/s PCIe", "8.0 GT/s PCIe", "4");
    addFunction("0000:85:00.0", "", "0x030000", 1, "Unknown", "Unknown", "0");
    addFunction("0000:86:00.0", "", "0x010802", 1, "8.0 GT/s PCIe", "8.0 GT/s PCIe", "4");
  }

  void addFunction(const std::string& address, const std::string& below, const std::string& type,
                   int node, const std::string& now, const std::string& most,
                   const std::string& width) {
    places_[address] = "/sys/devices/pci0000:00/" + below + address;
    write(folder(address) + "/class", type + "\n");
    write(folder(address) + "/vendor", "0x1002\n");
    write(folder(address) + "/device", "0x74a1\n");
    write(folder(address) + "/numa_node", std::to_string(node) + "\n");
    write(folder(address) + "/current_link_speed", now + "\n");
    write(folder(address) + "/max_link_speed", most + "\n");
    write(folder(address) + "/current_link_width", width + "\n");
    write(folder(address) + "/max_link_width", width + "\n");
    const std::filesystem::path link = path() + "/sys/bus/pci/devices/" + address;
    std::filesystem::create_directories(link.parent_path());
    std::filesystem::create_directory_symlink(path() + folder(address), link);
  }

  std::string folder(const std::string& address) const { return places_.at(address); }

 private:
  static constexpr const char* kBelow = "0000:10:00.0/0000:11:00.0/";
  std::map<std::string, std::string> places_;
};

Loaded discover(const FakeRoot& root, const base::Config::Environment& environment = {},
                const ir::DeviceLinks& links = {}) {
  auto loaded = discoverTopology(base::Config::fromMap(environment), links, root.path());
  EXPECT_TRUE(loaded.isOk()) << loaded.status().toString();
  return loaded ? loaded.take() : Loaded();
}

TEST(Discover, RecordedMachine) {
  const FakeMachine root;
  const Loaded loaded = discover(root);
  const Topology& t = loaded.topology;
  ASSERT_EQ(t.ranks().size(), 2u) << toString(t);
  EXPECT_EQ(t.nodes[0],
            (Node{"gpu0", NodeKind::kRank, "host0", "", "0x1002", "0x74a1", "0000:12:00.0"}));
  EXPECT_EQ(capacity(t, "gpu0", "pci 0000:11:00.0"), 24 * kGigabyte);  // as the port above allows
  EXPECT_EQ(capacity(t, "nic mlx5_0", "pci 0000:11:00.0"), 24 * kGigabyte);
  EXPECT_EQ(capacity(t, "pci 0000:10:00.0", "numa0"), 24 * kGigabyte);
  EXPECT_EQ(capacity(t, "gpu1", "numa1"), 24 * kGigabyte);
  EXPECT_EQ(capacity(t, "numa0", "numa1"), 16 * kGigabyte);
  EXPECT_EQ(countKind(t, NodeKind::kNic), 1);
  EXPECT_TRUE(hasNote(loaded, {"0000:12:00.0", "2.5 GT/s x16 taken as 16 GT/s x16"}) ||
              hasNote(loaded, {"gpu0", "2.5 GT/s x16 taken as 16 GT/s x16"}))
      << joined(loaded.notes);
  EXPECT_TRUE(hasNote(loaded, {"nic eth0", "no port is up"})) << joined(loaded.notes);
  EXPECT_TRUE(hasNote(loaded, {"nic eth1", "for management"})) << joined(loaded.notes);
  EXPECT_TRUE(hasNote(loaded, {"0000:84:00.0", "no driver"})) << joined(loaded.notes);
  EXPECT_TRUE(hasNote(loaded, {"0000:85:00.0", "console"})) << joined(loaded.notes);
}

TEST(Discover, WithoutDevicesTheHostIsTheRank) {
  const FakeRoot root;
  root.write("/sys/devices/system/node/node0/cpulist", "0\n");
  root.write("/sys/devices/system/node/node1/cpulist", "1\n");
  const Loaded loaded = discover(root);
  ASSERT_EQ(loaded.topology.ranks().size(), 1u);
  EXPECT_EQ(loaded.topology.nodes[0].id, "host");
  EXPECT_GT(capacity(loaded.topology, "host", "numa0"), 0);
  EXPECT_GT(capacity(loaded.topology, "numa1", "host"), 0);
  const FakeRoot nothing;
  EXPECT_EQ(discover(nothing).topology.ranks().size(), 1u);
}

TEST(Discover, ThisMachine) {
  const auto loaded = discoverTopology(base::Config::fromMap({}));
  ASSERT_TRUE(loaded.isOk()) << loaded.status().toString();
  EXPECT_GE(loaded->topology.ranks().size(), 1u);
  EXPECT_GE(countKind(loaded->topology, NodeKind::kHost), 1);
  EXPECT_FALSE(loaded->topology.name.empty());
  EXPECT_FALSE(loaded->topology.nodes[0].host.empty());
}

TEST(Discover, FileInsteadOfTheMachine) {
  const FakeMachine root;
  root.write("/star.json",
             R"({"nodes": [{"id": "a", "kind": "rank"}, {"id": "b", "kind": "rank"}],
                 "links": [{"a": "a", "b": "b", "gb_per_s": 10}]})");
  for (const char* name : {"TUTTI_TOPO_FILE", "NCCL_TOPO_FILE"}) {
    const Loaded loaded = discover(root, {{name, root.path() + "/star.json"}});
    EXPECT_EQ(loaded.topology.ranks().size(), 2u);
    EXPECT_EQ(loaded.topology.nodes[0].id, "a");
  }
  const auto missing =
      discoverTopology(base::Config::fromMap({{"TUTTI_TOPO_FILE", "/none.xml"}}), {}, root.path());
  ASSERT_FALSE(missing.isOk());
  EXPECT_NE(missing.status().text().find("/none.xml: cannot be opened"), std::string::npos);
}

TEST(Discover, FileOfAnotherMachineStaysAsItIs) {
  const FakeMachine root;
  root.write("/other.xml", machine(cpu(0, gpu("00f0:01:00.0", 0))));
  const Loaded loaded = discover(root, {{"TUTTI_TOPO_FILE", root.path() + "/other.xml"}});
  EXPECT_EQ(loaded.topology.nodes.size(), 2u);
  EXPECT_TRUE(hasNote(loaded, {"/other.xml: of another machine"})) << joined(loaded.notes);
}

// A file that gives the tree of addresses only: the machine says what is there.
TEST(Discover, FileWithoutDevicesIsCompleted) {
  const FakeMachine root;
  root.write("/tree.xml",
             "<system version=\"1\">\n<cpu numaid=\"0\">\n<pci busid=\"ffff:ff:01.0\" "
             "class=\"0x060400\" link_speed=\"32.0 GT/s PCIe\" link_width=\"16\">\n"
             "<pci busid=\"0000:12:00.0\"/>\n<pci busid=\"0000:13:00.0\" class=\"0x020700\"/>\n"
             "</pci></cpu>\n<cpu numaid=\"1\"/></system>\n");
  const Loaded loaded = discover(root, {{"TUTTI_TOPO_FILE", root.path() + "/tree.xml"}});
  const Topology& t = loaded.topology;
  ASSERT_EQ(t.ranks().size(), 2u) << toString(t);
  EXPECT_EQ(capacity(t, "gpu0", "pci ffff:ff:01.0"), 24 * kGigabyte);
  EXPECT_EQ(capacity(t, "nic mlx5_0", "pci ffff:ff:01.0"), 24 * kGigabyte);
  EXPECT_EQ(capacity(t, "pci ffff:ff:01.0", "numa0"), 48 * kGigabyte);
  EXPECT_EQ(capacity(t, "gpu1", "numa1"), 24 * kGigabyte);
  EXPECT_EQ(t.nodes[0].model, "0x74a1");
  EXPECT_TRUE(hasNote(loaded, {"gpu1 at 0000:81:00.0", "added below numa1"}))
      << joined(loaded.notes);
}

TEST(Discover, LinksThatDriversTellOf) {
  const FakeMachine root;
  ir::DeviceLinks links;
  links.devices = {{"0000:12:00.0", "gfx90a"}, {"0000:81:00.0", ""}, {"0000:99:00.0", "gfx90a"}};
  links.links = {{.from = "0000:12:00.0", .to = "0000:81:00.0", .count = 3, .rate = 10'000'000},
                 {.from = "0000:81:00.0", .to = "0000:12:00.0", .count = 2, .rate = 9'000'000},
                 {.from = "0000:81:00.0", .end = ir::LinkEnd::kSwitch, .rate = 5},
                 {.from = "0000:12:00.0", .to = "0000:99:00.0", .rate = 10'000'000}};
  links.links[2].isAssumed = true;
  links.notes = {"one: a note"};
  const Loaded loaded = discover(root, {}, links);
  const Topology& t = loaded.topology;
  const Link link = onlyLink(t, "gpu0", "gpu1");
  EXPECT_EQ(link.capacity, 18 * kGigabyte) << "what both ends agree on";
  EXPECT_EQ(link.kind, LinkKind::kDevice);
  EXPECT_EQ(link.provenance, Provenance::kDeclared);
  EXPECT_EQ(onlyLink(t, "nvswitch", "gpu1").provenance, Provenance::kTable);
  EXPECT_EQ(t.nodes[0].model, "gfx90a");
  EXPECT_EQ(t.nodes[1].model, "0x74a1");
  EXPECT_TRUE(hasNote(loaded, {"one: a note"}));
  EXPECT_TRUE(hasNote(loaded, {"0000:12:00.0: 1 link to 0000:99:00.0 left out"}));
  EXPECT_TRUE(hasNote(loaded, {"gpu0 lists 3 links to gpu1, which lists 2"}))
      << joined(loaded.notes);
}

TEST(Discover, Dump) {
  const FakeMachine root;
  const std::string path = root.path() + "/dump.xml";
  for (const char* name : {"TUTTI_TOPO_DUMP_FILE", "NCCL_TOPO_DUMP_FILE"}) {
    std::filesystem::remove(path);
    const Loaded loaded = discover(root, {{name, path}});
    const auto again = loadTopology(path);
    ASSERT_TRUE(again.isOk()) << again.status().toString();
    EXPECT_EQ(again->topology.digest(), loaded.topology.digest());
  }
  const Loaded loaded = discover(root, {{"TUTTI_TOPO_DUMP_FILE", root.path() + "/none/dump.xml"}});
  EXPECT_TRUE(hasNote(loaded, {"/none/dump.xml: not written", "No such file"}))
      << joined(loaded.notes);
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(root.path())) {
    files += entry.is_regular_file() ? 1 : 0;
  }
  EXPECT_EQ(files, 1);
}

}  // namespace
}  // namespace tutti::topology
