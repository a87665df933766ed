// From a driver's words to the fabric: the same links between devices as a file of that machine
// has.
#include "topology/discover.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <tuple>

#include "src/device/cuda/links.h"
#include "src/device/hip/links.h"
#include "src/device/levelzero/links.h"
#include "tests/unit/device/links/recorded.h"
#include "tests/unit/topology/machines.h"

namespace tutti::device {
namespace {

using topology::Loaded;
using topology::Topology;
using DeviceLinkMap = std::map<std::pair<std::string, std::string>,
                               std::tuple<int64_t, int64_t, topology::Provenance>>;

ir::DeviceLinks probeHip(const Recorded& machine) {
  std::string reason;
  const std::string libraries[] = {FAKE_ROCM_SMI};
  ir::DeviceLinks found = hip::probeLinks(libraries, machine.path(), reason);
  EXPECT_EQ(reason, "");
  return found;
}

ir::DeviceLinks probeCuda(const Recorded& machine) {
  std::string reason;
  ir::DeviceLinks found = cuda::probeLinks(FAKE_NVML, machine.path(), reason);
  EXPECT_EQ(reason, "");
  return found;
}

Loaded discover(const Recorded& machine, const ir::DeviceLinks& links,
                const base::Config::Environment& environment = {}) {
  auto loaded =
      topology::discoverTopology(base::Config::fromMap(environment), links, machine.path());
  EXPECT_TRUE(loaded.isOk()) << loaded.status().toString();
  return loaded ? loaded.take() : Loaded();
}

// Capacity, latency and provenance by the addresses of the ends; a switch goes by its id.
DeviceLinkMap deviceLinks(const Topology& topology) {
  const auto name = [&](topology::NodeIndex index) {
    const topology::Node& node = topology.nodes[static_cast<size_t>(index)];
    return node.address.empty() ? node.id : node.address;
  };
  DeviceLinkMap links;
  for (const topology::Link& link : topology.links) {
    if (link.kind != topology::LinkKind::kDevice) continue;
    links[{name(link.from), name(link.to)}] = {link.capacity, link.latencyNs, link.provenance};
  }
  return links;
}

std::string models(const Topology& topology) {
  std::map<std::string, std::string> models;
  for (const topology::Node& node : topology.nodes) {
    if (node.kind == topology::NodeKind::kRank) models[node.address] = node.model;
  }
  std::string text;
  for (const auto& [address, model] : models) text += address + " " + model + "\n";
  return text;
}

struct Dump {
  const char* recording;
  const char* file;
  size_t links;
};

class DumpLinks : public testing::TestWithParam<Dump> {};

TEST_P(DumpLinks, AreThoseOfTheDump) {
  const char* folder = std::getenv("TUTTI_TEST_TOPOLOGIES");
  const std::string path =
      fmt::format("{}/{}.xml", folder != nullptr ? folder : TUTTI_TOPOLOGIES, GetParam().file);
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  const auto dump = topology::loadTopology(path);
  ASSERT_TRUE(dump.isOk()) << dump.status().toString();
  const Recorded machine(GetParam().recording, "0x1002", {}, "0x038000");
  const Loaded found = discover(machine, probeHip(machine));
  EXPECT_EQ(deviceLinks(found.topology).size(), GetParam().links);
  EXPECT_EQ(deviceLinks(found.topology), deviceLinks(dump->topology));
  EXPECT_EQ(models(found.topology), models(dump->topology));
}

INSTANTIATE_TEST_SUITE_P(Shared, DumpLinks,
                         testing::Values(Dump{"mi250x_8", "topo_8p1h", 24},
                                         Dump{"mi250x_16", "topo_16p1h", 56},
                                         Dump{"mi300x_8", "topo_8p_940", 56},
                                         Dump{"mi100_8", "topo_8p6l", 48}),
                         [](const auto& dump) { return std::string(dump.param.recording); });

TEST(LinksToFabric, ThoseOfTheSameMachinesNcclFile) {
  const Recorded machine("a100_8", "0x10de");
  std::string functions;
  std::string switches;
  for (int i = 4; i < 10; ++i) {
    switches +=
        fmt::format("<nvlink target=\"0000:c{}:00.0\" count=\"2\" tclass=\"0x068000\"/>", i);
  }
  for (size_t i = 0; i < 8; ++i) {
    functions += topology::gpu(machine.address(i), static_cast<int>(i), switches, "80");
  }
  const Loaded file = topology::loadText(topology::machine(topology::cpu(0, functions)));
  const Loaded found = discover(machine, probeCuda(machine));
  EXPECT_EQ(topology::capacity(found.topology, "gpu0", "nvswitch"), 240 * topology::kGigabyte);
  EXPECT_EQ(deviceLinks(found.topology), deviceLinks(file.topology));
  EXPECT_EQ(models(found.topology), models(file.topology));
}

TEST(LinksToFabric, ThoseOfThePublishedMatrix) {
  const Recorded machine("v100_8", "0x10de");
  const Loaded found = discover(machine, probeCuda(machine));
  const auto sample = topology::loadTopology(TUTTI_SAMPLES "/dgx1v.json");
  ASSERT_TRUE(sample.isOk()) << sample.status().toString();
  for (int i = 0; i < 8; ++i) {
    for (int k = 0; k < 8; ++k) {
      const std::string from = fmt::format("gpu{}", i);
      const std::string to = fmt::format("gpu{}", k);
      EXPECT_EQ(topology::capacity(found.topology, from, to) / 20,
                topology::capacity(sample->topology, from, to) / 25)
          << from << " " << to;
    }
  }
}

TEST(LinksToFabric, DumpReadsBackAlike) {
  for (const char* name : {"mi250x_8", "a100_8", "v100_8"}) {
    const bool isAmd = std::string(name) == "mi250x_8";
    const Recorded machine(name, isAmd ? "0x1002" : "0x10de");
    const std::string path = machine.path() + "/dump.xml";
    const Loaded found = discover(machine, isAmd ? probeHip(machine) : probeCuda(machine),
                                  {{"TUTTI_TOPO_DUMP_FILE", path}});
    EXPECT_FALSE(topology::hasNote(found, {"dump.xml"})) << topology::joined(found.notes);
    const auto again = topology::loadTopology(path);
    ASSERT_TRUE(again.isOk()) << again.status().toString();
    EXPECT_EQ(again->topology.digest(), found.topology.digest()) << name;
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    const char* element = isAmd ? "<xgmi target=\"0000:2c:00.0\" count=\"4\"" : "<nvlink target=";
    EXPECT_NE(text.str().find(element), std::string::npos) << text.str();
  }
}

TEST(LinksToFabric, EndsThatAreNotHere) {
  const Recorded machine("", "0x10de",
                         "device 0000:01:00.0 70\ndevice 0000:02:00.0 70\ndevice 0000:03:00.0 70\n"
                         "link 0000:01:00.0 0000:02:00.0 1 25781\n"
                         "link 0000:01:00.0 0000:03:00.0 2 25781\n");
  const ir::DeviceLinks links = probeCuda(machine);
  std::filesystem::remove_all(machine.path() + "/sys/bus/pci/devices/0000:03:00.0");
  const Loaded found = discover(machine, links);
  EXPECT_EQ(deviceLinks(found.topology).size(), 2u);
  EXPECT_TRUE(topology::hasNote(found, {"0000:01:00.0: 2 links to 0000:03:00.0 left out"}))
      << topology::joined(found.notes);
  EXPECT_TRUE(topology::hasNote(found, {"0000:03:00.0: 2 links to 0000:01:00.0 left out"}));
}

TEST(LinksToFabric, LinksOfProcessorsAndOfOneSideOnly) {
  const Recorded machine("", "0x10de",
                         "device 0000:01:00.0 70\ndevice 0000:02:00.0 70\n"
                         "host 0000:01:00.0 3 25781\nlink 0000:01:00.0 0000:02:00.0 3 25781\n"
                         "fails 0000:02:00.0 15 3\n");
  const Loaded found = discover(machine, probeCuda(machine));
  const topology::Link toHost = [&] {
    for (const topology::Link& link : found.topology.links) {
      if (link.kind == topology::LinkKind::kChip) return link;
    }
    return topology::Link();
  }();
  EXPECT_EQ(toHost.capacity, 60 * topology::kGigabyte);
  EXPECT_EQ(topology::capacity(found.topology, "gpu1", "gpu0"), 60 * topology::kGigabyte)
      << topology::toString(found.topology) << topology::joined(found.notes);
}

// Files of clouds list PCI functions only; what such a file says of a device's links stays.
TEST(LinksToFabric, CompleteAFile) {
  const Recorded machine("mi250x_8", "0x1002");
  std::string functions;
  for (size_t i = 0; i < 8; ++i) {
    const std::string listed =
        i != 0 ? ""
               : "<gpu dev=\"0\" gcn=\"gfx90a\" rank=\"0\"><xgmi target=\"0000:2c:00.0\" "
                 "count=\"2\" tclass=\"0x038000\"/></gpu>";
    functions += fmt::format("<pci busid=\"{}\">{}</pci>\n", machine.address(i), listed);
  }
  machine.write("/box.xml", topology::machine(topology::cpu(0, functions)));
  const Loaded found =
      discover(machine, probeHip(machine), {{"TUTTI_TOPO_FILE", machine.path() + "/box.xml"}});
  const Loaded all = discover(machine, probeHip(machine));
  EXPECT_EQ(topology::capacity(found.topology, "gpu0", "gpu1"), 72 * topology::kGigabyte)
      << topology::joined(found.notes);
  DeviceLinkMap expected = deviceLinks(all.topology);
  const std::pair<std::string, std::string> pair(machine.address(0), machine.address(1));
  std::get<0>(expected[pair]) = std::get<0>(expected[{pair.second, pair.first}]) =
      72 * topology::kGigabyte;
  EXPECT_EQ(deviceLinks(found.topology), expected);
}

TEST(LinksToFabric, CompleteAFileWithSwitchAndProcessor) {
  const Recorded machine("a100_8", "0x10de", "host 0000:07:00.0 2 25000\n");
  std::string functions;
  for (size_t i = 0; i < 8; ++i) {
    functions += fmt::format("<pci busid=\"{}\"/>\n", machine.address(i));
  }
  machine.write("/box.xml", topology::machine(topology::cpu(0, functions)));
  const Topology found =
      discover(machine, probeCuda(machine), {{"TUTTI_TOPO_FILE", machine.path() + "/box.xml"}})
          .topology;
  const Topology all = discover(machine, probeCuda(machine)).topology;
  EXPECT_EQ(topology::countKind(found, topology::NodeKind::kSwitch), 1);
  EXPECT_EQ(deviceLinks(found), deviceLinks(all));
  EXPECT_EQ(topology::capacity(found, "gpu0", "numa0"), 64 * topology::kGigabyte) << "24 by PCI";
  EXPECT_EQ(topology::capacity(all, "numa0", "gpu0"), 64 * topology::kGigabyte);
}

TEST(LinkProbes, OfThisBuild) {
  std::vector<std::string> names;
  for (const LinkProbe* probe : builtinLinkProbes()) {
    names.emplace_back(probe->name());
    std::string reason;
    const ir::DeviceLinks found = probe->probe(reason);
    EXPECT_EQ(found.devices.empty(), !reason.empty()) << probe->name() << ": " << reason;
  }
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  for (const char* name : {"cuda", "hip", "levelzero"}) {
    EXPECT_TRUE(std::binary_search(names.begin(), names.end(), name)) << name;
  }
}

// One vendor's words for another's machine.
class NotingProbe final : public LinkProbe {
 public:
  std::string_view name() const override { return "noting"; }
  ir::DeviceLinks probe(std::string& reason) const override {
    reason = "none";
    return {{{"0000:01:00.0", "x1"}}, {{.from = "0000:01:00.0", .to = "0000:02:00.0"}}, {"odd"}};
  }
};

TEST(LinkProbes, AreJoined) {
  const NotingProbe probe;
  const LinkProbe* const probes[] = {&probe, &probe};
  const ir::DeviceLinks all = findDeviceLinks(probes);
  EXPECT_EQ(all.devices.size(), 2u);
  EXPECT_EQ(all.links.size(), 2u);
  EXPECT_EQ(all.notes, (std::vector<std::string>{"noting: odd", "noting: odd"}));
  EXPECT_EQ(findDeviceLinks({}), ir::DeviceLinks());
}

}  // namespace
}  // namespace tutti::device
