// The recorded machines that stand beside the project's checkout, where they do.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tests/unit/topology/machines.h"
#include "topology/json.h"

namespace tutti::topology {
namespace {

// What each must have: NUMA nodes, ranks, links between devices (in one direction each) by width,
// NICs, and the rate of the widest device link and of the fastest NIC in MB/s.
struct Dump {
  const char* name;
  int hosts, ranks, deviceLinks, nics;
  int64_t widest, fastestNic;
  const char* note;  // of what must be corrected; "": nothing
};

constexpr Dump kDumps[] = {
    {"topo_16p1h", 4, 16, 56, 8, 144'000, 24'000, ""},
    {"topo_16p1h_vm", 4, 16, 56, 8, 144'000, 24'000, "no bridge"},
    {"topo_3p_pcie", 2, 3, 0, 1, 0, 24'000, ""},
    {"topo_4p1h", 1, 4, 8, 1, 24'000, 12'000, ""},
    {"topo_4p2h", 1, 8, 16, 1, 24'000, 12'000, ""},
    {"topo_4p2h_2nic", 1, 8, 16, 2, 24'000, 12'000, ""},
    {"topo_4p3l", 1, 4, 12, 2, 24'000, 1'250, "nic enp96s0f0: PCI link 2.5 GT/s x1"},
    {"topo_4p_940", 4, 4, 12, 4, 48'000, 24'000, "25000 GB/s taken as 24 GB/s"},
    {"topo_8p1h", 2, 8, 24, 4, 144'000, 24'000, ""},
    {"topo_8p1h_3", 4, 8, 24, 4, 144'000, 24'000, "no bridge"},
    {"topo_8p1h_4", 2, 8, 24, 8, 144'000, 24'000, ""},
    {"topo_8p6l", 2, 8, 48, 1, 24'000, 24'000, ""},
    {"topo_8p6l_4nic", 2, 8, 48, 4, 24'000, 24'000, ""},
    {"topo_8p_4nics", 4, 8, 24, 4, 24'000, 24'000, ""},
    {"topo_8p_90a", 1, 8, 24, 1, 36'000, 125, ""},
    {"topo_8p_940", 2, 8, 56, 8, 48'000, 48'000, ""},
    {"topo_8p_940vm", 2, 8, 56, 8, 48'000, 48'000, "no bridge"},
    {"topo_8p_pcie", 1, 8, 0, 1, 0, 12'000, ""},
    {"topo_8p_rome", 2, 8, 16, 1, 24'000, 24'000, ""},
    {"topo_8p_rome_4n_2", 4, 8, 24, 4, 24'000, 12'500, ""},
    {"topo_8p_ts1", 4, 8, 16, 2, 24'000, 24'000, ""},
    {"topo_collnet_n1", 4, 8, 24, 1, 24'000, 24'000, ""},
};

std::string dumpFolder() {
  const char* given = std::getenv("TUTTI_TEST_TOPOLOGIES");
  return given != nullptr ? given : TUTTI_SOURCE_DIR "/../shared/topologies";
}

class Dumps : public testing::TestWithParam<Dump> {
 protected:
  void SetUp() override {
    const std::string path = dumpFolder() + "/" + GetParam().name + ".xml";
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
    auto loaded = loadTopology(path);
    ASSERT_TRUE(loaded.isOk()) << loaded.status().toString();
    loaded_ = loaded.take();
  }

  int64_t widest(LinkKind kind, NodeKind end) const {
    int64_t widest = 0;
    for (const Link& link : loaded_.topology.links) {
      const Node& from = loaded_.topology.nodes[static_cast<size_t>(link.from)];
      if (link.kind == kind && from.kind == end) widest = std::max(widest, link.capacity);
    }
    return widest / 1'000;
  }

  Loaded loaded_;
};

TEST_P(Dumps, HasItsParts) {
  const Dump& dump = GetParam();
  const Topology& t = loaded_.topology;
  EXPECT_TRUE(check(t).isOk()) << check(t).toString();
  EXPECT_EQ(t.name, dump.name);
  EXPECT_EQ(countKind(t, NodeKind::kHost), dump.hosts);
  EXPECT_EQ(countKind(t, NodeKind::kRank), dump.ranks);
  EXPECT_EQ(countKind(t, NodeKind::kNic), dump.nics);
  EXPECT_EQ(countKind(t, NodeKind::kSwitch), 0);
  EXPECT_EQ(countKind(t, LinkKind::kDevice), dump.deviceLinks);
  EXPECT_EQ(countKind(t, LinkKind::kSocket), dump.hosts * (dump.hosts - 1));
  EXPECT_EQ(widest(LinkKind::kDevice, NodeKind::kRank), dump.widest);
  EXPECT_EQ(widest(LinkKind::kPci, NodeKind::kNic), dump.fastestNic);
}

// All is one tree of containers per processor: each device, NIC and bridge has one way up.
TEST_P(Dumps, PciIsATree) {
  const Topology& t = loaded_.topology;
  const int contained = countKind(t, NodeKind::kRank) + countKind(t, NodeKind::kNic) +
                        countKind(t, NodeKind::kBridge);
  EXPECT_EQ(countKind(t, LinkKind::kPci), 2 * contained);
  const Adjacency adjacent = adjacency(t);
  for (size_t i = 0; i < t.nodes.size(); ++i) {
    if (t.nodes[i].kind != NodeKind::kBridge) continue;
    EXPECT_GE(adjacent.out[i].size(), 2u) << t.nodes[i].id << " leads nowhere";
  }
}

TEST_P(Dumps, CorrectionsAreReported) {
  const std::string note = GetParam().note;
  if (note.empty()) {
    EXPECT_TRUE(loaded_.notes.empty()) << joined(loaded_.notes);
  } else {
    EXPECT_TRUE(hasNote(loaded_, {std::string(GetParam().name) + ".xml", note}))
        << joined(loaded_.notes);
  }
}

TEST_P(Dumps, RoundTrips) {
  expectRoundTrip(loaded_.topology);
  const auto json = parseJson(toJson(loaded_.topology), "again.json");
  ASSERT_TRUE(json.isOk()) << json.status().toString();
  EXPECT_EQ(json->digest(), loaded_.topology.digest());
}

INSTANTIATE_TEST_SUITE_P(Shared, Dumps, testing::ValuesIn(kDumps),
                         [](const auto& dump) { return std::string(dump.param.name); });

}  // namespace
}  // namespace tutti::topology
