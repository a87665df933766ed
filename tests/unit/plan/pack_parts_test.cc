// The parts of packing: what is a packing and what load it is, linear programs, weights, middles.
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "src/plan/grown.h"
#include "src/plan/integer_program.h"
#include "src/plan/routed.h"
#include "src/plan/search_graph.h"
#include "src/plan/tree_search.h"
#include "src/plan/weights.h"
#include "tests/support/fabrics.h"
#include "tests/unit/plan/print.h"

namespace tutti::plan {
namespace {

using ir::Collective;
using topology::kGigabyte;
using topology::Topology;

// Ranks 0, 1, 2 in a row; links 0 -> 1, 1 -> 0, 1 -> 2, 2 -> 1.
Topology row() {
  Topology topology;
  for (const char* id : {"a", "b", "c"}) {
    topology.addNode({.id = id, .kind = topology::NodeKind::kRank});
  }
  topology.addDuplex({.from = 0, .to = 1, .capacity = 6 * kGigabyte});
  topology.addDuplex({.from = 1, .to = 2, .capacity = 6 * kGigabyte});
  return topology;
}

// Up and down the row, with its root in the middle.
Packing allReduceOnRow() {
  Packing packing;
  packing.trees.push_back({.tree = {.root = 1, .weight = 2, .parents = {1, -1, 1}},
                           .down = {{1}, {}, {2}},
                           .up = {{0}, {}, {3}}});
  return packing;
}

TEST(Routed, loadsOfARow) {
  Packing packing = allReduceOnRow();
  EXPECT_TRUE(check(row(), packing).isOk());
  const Load load = loadOf(row(), packing);
  EXPECT_EQ(load.links, std::vector<int64_t>(4, 2));
  EXPECT_EQ(load.total, 2);
  measure(row(), packing);
  EXPECT_EQ(packing.achieved, makeRational(6 * kGigabyte, 1));
  EXPECT_EQ(packing.maxDepth, 1);
  EXPECT_EQ(packing.averageDepth, makeRational(1, 1));
}

// Of three blocks, one goes outwards over each link and the other two come inwards.
TEST(Routed, floodingCarriesEveryBlock) {
  for (const Collective collective : {Collective::kAllGather, Collective::kReduceScatter}) {
    Packing packing = allReduceOnRow();
    packing.collective = collective;
    packing.isFlooding = true;
    ASSERT_TRUE(check(row(), packing).isOk());
    const Load load = loadOf(row(), packing);
    const bool isGather = collective == Collective::kAllGather;
    EXPECT_EQ(load.links,
              isGather ? (std::vector<int64_t>{2, 4, 4, 2}) : (std::vector<int64_t>{4, 2, 2, 4}));
    EXPECT_EQ(load.total, 6);
    EXPECT_EQ(rateOf(row(), load), makeRational(9 * kGigabyte, 1));
  }
}

TEST(Routed, checkNamesWhatIsWrong) {
  const auto says = [](const std::function<void(Packing&)>& change, std::string_view text) {
    Packing packing = allReduceOnRow();
    change(packing);
    const base::Status status = check(row(), packing);
    return !status.isOk() && status.toString().find(text) != std::string::npos;
  };
  EXPECT_TRUE(says([](Packing& p) { p.trees.clear(); }, "missing"));
  EXPECT_TRUE(says([](Packing& p) { p.trees[0].tree.weight = 0; }, "weight 0"));
  EXPECT_TRUE(says([](Packing& p) { p.trees[0].tree.parents[0] = 7; }, "parent 7 of rank 0"));
  EXPECT_TRUE(says([](Packing& p) { p.trees[0].tree.parents[0] = -1; }, "parent -1 of rank 0"));
  EXPECT_TRUE(says([](Packing& p) { p.trees[0].tree.parents.pop_back(); }, "not of 3 ranks"));
  EXPECT_TRUE(says([](Packing& p) { p.trees[0].down[0] = {}; }, "no path down to rank 0"));
  EXPECT_TRUE(says([](Packing& p) { p.trees[0].down[0] = {99}; }, "no path down to rank 0"));
  EXPECT_TRUE(says([](Packing& p) { p.trees[0].up[2] = {2}; }, "no path up from rank 2"));
  // A loop beside the root, each edge a link.
  EXPECT_TRUE(says(
      [](Packing& p) {
        p.trees[0] = {.tree = {.root = 2, .weight = 1, .parents = {1, 0, -1}},
                      .down = {{1}, {0}, {}},
                      .up = {{0}, {1}, {}}};
      },
      "does not span"));
  // From 0 to 2 through another rank.
  EXPECT_TRUE(says(
      [](Packing& p) {
        p.collective = Collective::kBroadcast;
        p.trees[0] = {.tree = {.root = 0, .weight = 1, .parents = {-1, 0, 0}},
                      .down = {{}, {0}, {0, 2}},
                      .up = {{}, {}, {}}};
      },
      "no path down to rank 2"));
  EXPECT_TRUE(says(
      [](Packing& p) {
        p.collective = Collective::kAllGather;
        p.trees[0].up = {{}, {}, {}};
      },
      "weight 2 of rank 1"));
}

TEST(Grown, middleIsBetweenTheFarthest) {
  Grown chain;
  chain.parents = {-1, 0, 1, 2, 3, 0};
  chain.delays = {0, 5000, 10000, 15000, 20000, 9000};
  const Middle middle = middleOf(chain);  // 5 - 0 - 1 - 2 - 3 - 4, 29 us in all
  EXPECT_EQ(middle.rank, 1);
  EXPECT_EQ(middle.delay, 15000);
}

// The answer is feasible, so are its prices, and both come to the same: none is better.
TEST(IntegerProgram, findsTheOptimum) {
  std::mt19937_64 engine(7);
  for (int trial = 0; trial < 200; ++trial) {
    const size_t width = 1 + engine() % 8;
    const size_t height = 1 + engine() % 8;
    std::vector<std::vector<int64_t>> rows(height, std::vector<int64_t>(width));
    std::vector<int64_t> limits(height);
    IntegerProgram program(static_cast<int>(width));
    for (size_t i = 0; i < height; ++i) {
      for (int64_t& each : rows[i]) each = static_cast<int64_t>(engine() % 4);
      if (i == 0) rows[i].assign(width, 1);  // bounded
      limits[i] = static_cast<int64_t>(engine() % 50);
      program.add(rows[i], limits[i]);
    }
    program.solve();
    const auto variables = program.variables();
    const auto prices = program.prices();
    Int128 sum = 0;
    for (size_t j = 0; j < width; ++j) {
      EXPECT_GE(variables[j], 0);
      sum += variables[j];
      Int128 worth = 0;
      for (size_t i = 0; i < height; ++i) worth += prices[i] * rows[i][j];
      EXPECT_GE(worth, program.denominator());
    }
    Int128 value = 0;
    for (size_t i = 0; i < height; ++i) {
      Int128 used = 0;
      for (size_t j = 0; j < width; ++j) used += variables[j] * rows[i][j];
      EXPECT_LE(used, program.denominator() * limits[i]);
      EXPECT_GE(prices[i], 0);
      value += prices[i] * limits[i];
    }
    EXPECT_TRUE(sum == value);
  }
}

// Two ways between two ranks, one three times as wide: that is how the trees should share.
TEST(Weights, followTheWidths) {
  Topology topology;
  for (const char* id : {"a", "b"}) {
    topology.addNode({.id = id, .kind = topology::NodeKind::kRank});
  }
  topology.addDuplex({.from = 0, .to = 1, .capacity = 3 * kGigabyte});
  topology.addDuplex({.from = 0, .to = 1, .capacity = kGigabyte});
  const auto graph = SearchGraph::make(topology, Direction::kBoth);
  ASSERT_TRUE(graph.isOk());
  const std::vector<TreeSearch::Wanted> wanted(2);
  TreeSearch search(*graph, makeRational(2 * kGigabyte, 1), wanted);
  search.run(TreeSearch::kDeep, Prices::kFull, 1000);
  search.reweigh(2, Prices::kFull / 2 + 4, 100'000);
  ASSERT_EQ(search.trees().size(), 2u);
  EXPECT_EQ(search.trees()[0].weight + search.trees()[1].weight, 4);
  EXPECT_EQ(std::max(search.trees()[0].weight, search.trees()[1].weight), 3);
}

TEST(SearchGraph, aLinkIsAnArcOrAPairIs) {
  const Topology star = tests::star({kGigabyte, kGigabyte, kGigabyte});
  const auto down = SearchGraph::make(star, Direction::kDown);
  const auto up = SearchGraph::make(star, Direction::kUp);
  const auto both = SearchGraph::make(star, Direction::kBoth);
  ASSERT_TRUE(down.isOk() && up.isOk() && both.isOk());
  for (SearchGraph::Arc arc = 0; arc < 6; ++arc) {
    ASSERT_EQ(down->down(arc).size(), 1u);
    const auto& link = star.links[static_cast<size_t>(down->down(arc)[0])];
    EXPECT_EQ(link.from, down->from(arc));
    EXPECT_TRUE(down->up(arc).empty());
    const auto& back = star.links[static_cast<size_t>(up->up(arc)[0])];
    EXPECT_EQ(back.to, up->from(arc));
    EXPECT_TRUE(up->down(arc).empty());
    EXPECT_EQ(both->charges(arc).size(), 2u);
  }
  EXPECT_FALSE(SearchGraph::make(tests::disconnected(), Direction::kBoth).isOk());
}

}  // namespace
}  // namespace tutti::plan
