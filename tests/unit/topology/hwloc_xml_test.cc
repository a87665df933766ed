#include "topology/hwloc_xml.h"

#include <gtest/gtest.h>

#include "tests/unit/topology/machines.h"

namespace tutti::topology {
namespace {

std::string object(const std::string& type, const std::string& attributes,
                   const std::string& inside = "") {
  return "<object type=\"" + type + "\" " + attributes + ">" + inside + "</object>\n";
}

std::string pciDevice(const std::string& address, const std::string& type, const std::string& speed,
                      const std::string& inside = "") {
  return object(
      "PCIDev",
      "pci_busid=\"" + address + "\" pci_type=\"" + type + "\" pci_link_speed=\"" + speed + "\"",
      inside);
}

std::string osDevice(const std::string& name, const std::string& type) {
  return object("OSDev", "name=\"" + name + "\" osdev_type=\"" + type + "\"");
}

std::string package(int index, const std::string& inside) {
  const std::string set = "nodeset=\"0x0000000" + std::to_string(1 << index) + "\"";
  return object("Package", "os_index=\"" + std::to_string(index) + "\" " + set,
                "<info name=\"CPUVendor\" value=\"GenuineIntel\"/>"
                "<info name=\"CPUFamilyNumber\" value=\"6\"/>"
                "<info name=\"CPUModelNumber\" value=\"143\"/>" +
                    object("NUMANode", "os_index=\"" + std::to_string(index) + "\" " + set) +
                    object("L3Cache", set) + inside);
}

std::string topology(const std::string& inside, const std::string& version = "2.0") {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE topology SYSTEM "
         "\"hwloc2.dtd\">\n<topology version=\"" +
         version + "\">\n" +
         object("Machine", "nodeset=\"0x00000003\"",
                "<info name=\"Architecture\" value=\"x86_64\"/>" + inside) +
         "<support name=\"discovery.pu\"/></topology>\n";
}

// Two processors; on the first a switch with a device and a NIC, on the second a device beside a
// NIC without RDMA; a console and a disk at the machine itself.
std::string box() {
  return topology(
      package(0, object("Bridge", "bridge_type=\"0-1\" depth=\"0\" bridge_pci=\"0000:[10-1f]\"",
                        object("Bridge",
                               "bridge_type=\"1-1\" pci_busid=\"0000:10:00.0\" pci_type=\"0604 "
                               "[1000:c010] [1000:c010] a0\" pci_link_speed=\"31.507692\"",
                               pciDevice("0000:12:00.0", "0302 [10de:20b0] [10de:134f] a1",
                                         "31.507692", osDevice("card1", "1")) +
                                   pciDevice("0000:13:00.0", "0207 [15b3:101b] [15b3:0007] 00",
                                             "31.507692",
                                             osDevice("ib0", "2") + osDevice("mlx5_0", "3"))))) +
      package(1, object("Bridge", "bridge_type=\"0-1\" depth=\"0\" bridge_pci=\"0000:[80-8f]\"",
                        pciDevice("0000:81:00.0", "0b40 [8086:2250] [8086:2500] 11", "7.876923",
                                  osDevice("mic0", "5")) +
                            pciDevice("0000:82:00.0", "0200 [8086:1572] [8086:0000] 01", "7.876923",
                                      osDevice("eth0", "2")))) +
      object("Bridge", "bridge_type=\"0-1\" depth=\"0\" bridge_pci=\"0000:[00-03]\"",
             pciDevice("0000:03:00.0", "0300 [1a03:2000] [1a03:2000] 41", "0.000000",
                       osDevice("card0", "1")) +
                 pciDevice("0000:04:00.0", "0108 [144d:a808] [144d:a801] 00", "3.938462",
                           osDevice("nvme0n1", "0"))));
}

TEST(HwlocXml, WhatIsWhere) {
  const Loaded loaded = loadText(box());
  const Topology& t = loaded.topology;
  ASSERT_EQ(t.ranks().size(), 2u) << toString(t);
  EXPECT_EQ(t.nodes[0],
            (Node{"gpu0", NodeKind::kRank, "host0", "", "0x10de", "0x20b0", "0000:12:00.0"}));
  EXPECT_EQ(t.nodes[1].address, "0000:81:00.0");
  EXPECT_EQ(capacity(t, "gpu0", "pci 0000:10:00.0"), 24 * kGigabyte);
  EXPECT_EQ(capacity(t, "nic mlx5_0", "pci 0000:10:00.0"), 24 * kGigabyte);
  EXPECT_EQ(capacity(t, "pci 0000:10:00.0", "numa0"), 24 * kGigabyte);
  EXPECT_EQ(capacity(t, "gpu1", "numa1"), 6 * kGigabyte);
  EXPECT_EQ(capacity(t, "numa0", "numa1"), 22 * kGigabyte);
  EXPECT_EQ(t.find("nic eth0"), -1);
  EXPECT_TRUE(hasNote(loaded, {"nic eth0", "for management", "RDMA"})) << joined(loaded.notes);
  EXPECT_TRUE(hasNote(loaded, {"0000:03:00.0", "console"})) << joined(loaded.notes);
  expectRoundTrip(t);
}

TEST(HwlocXml, LinkSpeeds) {
  const std::tuple<const char*, int64_t, Provenance> cases[] = {
      {"0.25", 187'500, Provenance::kDeclared},          // 2.5 GT/s x1
      {"4.000000", 3'000'000, Provenance::kDeclared},    // x16
      {"0.984615", 750'000, Provenance::kDeclared},      // 8 GT/s x1
      {"15.753846", 12'000'000, Provenance::kDeclared},  // x16
      {"63.015385", 48'000'000, Provenance::kDeclared},  // 32 GT/s x16
      {"121.0", 96'000'000, Provenance::kDeclared},      // 64 GT/s x16
      {"0.000000", 12'000'000, Provenance::kTable},     {"17.3", 12'000'000, Provenance::kTable},
      {"-1e999", 12'000'000, Provenance::kTable},       {"fast", 12'000'000, Provenance::kTable},
  };
  for (const auto& [speed, rate, provenance] : cases) {
    const Loaded loaded = loadText(
        topology(package(0, pciDevice("0000:01:00.0", "0302 [10de:20b0] [10de:134f] a1", speed))));
    const Link link = onlyLink(loaded.topology, "gpu0", "numa0");
    EXPECT_EQ(link.capacity, rate) << speed;
    EXPECT_EQ(link.provenance, provenance) << speed;
  }
}

TEST(HwlocXml, Version3) {
  const Loaded loaded = loadText(
      topology(package(0, pciDevice("0000:01:00.0", "0300 [10de:2684] [10de:167c] a1", "0.0",
                                    osDevice("cuda0", "8")) +
                              pciDevice("0000:02:00.0", "0200 [15b3:1021] [15b3:0040] 00", "63.0",
                                        osDevice("eth0", "16") + osDevice("mlx5_0", "32"))),
               "3.0"));
  EXPECT_EQ(loaded.topology.ranks().size(), 1u);
  EXPECT_NE(loaded.topology.find("nic mlx5_0"), -1);
}

// Display controllers that can render are devices, whatever their link.
TEST(HwlocXml, Renderers) {
  const Loaded loaded =
      loadText(topology(package(0, pciDevice("0000:01:00.0", "0300 [1002:744c] [1002:0e3b] c8",
                                             "0.0", osDevice("renderD128", "1")))));
  EXPECT_EQ(loaded.topology.ranks().size(), 1u);
}

TEST(HwlocXml, WhatMakesNoSenseIsPassedOver) {
  const std::string device =
      pciDevice("0000:01:00.0", "0302 [10de:20b0] [10de:134f] a1", "31.507692");
  const Loaded loaded = loadText(
      "<topology><object type=\"Machine\" nodeset=\"0xf...f\">" +
      object("NUMANode", "os_index=\"-7\" nodeset=\"zz\"") + object("Bridge", "") +
      object("Bridge", "bridge_type=\"1-1\" pci_type=\"0604\"", device) + object("PCIDev", "") +
      object("Quark", "", object("PCIDev", "pci_type=\"12\"")) + "</object></topology>");
  EXPECT_EQ(loaded.topology.ranks().size(), 2u);
}

}  // namespace
}  // namespace tutti::topology
