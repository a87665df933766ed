#include "src/plan/flow.h"

#include <gtest/gtest.h>

#include <random>
#include <type_traits>

namespace tutti::plan {
namespace {

template <typename Capacity>
class Flow : public testing::Test {};
using Capacities = testing::Types<int64_t, Int128>;
TYPED_TEST_SUITE(Flow, Capacities);

template <typename Capacity>
using Pairs = std::vector<ArcPair<Capacity>>;

// The least capacity from a set with the source to its complement with the sink, over all sets.
template <typename Capacity>
Capacity leastCut(int nodes, const Pairs<Capacity>& pairs, int source, int sink) {
  Capacity least = FlowNetwork<Capacity>::kUnlimited;
  for (unsigned set = 0; set < (1u << nodes); ++set) {
    if ((set >> source & 1) == 0 || (set >> sink & 1) != 0) continue;
    Capacity cut = 0;
    for (const auto& pair : pairs) {
      const bool isFrom = (set >> pair.from & 1) != 0;
      const bool isTo = (set >> pair.to & 1) != 0;
      if (isFrom && !isTo) cut += pair.forward;
      if (isTo && !isFrom) cut += pair.backward;
    }
    least = std::min(least, cut);
  }
  return least;
}

template <typename Capacity>
Pairs<Capacity> randomPairs(std::mt19937_64& engine, int nodes, int count, Capacity unit) {
  Pairs<Capacity> pairs;
  for (int i = 0; i < count; ++i) {
    const auto from = static_cast<int32_t>(engine() % static_cast<uint64_t>(nodes));
    const auto step = 1 + static_cast<int32_t>(engine() % static_cast<uint64_t>(nodes - 1));
    pairs.push_back({from, (from + step) % nodes, static_cast<Capacity>(engine() % 12) * unit,
                     static_cast<Capacity>(engine() % 12) * unit});
  }
  return pairs;
}

TYPED_TEST(Flow, isTheLeastCut) {
  std::mt19937_64 engine(1);
  // The widest capacities whose sums still fit.
  const TypeParam unit = TypeParam{1} << (sizeof(TypeParam) * 8 - 13);
  for (int round = 0; round < 300; ++round) {
    const int nodes = 2 + round % 7;
    const auto pairs = randomPairs<TypeParam>(engine, nodes, 3 * nodes, unit / (round % 2 + 1));
    FlowNetwork<TypeParam> network(nodes, pairs);
    for (int source = 0; source < nodes; ++source) {
      for (int sink = 0; sink < nodes; ++sink) {
        if (source == sink) continue;
        const TypeParam flow = network.maxFlow(source, sink);
        ASSERT_TRUE(flow == leastCut(nodes, pairs, source, sink)) << "round " << round;
        TypeParam cut = 0;
        for (const auto& pair : pairs) {
          const bool isFrom = !network.reachesSink(pair.from);
          const bool isTo = !network.reachesSink(pair.to);
          if (isFrom && !isTo) cut += pair.forward;
          if (isTo && !isFrom) cut += pair.backward;
        }
        ASSERT_TRUE(cut == flow) << "round " << round;
        ASSERT_TRUE(network.reachesSink(sink) && !network.reachesSink(source));
      }
    }
  }
}

TYPED_TEST(Flow, isKeptAtEveryNode) {
  std::mt19937_64 engine(2);
  for (int round = 0; round < 100; ++round) {
    const auto pairs = randomPairs<TypeParam>(engine, 8, 20, 1);
    FlowNetwork<TypeParam> network(8, pairs);
    const TypeParam value = network.maxFlow(0, 7);
    std::vector<TypeParam> excess(8, 0);
    for (size_t i = 0; i < pairs.size(); ++i) {
      const TypeParam flow = network.flow(static_cast<int32_t>(i));
      ASSERT_TRUE(flow <= pairs[i].forward && -flow <= pairs[i].backward);
      excess[static_cast<size_t>(pairs[i].from)] -= flow;
      excess[static_cast<size_t>(pairs[i].to)] += flow;
    }
    EXPECT_TRUE(excess[0] == -value && excess[7] == value);
    for (size_t node = 1; node < 7; ++node) EXPECT_TRUE(excess[node] == 0);
  }
}

TYPED_TEST(Flow, stopsAtEnough) {
  const Pairs<TypeParam> pairs = {{0, 1, 5, 0}, {1, 2, 7, 0}, {0, 2, 4, 0}};
  FlowNetwork<TypeParam> network(3, pairs);
  EXPECT_TRUE(network.maxFlow(0, 2, 6) == 6);
  EXPECT_TRUE(network.maxFlow(0, 2, 0) == 0);
  EXPECT_TRUE(network.maxFlow(0, 2, 9) == 9);
  EXPECT_TRUE(network.maxFlow(0, 2, 10) == 9);
  EXPECT_FALSE(network.reachesSink(0));
  EXPECT_TRUE(network.reachesSink(1));
}

TYPED_TEST(Flow, takesOtherCapacities) {
  const Pairs<TypeParam> pairs = {{0, 1, 5, 5}, {1, 2, 3, 3}};
  FlowNetwork<TypeParam> network(3, pairs);
  EXPECT_TRUE(network.maxFlow(0, 2) == 3);
  network.setCapacity(1, 9, 0);
  EXPECT_TRUE(network.maxFlow(0, 2) == 5);
  EXPECT_TRUE(network.maxFlow(2, 0) == 0);
  network.setCapacity(1, 0, 1);
  EXPECT_TRUE(network.maxFlow(2, 0) == 1);
  EXPECT_TRUE(network.maxFlow(0, 2) == 0);
}

TYPED_TEST(Flow, needsNoLinks) {
  FlowNetwork<TypeParam> network(2, Pairs<TypeParam>{});
  EXPECT_TRUE(network.maxFlow(0, 1) == 0);
  EXPECT_TRUE(network.reachesSink(1));
  EXPECT_FALSE(network.reachesSink(0));
}

// A line of many nodes, and a grid: deep networks are no recursion.
TYPED_TEST(Flow, goesFar) {
  constexpr int32_t kNodes = 200'000;
  Pairs<TypeParam> line;
  for (int32_t i = 0; i + 1 < kNodes; ++i) line.push_back({i, i + 1, i == 777 ? 2 : 3, 0});
  FlowNetwork<TypeParam> network(kNodes, line);
  EXPECT_TRUE(network.maxFlow(0, kNodes - 1) == 2);
  EXPECT_FALSE(network.reachesSink(777));
  EXPECT_TRUE(network.reachesSink(778));
  constexpr int32_t kSide = 60;
  Pairs<TypeParam> grid;
  for (int32_t i = 0; i < kSide * kSide; ++i) {
    if (i % kSide + 1 < kSide) grid.push_back({i, i + 1, 1, 1});
    if (i + kSide < kSide * kSide) grid.push_back({i, i + kSide, 1, 1});
  }
  FlowNetwork<TypeParam> plane(kSide * kSide, grid);
  EXPECT_TRUE(plane.maxFlow(0, kSide * kSide - 1) == 2);
  EXPECT_TRUE(plane.maxFlow(kSide + 1, kSide * kSide - kSide - 2) == 4);
}

}  // namespace
}  // namespace tutti::plan
