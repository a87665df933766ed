#include "topology/sanitise.h"

#include <gtest/gtest.h>

#include "tests/unit/topology/machines.h"
#include "topology/load_steps.h"

namespace tutti::topology {
namespace {

std::string function(const std::string& address, const std::string& attributes,
                     const std::string& inside) {
  return "<pci busid=\"" + address + "\" " + attributes + ">" + inside + "</pci>\n";
}

TEST(Sanitise, GoodMachinesStayAsTheyAre) {
  const Loaded loaded =
      loadText(machine(cpu(0, gpu("0000:01:00.0", 0) + nic("0000:02:00.0", "mlx5_0", 200'000))));
  EXPECT_TRUE(loaded.notes.empty()) << joined(loaded.notes);
}

TEST(Sanitise, LinksWithoutWidthOrSpeed) {
  const std::tuple<const char*, int64_t, const char*> cases[] = {
      {"link_speed=\"16.0 GT/s PCIe\" link_width=\"0\"", 24, "16 GT/s x?"},
      {"link_speed=\"16.0 GT/s PCIe\" link_width=\"255\"", 24, "16 GT/s x255"},
      {"link_speed=\"16.0 GT/s PCIe\"", 24, "16 GT/s x?"},
      {"link_speed=\"\" link_width=\"0\"", 12, "? GT/s x?"},
      {"link_speed=\"Unknown\" link_width=\"8\"", 6, "? GT/s x8"},
      {"link_speed=\"7 GT/s\" link_width=\"-3\"", 12, "? GT/s x?"},
      {"", 12, "? GT/s x?"},
  };
  for (const auto& [attributes, rate, before] : cases) {
    const Loaded loaded =
        loadText(machine(cpu(0, function("0000:01:00.0", attributes, "<gpu dev=\"0\"/>"))));
    EXPECT_EQ(capacity(loaded.topology, "gpu0", "numa0"), rate * kGigabyte) << attributes;
    EXPECT_EQ(onlyLink(loaded.topology, "gpu0", "numa0").provenance, Provenance::kTable);
    EXPECT_TRUE(hasNote(loaded, {"box.xml:3: gpu0: PCI link", before, "taken as"}))
        << attributes << "\n"
        << joined(loaded.notes);
    expectRoundTrip(loaded.topology);
  }
}

TEST(Sanitise, VirtualBridges) {
  const auto box = [](const std::string& bridge) {
    return machine(cpu(0, function("0000:01:00.0", "class=\"0x060400\" " + bridge,
                                   gpu("0000:02:00.0", 0) + gpu("0000:03:00.0", 1))));
  };
  const Loaded slow = loadText(box("link_speed=\"2.5 GT/s PCIe\" link_width=\"1\""));
  EXPECT_EQ(capacity(slow.topology, "pci 0000:01:00.0", "numa0"), 24 * kGigabyte);
  EXPECT_TRUE(hasNote(slow, {"box.xml:3:", "2.5 GT/s x1 taken as 16 GT/s x16", "virtual"}))
      << joined(slow.notes);
  // Fewer lanes than below are real, down to an eighth.
  const Loaded narrow = loadText(box("link_speed=\"16.0 GT/s PCIe\" link_width=\"2\""));
  EXPECT_EQ(capacity(narrow.topology, "pci 0000:01:00.0", "numa0"), 3 * kGigabyte);
  EXPECT_TRUE(narrow.notes.empty()) << joined(narrow.notes);
}

// Several in each other are all as wide as the device.
TEST(Sanitise, VirtualBridgesInEachOther) {
  const std::string bogus = "class=\"0x060400\" link_speed=\"2.5 GT/s\" link_width=\"1\"";
  const Loaded loaded =
      loadText(machine(cpu(0, function("0000:01:00.0", bogus,
                                       function("0000:02:00.0", bogus, gpu("0000:03:00.0", 0))))));
  EXPECT_EQ(capacity(loaded.topology, "pci 0000:01:00.0", "numa0"), 24 * kGigabyte);
  EXPECT_EQ(capacity(loaded.topology, "pci 0000:02:00.0", "pci 0000:01:00.0"), 24 * kGigabyte);
  expectRoundTrip(loaded.topology);
}

TEST(Sanitise, NicsFasterThanTheirLink) {
  const Loaded loaded =
      loadText(machine(cpu(0, gpu("0000:01:00.0", 0) + nic("0000:02:00.0", "cxi0", 200'000'000))));
  EXPECT_EQ(capacity(loaded.topology, "nic cxi0", "numa0"), 24 * kGigabyte);
  EXPECT_TRUE(hasNote(loaded, {"box.xml:4: nic cxi0: 25000 GB/s taken as 24 GB/s"}))
      << joined(loaded.notes);
  expectRoundTrip(loaded.topology);
  // What the wires can carry is no lie, though packets take a part of it.
  const Loaded good =
      loadText(machine(cpu(0, gpu("0000:01:00.0", 0) + nic("0000:02:00.0", "mlx5_0", 250'000))));
  EXPECT_TRUE(good.notes.empty()) << joined(good.notes);
}

TEST(Sanitise, NicsWithoutALinkOfTheirOwn) {
  const Loaded loaded = loadText(
      machine(cpu(0, gpu("0000:01:00.0", 0) + nic("0000:02:00.0", "eno1", 10'000,
                                                  "link_speed=\"2.5 GT/s\" link_width=\"1\""))));
  EXPECT_EQ(capacity(loaded.topology, "nic eno1", "numa0"), 1'250'000);
  EXPECT_TRUE(hasNote(loaded, {"box.xml:4: nic eno1: PCI link 2.5 GT/s x1"}))
      << joined(loaded.notes);
  expectRoundTrip(loaded.topology);
  // One that fits its link is left alone.
  const Loaded slow = loadText(
      machine(cpu(0, gpu("0000:01:00.0", 0) + nic("0000:02:00.0", "eno1", 1'000,
                                                  "link_speed=\"2.5 GT/s\" link_width=\"1\""))));
  EXPECT_EQ(capacity(slow.topology, "nic eno1", "numa0"), 125'000);
  EXPECT_TRUE(slow.notes.empty()) << joined(slow.notes);
}

TEST(Sanitise, NicsWithoutARate) {
  const Loaded loaded =
      loadText(machine(cpu(0, gpu("0000:01:00.0", 0) + nic("0000:02:00.0", "mlx5_0", 0))));
  EXPECT_EQ(capacity(loaded.topology, "nic mlx5_0", "numa0"), 1'250'000);
  EXPECT_TRUE(hasNote(loaded, {"nic mlx5_0: rate not said, taken as 1.25 GB/s"}))
      << joined(loaded.notes);
  expectRoundTrip(loaded.topology);
}

TEST(Sanitise, ManagementNics) {
  const auto box = [](int64_t other) {
    return machine(cpu(0, gpu("0000:01:00.0", 0) + nic("0000:02:00.0", "mlx5_0", 200'000) +
                              "<nic><net name=\"eth0\" speed=\"" + std::to_string(other) +
                              "\"/></nic>\n"));
  };
  for (const int64_t other : {1'000, 10'000, 25'000, 50'000}) {
    const Loaded loaded = loadText(box(other));
    EXPECT_EQ(loaded.topology.find("nic eth0"), -1) << other;
    EXPECT_TRUE(hasNote(loaded, {"box.xml:5: nic eth0:", "for management", "nic mlx5_0"}))
        << joined(loaded.notes);
  }
  EXPECT_NE(loadText(box(100'000)).topology.find("nic eth0"), -1);
}

TEST(Sanitise, LinksToOneself) {
  const Loaded loaded = loadText(
      machine(cpu(0, gpu("0001:00:00.0", 0, "<nvlink target=\"0001:00:00.0\" count=\"12\"/>") +
                         gpu("0002:00:00.0", 1, "<nvlink target=\"0002:00:00.0\" count=\"0\"/>"))));
  EXPECT_EQ(countKind(loaded.topology, LinkKind::kDevice), 0);
  EXPECT_TRUE(hasNote(loaded, {"box.xml:3: gpu0: 12 links to itself left out"}))
      << joined(loaded.notes);
}

TEST(Sanitise, AddressesThatAreNone) {
  const Loaded loaded = loadText(machine(cpu(0, gpu("zz", 0) + gpu("0002:00:00.0", 1))));
  EXPECT_TRUE(hasNote(loaded, {"busid=\"zz\" is no PCI address"})) << joined(loaded.notes);
  EXPECT_FALSE(hasNote(loaded, {"0002:00:00.0\" is no"})) << joined(loaded.notes);
}

TEST(Sanitise, UnequalCounts) {
  const auto box = [](const std::string& there, const std::string& back) {
    const auto link = [](const std::string& target, const std::string& count) {
      return count.empty() ? "" : "<nvlink target=\"" + target + "\" count=\"" + count + "\"/>";
    };
    return machine(cpu(0, gpu("0000:01:00.0", 0, link("0000:02:00.0", there)) +
                              gpu("0000:02:00.0", 1, link("0000:01:00.0", back))));
  };
  const std::tuple<const char*, const char*, int64_t> cases[] = {
      {"4", "2", 40}, {"1", "3", 20}, {"4", "", 80}, {"", "2", 40}};
  for (const auto& [there, back, rate] : cases) {
    const Loaded loaded = loadText(box(there, back));
    EXPECT_EQ(capacity(loaded.topology, "gpu0", "gpu1"), rate * kGigabyte) << there << " " << back;
    EXPECT_EQ(capacity(loaded.topology, "gpu1", "gpu0"), rate * kGigabyte);
    EXPECT_TRUE(hasNote(loaded, {"gpu0", "gpu1", "taken as", "each way"})) << joined(loaded.notes);
  }
  const Loaded none = loadText(box("-1", "0"));
  EXPECT_EQ(capacity(none.topology, "gpu0", "gpu1"), 0);
  EXPECT_TRUE(hasNote(none, {"gpu0: links to gpu1 left out: their count is -1"}))
      << joined(none.notes);
  EXPECT_NE(refusal(box("99999999999", "1")).find("no device has so many"), std::string::npos);
}

TEST(Sanitise, EmptyProcessorsAndBridges) {
  const Loaded loaded = loadText(machine(
      cpu(0, gpu("0000:01:00.0", 0)) +
      cpu(1, function("0000:21:00.0", "class=\"0x060400\"", function("0000:22:00.0", "", ""))) +
      cpu(2, gpu("0000:41:00.0", 1))));
  EXPECT_EQ(loaded.topology.nodes.size(), 4u) << toString(loaded.topology);
  EXPECT_TRUE(hasNote(loaded, {"numa1: no device there"})) << joined(loaded.notes);
}

TEST(Sanitise, HiddenSwitches) {
  std::string devices;
  for (int i = 0; i < 4; ++i) devices += gpu("0000:0" + std::to_string(i) + ":00.0", i);
  const Loaded loaded = loadText(machine(cpu(0, devices)));
  EXPECT_TRUE(hasNote(loaded, {"4 PCI devices and no bridge"})) << joined(loaded.notes);
}

TEST(Sanitise, OneNumberForTwoRanks) {
  const Loaded loaded = loadText(
      machine(cpu(0, gpu("0000:01:00.0", 0) + gpu("0000:02:00.0", 0) + gpu("0000:03:00.0", 1))));
  ASSERT_EQ(loaded.topology.ranks().size(), 3u);
  EXPECT_EQ(loaded.topology.nodes[1].id, "gpu1");
  EXPECT_EQ(loaded.topology.nodes[2].id, "gpu0#2");
  EXPECT_TRUE(hasNote(loaded, {"box.xml:4: gpu0: gpu0 is rank 0 already"})) << joined(loaded.notes);
}

TEST(Sanitise, OneAddressForTwoBridges) {
  const std::string bridge = "class=\"0x060400\" link_speed=\"16 GT/s\" link_width=\"16\"";
  const Loaded loaded =
      loadText(machine(cpu(0, function("0000:c5:00.0", bridge, gpu("0000:01:00.0", 0)) +
                                  function("0000:c5:00.0", bridge, gpu("0000:02:00.0", 1)))));
  EXPECT_EQ(countKind(loaded.topology, NodeKind::kBridge), 2);
  EXPECT_NE(loaded.topology.find("pci 0000:c5:00.0#2"), -1);
  EXPECT_TRUE(hasNote(loaded, {"box.xml:5:", "0000:c5:00.0 is used before, in line 3"}))
      << joined(loaded.notes);
  expectRoundTrip(loaded.topology);
}

TEST(Sanitise, OneAddressForTwoDevices) {
  EXPECT_NE(refusal(machine(cpu(0, gpu("0000:01:00.0", 0) + gpu("0000:01:00.0", 1))))
                .find("box.xml:4: a second device at PCI address 0000:01:00.0 (the first: line 3)"),
            std::string::npos);
}

TEST(Sanitise, CyclesOfContainers) {
  const std::string text = refusal(machine(
      cpu(0, "<pci busid=\"0000:01:00.0\" class=\"0x060400\">\n<pci busid=\"0000:02:00.0\">\n" +
                 function("0000:01:00.0", "class=\"0x060400\"", gpu("0000:03:00.0", 0)) +
                 "</pci></pci>")));
  EXPECT_NE(text.find("box.xml:5: PCI function 0000:01:00.0 contains itself (see line 3)"),
            std::string::npos)
      << text;
  Draft draft;
  Part part;
  part.kind = NodeKind::kRank;
  part.id = "a";
  part.parent = 0;
  draft.machine.parts = {part};
  EXPECT_NE(finish(draft).status().text().find("a cycle of containers"), std::string::npos);
}

TEST(Sanitise, Consoles) {
  Draft draft;
  Part host;
  host.kind = NodeKind::kHost;
  host.id = "numa0";
  Part display;
  display.kind = NodeKind::kRank;
  display.attachment = Attachment::kPci;
  display.parent = 0;
  display.mayBeConsole = true;
  for (const PciLink link : {PciLink{5'000, 1}, PciLink{}, PciLink{16'000, 16}}) {
    display.pci = link;
    display.address = "0000:0" + std::to_string(draft.machine.parts.size()) + ":00.0";
    if (draft.machine.parts.empty()) draft.machine.parts.push_back(host);
    draft.machine.parts.push_back(display);
  }
  numberRanks(draft.machine);
  const auto loaded = finish(draft);
  ASSERT_TRUE(loaded.isOk()) << loaded.status().toString();
  EXPECT_EQ(loaded->topology.ranks().size(), 1u);
  EXPECT_EQ(capacity(loaded->topology, "gpu0", "numa0"), 24 * kGigabyte);
  EXPECT_TRUE(hasNote(*loaded, {"5 GT/s x1", "console"})) << joined(loaded->notes);
}

}  // namespace
}  // namespace tutti::topology
