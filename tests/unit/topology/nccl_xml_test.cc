#include "topology/nccl_xml.h"

#include <gtest/gtest.h>

#include "tests/unit/topology/machines.h"

namespace tutti::topology {
namespace {

std::string nvlink(const std::string& target, int count, const std::string& targetClass) {
  return "<nvlink target=\"" + target + "\" count=\"" + std::to_string(count) + "\"" +
         (targetClass.empty() ? "" : " tclass=\"" + targetClass + "\"") + "/>";
}

std::string toSwitch(const std::string& target, int count) {
  return nvlink(target, count, "0x068000");
}

TEST(NcclXml, NodesSayWhatTheyAre) {
  const Loaded loaded = loadText(machine(
      cpu(3,
          "<pci busid=\"0000:C0:00.0\" class=\"0x060400\" vendor=\"0x1000\" device=\"0xc010\" "
          "link_speed=\"16 GT/s\" link_width=\"8\">" +
              gpu("0000:c1:00.0", 7) + nic("0000:c2:00.0", "mlx5_0", 200'000) + "</pci>")));
  const Topology& t = loaded.topology;
  EXPECT_EQ(t.name, "box");
  ASSERT_EQ(t.nodes.size(), 4u);
  EXPECT_EQ(t.nodes[0],
            (Node{"gpu7", NodeKind::kRank, "host0", "", "0x10de", "sm80", "0000:c1:00.0"}));
  EXPECT_EQ(t.nodes[1], (Node{"nic mlx5_0", NodeKind::kNic, "host0", "", "", "", "0000:c2:00.0"}));
  EXPECT_EQ(t.nodes[2], (Node{"pci 0000:c0:00.0", NodeKind::kBridge, "host0", "", "0x1000",
                              "0xc010", "0000:c0:00.0"}));
  EXPECT_EQ(t.nodes[3],
            (Node{"numa3", NodeKind::kHost, "host0", "", "AuthenticAMD", "x86_64 175/1", ""}));
  const Link link = onlyLink(t, "numa3", "pci 0000:c0:00.0");
  EXPECT_EQ(link.capacity, 12 * kGigabyte);
  EXPECT_EQ(link.kind, LinkKind::kPci);
  EXPECT_EQ(link.provenance, Provenance::kDeclared);
  EXPECT_GT(link.latencyNs, 0);
  // 200 Gb/s are 25 GB/s, its PCI link has 24.
  EXPECT_EQ(capacity(t, "nic mlx5_0", "pci 0000:c0:00.0"), 24 * kGigabyte);
  EXPECT_TRUE(loaded.notes.empty()) << joined(loaded.notes);
  expectRoundTrip(t);
}

TEST(NcclXml, PciSpeeds) {
  const std::pair<const char*, int64_t> cases[] = {
      {"link_speed=\"2.5 GT/s\" link_width=\"16\"", 3'000'000},
      {"link_speed=\"5 GT/s\" link_width=\"4\"", 1'500'000},
      {"link_speed=\"5.0 GT/s PCIe\" link_width=\"1\"", 375'000},
      {"link_speed=\"8.0 GT/s PCIe\" link_width=\"16\"", 12'000'000},
      {"link_speed=\"16 GT/s\" link_width=\"12\"", 18'000'000},
      {"link_speed=\"32.0 GT/s PCIe\" link_width=\"2\"", 6'000'000},
      {"link_speed=\"64.0 GT/s PCIe\" link_width=\"16\"", 96'000'000},
  };
  for (const auto& [text, rate] : cases) {
    const Loaded loaded =
        loadText(machine(cpu(0, "<pci busid=\"0:1:0.0\" " + std::string(text) + "><gpu/></pci>")));
    EXPECT_EQ(capacity(loaded.topology, "gpu0", "numa0"), rate) << text;
    EXPECT_EQ(onlyLink(loaded.topology, "gpu0", "numa0").provenance, Provenance::kDeclared);
    expectRoundTrip(loaded.topology);
  }
}

TEST(NcclXml, DeviceLinksByCapability) {
  const std::pair<const char*, int64_t> cases[] = {
      {"60", 18'000'000}, {"70", 20'000'000}, {"75", 20'000'000},  {"80", 20'000'000},
      {"86", 12'000'000}, {"90", 20'600'000}, {"100", 40'100'000}, {"120", 40'100'000},
  };
  for (const auto& [sm, rate] : cases) {
    const Loaded loaded = loadText(
        machine(cpu(0, gpu("0000:01:00.0", 0, nvlink("0000:02:00.0", 3, "0x030200"), sm) +
                           gpu("0000:02:00.0", 1, nvlink("0000:01:00.0", 3, "0x030200"), sm))));
    const Link link = onlyLink(loaded.topology, "gpu0", "gpu1");
    EXPECT_EQ(link.capacity, 3 * rate) << sm;
    EXPECT_EQ(link.kind, LinkKind::kDevice);
    EXPECT_TRUE(loaded.notes.empty()) << joined(loaded.notes);
    expectRoundTrip(loaded.topology);
  }
}

TEST(NcclXml, XgmiByArchitecture) {
  const std::pair<const char*, std::pair<const char*, int64_t>> cases[] = {
      {"906", {"gfx906", 24'000'000}},    {"gfx908", {"gfx908", 24'000'000}},
      {"910", {"gfx90a", 36'000'000}},    {"gfx90a", {"gfx90a", 36'000'000}},
      {"940", {"gfx940", 48'000'000}},    {"gfx942", {"gfx942", 48'000'000}},
      {"gfx950", {"gfx950", 48'000'000}},
  };
  for (const auto& [gcn, expected] : cases) {
    const auto device = [&](const std::string& address, const std::string& peer, int number) {
      return "<pci busid=\"" + address + "\" link_speed=\"16 GT/s\" link_width=\"16\"><gpu dev=\"" +
             std::to_string(number) + "\" sm=\"104\" gcn=\"" + gcn + "\"><xgmi target=\"" + peer +
             "\" count=\"4\"/></gpu></pci>";
    };
    const Loaded loaded = loadText(machine(cpu(
        0, device("0000:01:00.0", "0000:02:00.0", 0) + device("0000:02:00.0", "0000:01:00.0", 1))));
    EXPECT_EQ(capacity(loaded.topology, "gpu1", "gpu0"), 4 * expected.second) << gcn;
    EXPECT_EQ(loaded.topology.nodes[0].model, expected.first);
    EXPECT_EQ(loaded.topology.nodes[0].vendor, "0x1002");
    expectRoundTrip(loaded.topology);
  }
}

// The slower end decides.
TEST(NcclXml, UnlikeDevices) {
  const std::string there = nvlink("0000:02:00.0", 2, "");
  const std::string back = nvlink("0000:01:00.0", 2, "");
  const std::pair<std::string, std::string> cases[] = {{there, back}, {there, ""}, {"", back}};
  for (const auto& [first, second] : cases) {
    const Loaded loaded = loadText(machine(
        cpu(0, gpu("0000:01:00.0", 0, first, "86") + gpu("0000:02:00.0", 1, second, "80"))));
    EXPECT_EQ(capacity(loaded.topology, "gpu0", "gpu1"), 24'000'000);
    EXPECT_EQ(capacity(loaded.topology, "gpu1", "gpu0"), 24'000'000);
    expectRoundTrip(loaded.topology);
  }
}

TEST(NcclXml, AllSwitchesAreOne) {
  std::string devices;
  for (int i = 0; i < 8; ++i) {
    devices += gpu("0000:0" + std::to_string(i) + ":00.0", i,
                   toSwitch("0000:c4:00.0", 2) + toSwitch("0000:c5:00.0", 10));
  }
  const Loaded loaded = loadText(machine(cpu(0, devices)));
  EXPECT_EQ(countKind(loaded.topology, NodeKind::kSwitch), 1);
  for (int i = 0; i < 8; ++i) {
    const std::string id = "gpu" + std::to_string(i);
    EXPECT_EQ(capacity(loaded.topology, id, "nvswitch"), 240 * kGigabyte);
    EXPECT_EQ(capacity(loaded.topology, "nvswitch", id), 240 * kGigabyte);
  }
  expectRoundTrip(loaded.topology);
}

TEST(NcclXml, ListedSwitchesAreByFabric) {
  const auto listed = [](const std::string& address, const std::string& fabric,
                         const std::string& links = "") {
    return "<pci busid=\"" + address + "\" class=\"0x068000\" fabric=\"" + fabric + "\">" + links +
           "</pci>\n";
  };
  const Loaded loaded =
      loadText(machine(cpu(0, gpu("0000:01:00.0", 0, toSwitch("0000:c4:00.0", 6)) +
                                  gpu("0000:02:00.0", 1, toSwitch("0000:c5:00.0", 6)) +
                                  gpu("0000:03:00.0", 2, toSwitch("0000:c6:00.0", 5)) +
                                  listed("0000:c4:00.0", "a", toSwitch("0000:c6:00.0", 12)) +
                                  listed("0000:c5:00.0", "a") + listed("0000:c6:00.0", "b"))));
  EXPECT_EQ(countKind(loaded.topology, NodeKind::kSwitch), 2);
  EXPECT_EQ(capacity(loaded.topology, "gpu0", "nvswitch a"), 120 * kGigabyte);
  EXPECT_EQ(capacity(loaded.topology, "gpu1", "nvswitch a"), 120 * kGigabyte);
  EXPECT_EQ(capacity(loaded.topology, "gpu2", "nvswitch b"), 100 * kGigabyte);
  EXPECT_EQ(capacity(loaded.topology, "nvswitch a", "nvswitch b"), 240 * kGigabyte);
  EXPECT_EQ(countKind(loaded.topology, LinkKind::kPci), 6);  // the switches have no PCI link
  EXPECT_TRUE(loaded.notes.empty()) << joined(loaded.notes);
  expectRoundTrip(loaded.topology);
}

TEST(NcclXml, ChipLinks) {
  const Loaded loaded = loadText(
      machine(cpu(0, gpu("0000:01:00.0", 0, "<c2c bw=\"44712\" count=\"5\"/>") +
                         gpu("0000:02:00.0", 1, nvlink("0004:00:00.0", 3, "0x068001"), "70"))));
  EXPECT_EQ(capacity(loaded.topology, "gpu0", "numa0"), 24 * kGigabyte + 5 * 44'712'000);
  EXPECT_EQ(capacity(loaded.topology, "numa0", "gpu1"), 24 * kGigabyte + 60 * kGigabyte);
  EXPECT_EQ(countKind(loaded.topology, LinkKind::kChip), 4);
  expectRoundTrip(loaded.topology);
}

TEST(NcclXml, LinksBetweenPciSwitches) {
  const auto bridge = [](const std::string& address, const std::string& width,
                         const std::string& inside) {
    return "<pci busid=\"" + address + "\" class=\"0x060400\" link_speed=\"16.0 GT/s PCIe\" " +
           "link_width=\"" + width + "\">" + inside + "</pci>\n";
  };
  const Loaded loaded = loadText(
      machine(cpu(0, bridge("0000:01:00.0", "16",
                            gpu("0000:02:00.0", 0) + "<pcilink target=\"0000:11:00.0\"/>") +
                         bridge("0000:11:00.0", "8",
                                gpu("0000:12:00.0", 1) + "<pcilink target=\"0000:01:00.0\"/>"))));
  const Link link = onlyLink(loaded.topology, "pci 0000:01:00.0", "pci 0000:11:00.0");
  EXPECT_EQ(link.capacity, 12 * kGigabyte);
  EXPECT_EQ(link.kind, LinkKind::kPci);
  EXPECT_EQ(link.provenance, Provenance::kTable);
}

TEST(NcclXml, PortsShareTheirFunction) {
  const Loaded loaded = loadText(machine(
      cpu(0, gpu("0000:01:00.0", 0) +
                 "<pci busid=\"0000:16:00.0\" class=\"0x020000\" link_speed=\"16.0 GT/s PCIe\" "
                 "link_width=\"8\"><nic><net name=\"mlx5_0\" dev=\"0\" speed=\"100000\"/>"
                 "<net name=\"mlx5_1\" dev=\"1\" speed=\"100000\" latency=\"75\"/></nic></pci>")));
  EXPECT_EQ(countKind(loaded.topology, NodeKind::kNic), 2);
  EXPECT_EQ(capacity(loaded.topology, "nic mlx5_0", "pci 0000:16:00.0"), 12'500'000);
  EXPECT_EQ(capacity(loaded.topology, "pci 0000:16:00.0", "numa0"), 12'000'000);
  const auto latency = [&](const char* id) {
    return onlyLink(loaded.topology, id, "pci 0000:16:00.0").latencyNs;
  };
  EXPECT_EQ(latency("nic mlx5_1") - latency("nic mlx5_0"), 37'500);
  expectRoundTrip(loaded.topology);
}

// Two pieces of one device list all of its links each.
TEST(NcclXml, PiecesShareTheirDevice) {
  const std::string links = toSwitch("fffffff:ff:ff.0", 36) + "<c2c bw=\"56376\" count=\"7\"/>";
  const auto pieces = [&](const std::string& address, int first) {
    const auto piece = [&](int number) {
      return "<gpu dev=\"" + std::to_string(first / 2) + "\" sm=\"107\" mlopart=\"" +
             std::to_string(number) + "\" rank=\"" + std::to_string(first + number) + "\">" +
             links + "</gpu>";
    };
    return "<pci busid=\"" + address +
           "\" class=\"0x030200\" link_speed=\"64.0 GT/s PCIe\" link_width=\"2\">" + piece(0) +
           piece(1) + "</pci>\n";
  };
  const Loaded loaded =
      loadText(machine(cpu(0, pieces("0002:81:00.0", 0) + pieces("0003:81:00.0", 2))));
  const Topology& t = loaded.topology;
  EXPECT_EQ(t.nodes[1].id, "gpu0.1");
  EXPECT_EQ(t.ranks().size(), 4u);
  EXPECT_EQ(capacity(t, "pci 0002:81:00.0", "nvswitch"), 36 * 40'100'000);
  EXPECT_EQ(capacity(t, "gpu0.0", "pci 0002:81:00.0"), 5'000 * kGigabyte);
  EXPECT_EQ(capacity(t, "gpu0.0", "nvswitch"), 0);
  EXPECT_EQ(countKind(t, LinkKind::kChip), 4);
  expectRoundTrip(t);
}

TEST(NcclXml, SeveralHosts) {
  std::string boxes;
  for (int host = 0; host < 2; ++host) {
    const std::string hash = host == 0 ? "0xa" : "0xb";
    std::string devices;
    for (int i = 0; i < 2; ++i) {
      devices += gpu("0008:0" + std::to_string(i + 1) + ":00.0", host * 2 + i,
                     toSwitch("fffffff:ff:ff.0", 18), "100");
    }
    boxes += cpu(0,
                 devices + nic("0000:03:00.0", "mlx5_0", 400'000,
                               "link_speed=\"32.0 GT/s PCIe\" link_width=\"16\""),
                 hash);
  }
  const Loaded loaded = loadText(machine(boxes));
  const Topology& t = loaded.topology;
  EXPECT_EQ(t.ranks().size(), 4u);
  EXPECT_EQ(t.nodes[2].id, "host1/gpu2");
  EXPECT_EQ(t.nodes[2].host, "host1");
  EXPECT_EQ(capacity(t, "host0/gpu0", "nvswitch"), 18 * 40'100'000);
  EXPECT_EQ(capacity(t, "host1/gpu3", "nvswitch"), 18 * 40'100'000);
  EXPECT_EQ(capacity(t, "host1/nic mlx5_0", "network"), 50 * kGigabyte);
  EXPECT_EQ(capacity(t, "host0/numa0", "host1/numa0"), 0);
  expectRoundTrip(t);
}

// Switches of their own for each host, so that the network is the only way.
TEST(NcclXml, HostsJoinedByTheNetwork) {
  const auto box = [](const std::string& hash, int first) {
    return cpu(0,
               gpu("0000:01:00.0", first, toSwitch("0000:c4:00.0", 12)) +
                   gpu("0000:02:00.0", first + 1, toSwitch("0000:c4:00.0", 12)) +
                   nic("0000:03:00.0", "a", 200'000) + nic("0000:04:00.0", "b", 100'000),
               hash);
  };
  const Loaded loaded = loadText(machine(box("0xa", 0) + box("0xb", 2)));
  EXPECT_EQ(countKind(loaded.topology, NodeKind::kSwitch), 3);
  EXPECT_EQ(capacity(loaded.topology, "host0/nic a", "network"), 25 * kGigabyte);
  EXPECT_EQ(capacity(loaded.topology, "host0/nic b", "network"), 0);
  expectRoundTrip(loaded.topology);
}

TEST(NcclXml, ProcessorsAreJoinedByTheirMake) {
  const std::tuple<const char*, const char*, int, int64_t> cases[] = {
      {"x86_64", "AuthenticAMD", 1, 16},
      {"x86_64", "GenuineIntel", 0x4F, 6},
      {"x86_64", "GenuineIntel", 0x55, 10},
      {"x86_64", "GenuineIntel", 0x8F, 22},
      {"x86_64", "GenuineIntel", 0xCF, 40},
      {"x86_64", "CentaurHauls", 0x5B, 9},
      {"x86_64", "  Shanghai  ", 0x3B, 6},
      {"arm64", "", 0, 6},
      {"ppc64", "IBM", 0, 32},
      {"", "", 0, 6},
  };
  for (const auto& [arch, vendor, model, rate] : cases) {
    const std::string head = "<cpu arch=\"" + std::string(arch) + "\" vendor=\"" + vendor +
                             "\" familyid=\"7\" modelid=\"" + std::to_string(model) +
                             "\" numaid=\"";
    const Loaded loaded = loadText(machine(head + "0\">" + gpu("0000:01:00.0", 0) + "</cpu>" +
                                           head + "1\">" + gpu("0000:02:00.0", 1) + "</cpu>"));
    const Link link = onlyLink(loaded.topology, "numa0", "numa1");
    EXPECT_EQ(link.capacity, rate * kGigabyte) << arch << " " << vendor << " " << model;
    EXPECT_EQ(link.kind, LinkKind::kSocket);
    EXPECT_EQ(link.provenance, Provenance::kTable);
    expectRoundTrip(loaded.topology);
  }
}

TEST(NcclXml, RanksByTheirNumber) {
  const Loaded loaded =
      loadText(machine(cpu(0,
                           "<pci busid=\"0000:01:00.0\"><gpu dev=\"0\" rank=\"2\"/></pci>"
                           "<pci busid=\"0000:02:00.0\"><gpu dev=\"1\" rank=\"0\"/></pci>"
                           "<pci busid=\"0000:03:00.0\"><gpu dev=\"2\" rank=\"1\"/></pci>")));
  ASSERT_EQ(loaded.topology.ranks().size(), 3u);
  EXPECT_EQ(loaded.topology.nodes[0].id, "gpu1");
  EXPECT_EQ(loaded.topology.nodes[1].id, "gpu2");
  EXPECT_EQ(loaded.topology.nodes[2].id, "gpu0");
  expectRoundTrip(loaded.topology);
}

// As providers of virtual machines give them: addresses and classes, no devices.
TEST(NcclXml, Templates) {
  const Loaded loaded =
      loadText(machine("<cpu numaid=\"0\">"
                       "<pci busid=\"ffff:ff:01.0\" class=\"0x060400\" link_speed=\"16 GT/s\" "
                       "link_width=\"16\">\n"
                       "<pci busid=\"0003:00:00.0\" class=\"0x030200\" link_speed=\"16 GT/s\" "
                       "link_width=\"16\"/>\n"
                       "<pci busid=\"0001:00:00.0\" class=\"0x120000\" device=\"0x74a1\"/>\n"
                       "<pci busid=\"0103:00:00.0\" class=\"0x020700\" link_speed=\"16 GT/s\" "
                       "link_width=\"16\"/>\n"
                       "<pci busid=\"0104:00:00.0\" class=\"0x010802\"/></pci></cpu>"));
  const Topology& t = loaded.topology;
  ASSERT_EQ(t.nodes.size(), 5u);
  EXPECT_EQ(t.nodes[0].address, "0001:00:00.0");  // numbered by address
  EXPECT_EQ(t.nodes[0].id, "gpu0");
  EXPECT_EQ(capacity(t, "nic 0103:00:00.0", "pci ffff:ff:01.0"), 24 * kGigabyte);
  EXPECT_EQ(onlyLink(t, "nic 0103:00:00.0", "pci ffff:ff:01.0").provenance, Provenance::kTable);
  EXPECT_TRUE(hasNote(loaded, {"box.xml:3:", "0003:00:00.0", "no <gpu>"})) << joined(loaded.notes);
  EXPECT_TRUE(hasNote(loaded, {"box.xml:5:", "rate not said", "24 GB/s"})) << joined(loaded.notes);
  expectRoundTrip(t);
}

TEST(NcclXml, MuchMayBeMissingOrUnknown) {
  const Loaded loaded = loadText(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- by hand -->\n<system>\n"
      "<cpu numaid=\"-1\" host_hash=\"0x1\">\n"
      "<gpu/>\n"
      "<pci><gpu dev=\"x\" sm=\"80\"><nvlink target=\"1\"/><tensor/></gpu></pci>\n"
      "<net name=\"eth0\" speed=\"100000\"/>\n"
      "<nic><net/><port/></nic><memory/><memory/></cpu>\n"
      "<pci busid=\"0000:05:00.0\"><gpu/></pci>\n"
      "<rack/></system>");
  EXPECT_EQ(loaded.topology.ranks().size(), 3u);
  EXPECT_EQ(countKind(loaded.topology, NodeKind::kNic), 1);  // the one without rate is slow
  EXPECT_TRUE(hasNote(loaded, {"box.xml:3:", "no version"})) << joined(loaded.notes);
  EXPECT_TRUE(hasNote(loaded, {"box.xml:6:", "dev=\"x\""}));
  EXPECT_TRUE(hasNote(loaded, {"box.xml:6:", "\"1\" left out", "not in this file"}));
  EXPECT_TRUE(hasNote(loaded, {"box.xml:6:", "<tensor> in <gpu>"}));
  EXPECT_TRUE(hasNote(loaded, {"box.xml:8:", "<memory> in <cpu>"}));
  EXPECT_TRUE(hasNote(loaded, {"box.xml:8:", "<port> in <nic>"}));
  EXPECT_TRUE(hasNote(loaded, {"box.xml:9:", "<pci> is in no <cpu>"}));
  EXPECT_TRUE(hasNote(loaded, {"box.xml:10:", "<rack> in <system>"}));
  EXPECT_EQ(std::count_if(
                loaded.notes.begin(), loaded.notes.end(),
                [](const std::string& note) { return note.find("<memory>") != std::string::npos; }),
            1);
}

TEST(NcclXml, WhatTheSchemaCannotHoldIsSaid) {
  auto star = parseTopology(
      R"({"nodes": [{"id": "a", "kind": "rank"}, {"id": "b", "kind": "rank"},
                    {"id": "s", "kind": "switch"}],
          "links": [{"a": "a", "b": "s", "gb_per_s": 300},
                    {"a": "b", "b": "s", "gb_per_s": 450}]})",
      "star.json");
  ASSERT_TRUE(star.isOk()) << star.status().toString();
  const auto xml = toNcclXml(star->topology);
  ASSERT_TRUE(xml.isOk()) << xml.status().toString();
  const std::string notes = joined(xml->notes);
  EXPECT_NE(notes.find("host numa0 is new"), std::string::npos) << notes;
  EXPECT_NE(notes.find("b -> s: 450 GB/s became 440"), std::string::npos) << notes;
  EXPECT_EQ(notes.find("a -> s: 300 GB/s became"), std::string::npos) << notes;
  const auto again = parseTopology(xml->text, "again.xml");
  ASSERT_TRUE(again.isOk());
  EXPECT_EQ(capacity(again->topology, "gpu0", "nvswitch s"), 300 * kGigabyte);
}

TEST(NcclXml, NothingToWriteIsAnError) { EXPECT_FALSE(toNcclXml(Topology()).isOk()); }

}  // namespace
}  // namespace tutti::topology
