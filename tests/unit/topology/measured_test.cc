// What a few rates say about a network: switches, islands, lines of their own.
#include "topology/measured.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace tutti::topology {
namespace {

constexpr int64_t kLine = 250'000;  // kB/s

// Hosts of one rank each, whose pairs have the given rate and latency.
MeasuredHosts hostsOf(int count, int64_t pair, int64_t latencyNs = 40'000) {
  MeasuredHosts hosts;
  const auto size = static_cast<size_t>(count);
  for (int i = 0; i < count; ++i) {
    hosts.names.push_back("h" + std::to_string(i));
    hosts.hostOfRank.push_back(i);
  }
  hosts.latencyNs.assign(size * size, latencyNs);
  hosts.pair.assign(size * size, pair);
  hosts.out.assign(size, pair);
  hosts.in.assign(size, pair);
  hosts.kept.assign(size, 1000 / (count - 1));
  return hosts;
}

void setPair(MeasuredHosts& hosts, int a, int b, int64_t rate) {
  const size_t count = hosts.names.size();
  hosts.pair[static_cast<size_t>(a) * count + static_cast<size_t>(b)] = rate;
  hosts.pair[static_cast<size_t>(b) * count + static_cast<size_t>(a)] = rate;
}

MeasuredIslands oneIsland(const MeasuredHosts& hosts) {
  return {measuredIslands(hosts), {0}, {0}, {0}};
}

int64_t capacityOf(const Topology& topology, const std::string& from, const std::string& to) {
  for (const Link& link : topology.links) {
    if (topology.nodes[static_cast<size_t>(link.from)].id == from &&
        topology.nodes[static_cast<size_t>(link.to)].id == to) {
      return link.capacity;
    }
  }
  return -1;
}

TEST(Measured, ASlowHostAtASwitchIsNoIsland) {
  MeasuredHosts hosts = hostsOf(4, kLine);
  for (int i = 0; i < 3; ++i) setPair(hosts, i, 3, kLine / 4);
  hosts.out[3] = hosts.in[3] = kLine / 4;
  EXPECT_EQ(measuredIslands(hosts), (std::vector<std::vector<int>>{{0, 1, 2, 3}}));
  EXPECT_FALSE(isMesh(hosts));
  const Topology topology = toTopology(hosts, oneIsland(hosts), 1'000'000);
  ASSERT_TRUE(check(topology).isOk());
  EXPECT_EQ(capacityOf(topology, "r0", "switch0"), kLine);
  EXPECT_EQ(capacityOf(topology, "switch0", "r3"), kLine / 4 / 100 * 100);
  EXPECT_EQ(topology.links.size(), 8u);
  for (const Link& link : topology.links) {
    EXPECT_EQ(link.provenance, Provenance::kMeasured);
    EXPECT_EQ(link.latencyNs, 20'000);
  }
}

TEST(Measured, AThinLineSeparatesIslands) {
  MeasuredHosts hosts = hostsOf(4, kLine);
  for (const int a : {0, 1}) {
    for (const int b : {2, 3}) setPair(hosts, a, b, kLine / 8);
  }
  const auto islands = measuredIslands(hosts);
  EXPECT_EQ(islands, (std::vector<std::vector<int>>{{0, 1}, {2, 3}}));
  const int64_t thin = kLine / 10;
  const MeasuredIslands measured{islands, {0, thin, thin, 0}, {thin, thin}, {thin, thin}};
  const Topology topology = toTopology(hosts, measured, 1'000'000);
  ASSERT_TRUE(check(topology).isOk());
  EXPECT_EQ(capacityOf(topology, "switch0", "switch1"), thin);
  EXPECT_EQ(capacityOf(topology, "r2", "switch1"), kLine);
  EXPECT_EQ(capacityOf(topology, "r2", "switch0"), -1);
}

// Three islands: lines of their own, or one uplink each.
TEST(Measured, IslandsShareAnUplinkOrDoNot) {
  MeasuredHosts hosts = hostsOf(6, kLine);
  for (int a = 0; a < 6; ++a) {
    for (int b = 0; b < 6; ++b) {
      if (a / 2 != b / 2) setPair(hosts, a, b, kLine / 10);
    }
  }
  const int64_t thin = kLine / 10;
  MeasuredIslands measured;
  measured.islands = measuredIslands(hosts);
  ASSERT_EQ(measured.islands.size(), 3u);
  measured.between.assign(9, thin);
  measured.out.assign(3, 2 * thin);
  measured.in.assign(3, 2 * thin);
  const Topology apart = toTopology(hosts, measured, 1'000'000);
  EXPECT_EQ(capacityOf(apart, "switch0", "switch2"), thin);
  EXPECT_EQ(apart.find("core"), -1);
  measured.out.assign(3, thin);
  const Topology shared = toTopology(hosts, measured, 1'000'000);
  ASSERT_TRUE(check(shared).isOk());
  EXPECT_EQ(capacityOf(shared, "switch0", "switch2"), -1);
  EXPECT_EQ(capacityOf(shared, "switch0", "core"), thin);
  EXPECT_EQ(capacityOf(shared, "core", "switch0"), 2 * thin);
}

TEST(Measured, PairsWithLinesOfTheirOwnAreAMesh) {
  MeasuredHosts hosts = hostsOf(3, 0, 10'000'000);
  setPair(hosts, 0, 1, 2'400);
  setPair(hosts, 0, 2, 9'600);
  setPair(hosts, 1, 2, 24'000);
  EXPECT_FALSE(isMesh(hosts));
  hosts.kept = {950, 800, 1000};
  EXPECT_TRUE(isMesh(hosts));
  const Topology topology = toTopology(hosts, oneIsland(hosts), 1'000'000);
  ASSERT_TRUE(check(topology).isOk());
  EXPECT_EQ(topology.nodes.size(), 3u);
  EXPECT_EQ(capacityOf(topology, "r0", "r1"), 2'400);
  EXPECT_EQ(capacityOf(topology, "r2", "r1"), 24'000);
  EXPECT_EQ(topology.links[0].latencyNs, 10'000'000);
}

// Noise of some percent gives the fabric of equal lines.
TEST(Measured, NearlyEqualRatesAreEqual) {
  MeasuredHosts noisy = hostsOf(4, kLine);
  for (int a = 0; a < 4; ++a) {
    for (int b = 0; b < a; ++b) setPair(noisy, a, b, kLine - kLine / 100 * (a + b));
  }
  const Topology topology = toTopology(noisy, oneIsland(noisy), 1'000'000);
  for (const Link& link : topology.links) EXPECT_EQ(link.capacity, topology.links[0].capacity);
}

// The fastest of seven measurements is no measure of a line; one that was disturbed is neither.
TEST(Measured, ALineIsTheMeanOfWhatAgrees) {
  MeasuredHosts hosts = hostsOf(8, 100'000);
  setPair(hosts, 0, 3, 109'000);
  setPair(hosts, 0, 5, 60'000);
  hosts.out[0] = 103'000;
  EXPECT_EQ(lineOf(hosts, 0, true), (5 * 100'000 + 109'000 + 103'000) / 7);
  hosts.out[0] = 20'000;
  EXPECT_EQ(lineOf(hosts, 0, true), (5 * 100'000 + 109'000) / 6);
  hosts.out[0] = 700'000;
  EXPECT_EQ(lineOf(hosts, 0, true), 700'000);
}

TEST(Measured, RanksOfOneHostJoinAtIt) {
  MeasuredHosts hosts = hostsOf(2, kLine);
  hosts.hostOfRank = {0, 0, 1, 1, 1};
  const Topology topology = toTopology(hosts, oneIsland(hosts), 3'000'000);
  ASSERT_TRUE(check(topology).isOk());
  EXPECT_EQ(topology.ranks().size(), 5u);
  EXPECT_EQ(capacityOf(topology, "r4", "host1"), 3'000'000);
  EXPECT_EQ(capacityOf(topology, "host0", "host1"), kLine);
}

// A dead measurement is a very slow line, not a defect.
TEST(Measured, NothingMeasuredIsStillAFabric) {
  const MeasuredHosts hosts = hostsOf(3, 0);
  const Topology topology = toTopology(hosts, oneIsland(hosts), 1'000'000);
  EXPECT_TRUE(check(topology).isOk());
}

}  // namespace
}  // namespace tutti::topology
