// Closed forms of flows that share links.
#include "src/sim/flow_network.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "tests/unit/sim/tree_schedules.h"

namespace tutti::sim {
namespace {

constexpr int64_t kGigabyte = topology::kGigabyte;
constexpr Time kMicrosecond = 1'000'000;

// a -> b -> c ..., each link of its own capacity, from link 0 on.
topology::Topology makeLine(const std::vector<int64_t>& capacities) {
  topology::Topology line;
  line.addNode({.id = "n0"});
  for (size_t at = 0; at < capacities.size(); ++at) {
    const auto next = line.addNode({.id = "n" + std::to_string(at + 1)});
    line.addLink({.from = next - 1, .to = next, .capacity = capacities[at]});
  }
  return line;
}

// When each name ended.
std::map<uint64_t, Time> runToEnd(FlowNetwork& network) {
  std::map<uint64_t, Time> times;
  std::vector<uint64_t> ended;
  while (network.advance(ended)) {
    for (const uint64_t name : ended) times[name] = network.now();
  }
  EXPECT_TRUE(network.isIdle());
  return times;
}

void expectClose(Time found, Time expected) {
  EXPECT_GE(found, expected);  // never faster than the links
  EXPECT_LE(found, expected + expected / 100'000 + 1);
}

TEST(FlowNetwork, oneFlowTakesBytesOverCapacity) {
  const auto line = makeLine({2 * kGigabyte, kGigabyte});
  FlowNetwork network(line);
  const auto path = network.addPath(std::vector<topology::LinkIndex>{0, 1});
  network.start(path, 1000, 5 * kMicrosecond, 1);
  const auto times = runToEnd(network);
  EXPECT_EQ(times.at(1), 6 * kMicrosecond);
  EXPECT_EQ(network.bytesOfLinks(), (std::vector<uint64_t>{1000, 1000}));
}

TEST(FlowNetwork, twoFlowsShareALink) {
  const auto line = makeLine({kGigabyte});
  FlowNetwork network(line);
  const auto path = network.addPath(std::vector<topology::LinkIndex>{0});
  const auto same = network.addPath(std::vector<topology::LinkIndex>{0});
  network.start(path, 1000, 0, 1);
  network.start(same, 3000, 0, 2);
  const auto times = runToEnd(network);
  expectClose(times.at(1), 2 * kMicrosecond);
  expectClose(times.at(2), 4 * kMicrosecond);
}

TEST(FlowNetwork, aLateFlowTakesItsShare) {
  const auto line = makeLine({kGigabyte});
  FlowNetwork network(line);
  const auto path = network.addPath(std::vector<topology::LinkIndex>{0});
  network.start(path, 3000, 0, 1);
  network.start(path, 1000, kMicrosecond, 2);
  const auto times = runToEnd(network);
  expectClose(times.at(2), 3 * kMicrosecond);
  expectClose(times.at(1), 4 * kMicrosecond);
}

// The long flow has half of the narrow link, the flow on the wide one what that leaves.
TEST(FlowNetwork, maxMinOfThreeFlows) {
  const auto line = makeLine({kGigabyte, 2 * kGigabyte});
  FlowNetwork network(line);
  const auto both = network.addPath(std::vector<topology::LinkIndex>{0, 1});
  const auto narrow = network.addPath(std::vector<topology::LinkIndex>{0});
  const auto wide = network.addPath(std::vector<topology::LinkIndex>{1});
  network.start(both, 1000, 0, 1);
  network.start(narrow, 1000, 0, 2);
  network.start(wide, 3000, 0, 3);
  const auto times = runToEnd(network);
  for (const uint64_t name : {1, 2, 3}) expectClose(times.at(name), 2 * kMicrosecond);
}

TEST(FlowNetwork, capBoundsEachFlow) {
  const auto line = makeLine({kGigabyte});
  FlowNetwork network(line);
  const auto capped = network.addPath(std::vector<topology::LinkIndex>{0}, kGigabyte / 4);
  const auto path = network.addPath(std::vector<topology::LinkIndex>{0});
  network.start(capped, 1000, 0, 1);
  network.start(path, 3000, 0, 2);
  const auto times = runToEnd(network);
  EXPECT_EQ(times.at(1), 4 * kMicrosecond);
  expectClose(times.at(2), 4 * kMicrosecond);
}

// Both directions of a bus share one capacity.
TEST(FlowNetwork, halfDuplexResource) {
  topology::Topology pair;
  const auto a = pair.addNode({.id = "a"});
  const auto b = pair.addNode({.id = "b"});
  const auto there = pair.addDuplex({.from = a, .to = b, .capacity = kGigabyte});
  pair.resources.push_back({"bus", kGigabyte, {{there, 1}, {there + 1, 1}}});
  FlowNetwork network(pair);
  const auto forward = network.addPath(std::vector<topology::LinkIndex>{there});
  const auto back = network.addPath(std::vector<topology::LinkIndex>{there + 1});
  network.start(forward, 1000, 0, 1);
  network.start(back, 1000, 0, 2);
  const auto times = runToEnd(network);
  expectClose(times.at(1), 2 * kMicrosecond);
  expectClose(times.at(2), 2 * kMicrosecond);
  EXPECT_EQ(network.bytesOfResources(), std::vector<uint64_t>{2000});
}

// Staging charges memory twice, and a link that is crossed twice counts twice.
TEST(FlowNetwork, chargesCount) {
  auto line = makeLine({kGigabyte, kGigabyte});
  line.resources.push_back({"memory", kGigabyte, {{0, 1}, {1, 1}}});
  FlowNetwork network(line);
  network.start(network.addPath(std::vector<topology::LinkIndex>{0, 1}), 1000, 0, 1);
  const auto times = runToEnd(network);
  expectClose(times.at(1), 2 * kMicrosecond);
  const auto twice = network.addPath(std::vector<topology::LinkIndex>{0, 0});
  network.start(twice, 1000, 0, 2);
  expectClose(runToEnd(network).at(2), times.at(1) + 2 * kMicrosecond);
  EXPECT_EQ(network.bytesOfLinks(), (std::vector<uint64_t>{3000, 1000}));
}

TEST(FlowNetwork, waitsAndEmptyFlows) {
  const auto line = makeLine({kGigabyte});
  FlowNetwork network(line);
  const auto path = network.addPath(std::vector<topology::LinkIndex>{0});
  network.wait(7, 1);
  network.wait(0, 2);
  network.start(path, 0, 3, 3);
  network.start(path, 0, 0, 4);
  std::vector<uint64_t> ended;
  ASSERT_TRUE(network.advance(ended));
  EXPECT_EQ(ended, (std::vector<uint64_t>{2, 4}));
  EXPECT_EQ(network.now(), 0);
  ASSERT_TRUE(network.advance(ended));
  EXPECT_EQ(ended, std::vector<uint64_t>{3});
  ASSERT_TRUE(network.advance(ended));
  EXPECT_EQ(network.now(), 7);
  EXPECT_FALSE(network.advance(ended));
  EXPECT_EQ(network.now(), 7);
}

// One message after the other on one connection keeps the link full.
TEST(FlowNetwork, successorsTakeOver) {
  const auto line = makeLine({kGigabyte});
  FlowNetwork network(line);
  const auto path = network.addPath(std::vector<topology::LinkIndex>{0});
  const auto other = network.addPath(std::vector<topology::LinkIndex>{0});
  network.start(other, 100'000, 0, 0);
  network.start(path, 1000, 0, 1);
  std::vector<uint64_t> ended;
  while (network.advance(ended)) {
    if (ended[0] == 0 || ended[0] == 100) break;
    expectClose(network.now(), static_cast<Time>(ended[0]) * 2 * kMicrosecond);
    network.start(path, 1000, 0, ended[0] + 1);
  }
  EXPECT_EQ(network.relaxations(), 1u);
}

TEST(FlowNetwork, whatIsTooSlowNeverEnds) {
  const auto line = makeLine({1});
  FlowNetwork network(line);
  network.start(network.addPath(std::vector<topology::LinkIndex>{0}), UINT64_MAX, 0, 1);
  std::vector<uint64_t> ended;
  EXPECT_FALSE(network.advance(ended));
  EXPECT_EQ(network.now(), 0);
}

}  // namespace
}  // namespace tutti::sim
