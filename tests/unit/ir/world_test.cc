#include "src/ir/world.h"

#include <gtest/gtest.h>

namespace tutti::ir {
namespace {

World makeWorld(int size, int cores) {
  World world;
  for (int rank = 0; rank < size; ++rank) {
    world.ranks.push_back({.host = "a", .process = static_cast<uint64_t>(rank), .cores = cores});
  }
  world.reach.assign(static_cast<size_t>(size) * static_cast<size_t>(size), Reach::kMapped);
  return world;
}

TEST(World, knowsWhetherAllAreMapped) {
  World world = makeWorld(3, 2);
  EXPECT_TRUE(world.isAllMapped());
  for (int rank = 0; rank < 3; ++rank) world.reach[static_cast<size_t>(4 * rank)] = Reach::kNone;
  EXPECT_TRUE(world.isAllMapped()) << "a rank's way to itself does not count";
  world.reach[1] = Reach::kMessage;
  EXPECT_FALSE(world.isAllMapped());
}

TEST(World, countsRanksPerCore) {
  EXPECT_EQ(makeWorld(1, 8).ranksPerCore(), 1.0);
  EXPECT_EQ(makeWorld(4, 2).ranksPerCore(), 2.0);
  World world = makeWorld(4, 2);
  world.ranks[3].host = "b";
  EXPECT_EQ(world.ranksPerCore(), 1.5);
  // Containers of one machine share its cores.
  for (RankInfo& info : world.ranks) info.machine = "m";
  EXPECT_EQ(world.ranksPerCore(), 2.0);
  // Pinned, each to a core of its own.
  world = makeWorld(4, 1);
  for (size_t rank = 0; rank < 4; ++rank) world.ranks[rank].coreSet = rank;
  EXPECT_EQ(world.ranksPerCore(), 1.0);
}

TEST(World, digestSeesEverything) {
  const World world = makeWorld(3, 2);
  EXPECT_EQ(world.digest(), makeWorld(3, 2).digest());
  const auto differs = [&](auto change) {
    World other = world;
    change(other);
    return other.digest() != world.digest();
  };
  EXPECT_TRUE(differs([](World& other) { other.ranks[1].host += "b"; }));
  EXPECT_TRUE(differs([](World& other) { other.ranks[1].hostName += "b"; }));
  EXPECT_TRUE(differs([](World& other) { other.ranks[1].machine += "b"; }));
  EXPECT_TRUE(differs([](World& other) { other.ranks[1].process = 9; }));
  EXPECT_TRUE(differs([](World& other) { other.ranks[1].pid = 9; }));
  EXPECT_TRUE(differs([](World& other) { other.ranks[1].device += "host"; }));
  EXPECT_TRUE(differs([](World& other) { other.ranks[1].isDeviceExclusive = true; }));
  EXPECT_TRUE(differs([](World& other) { other.ranks[1].version += "1"; }));
  EXPECT_TRUE(differs([](World& other) { other.ranks[1].cores = 9; }));
  EXPECT_TRUE(differs([](World& other) { other.ranks[1].coreSet = 9; }));
  EXPECT_TRUE(differs([](World& other) { other.reach[5] = Reach::kAddress; }));
  EXPECT_TRUE(differs([](World& other) { other.canCopyPeer = true; }));
  EXPECT_TRUE(differs([](World& other) { other.costs.signalNs += 1; }));
  EXPECT_TRUE(differs([](World& other) { other.costs.cacheBytes += 1; }));
  EXPECT_TRUE(differs([](World& other) { other.ranks.pop_back(); }));
  // What moves from one text to the next is a difference too.
  World left = world;
  World right = world;
  left.ranks[0].host = "ab";
  right.ranks[0].host = "a";
  right.ranks[0].hostName = "b";
  EXPECT_NE(left.digest(), right.digest());
}

TEST(World, OneExclusiveDeviceHasOneRank) {
  World world = makeWorld(4, 2);
  for (auto& info : world.ranks) info.host = "a";
  for (auto& info : world.ranks) info.device = "host";
  EXPECT_FALSE(world.ranksOfOneDevice());
  for (size_t rank : {1, 3}) {
    world.ranks[rank].device = "gpu:0";
    world.ranks[rank].isDeviceExclusive = true;
  }
  EXPECT_EQ(world.ranksOfOneDevice(), (std::pair<Rank, Rank>{1, 3}));
  world.ranks[3].host = "b";
  EXPECT_FALSE(world.ranksOfOneDevice());
}

}  // namespace
}  // namespace tutti::ir
