#include "src/plan/levels.h"

#include <gtest/gtest.h>

#include "tests/support/fabrics.h"

namespace tutti::plan {
namespace {

using topology::NodeKind;
using Groups = std::vector<int32_t>;

Groups alike(int groups, int members) {
  Groups made;
  for (int group = 0; group < groups; ++group) made.insert(made.end(), members, group);
  return made;
}

std::vector<Groups> groupsOf(const topology::Topology& fabric) {
  std::vector<Groups> found;
  for (const Level& level : levelsOf(fabric, LevelShape::kChain)) {
    EXPECT_EQ(level.shape, found.empty() ? LevelShape::kStar : LevelShape::kChain);
    found.push_back(level.groups);
  }
  EXPECT_TRUE(
      checkLevels(static_cast<int>(fabric.ranks().size()), levelsOf(fabric, LevelShape::kChain))
          .isOk());
  return found;
}

TEST(Levels, HostsAreOne) {
  EXPECT_EQ(groupsOf(tests::h100(3)), std::vector<Groups>{alike(3, 8)});
  EXPECT_EQ(groupsOf(tests::mixedBoxes()), std::vector<Groups>{alike(2, 8)});
  EXPECT_EQ(groupsOf(tests::h100(1)), std::vector<Groups>{});
}

TEST(Levels, SitesAreOne) {
  EXPECT_EQ(groupsOf(tests::wanTriangle()), std::vector<Groups>{alike(3, 8)});
}

// Where no host is named, links tell.
TEST(Levels, LinksTellIslands) {
  EXPECT_EQ(groupsOf(tests::twoIslands(5, 100, 10)), std::vector<Groups>{alike(2, 5)});
  EXPECT_EQ(groupsOf(tests::star({7, 7, 7, 7})), std::vector<Groups>{});
  EXPECT_EQ(groupsOf(tests::mesh(6, 10)), std::vector<Groups>{});
}

// Two islands of two in each of two hosts: pairs joined at 100, a host's pairs at 20.
TEST(Levels, IslandsLieWithinHosts) {
  topology::Topology fabric;
  const auto spine = fabric.addNode({.id = "spine", .kind = NodeKind::kSwitch});
  for (int host = 0; host < 2; ++host) {
    const std::string name = "h" + std::to_string(host);
    const auto bus = fabric.addNode({.id = name + "bus", .kind = NodeKind::kHost, .host = name});
    fabric.addDuplex({.from = bus, .to = spine, .capacity = 20});
    for (int pair = 0; pair < 2; ++pair) {
      const std::string id = name + "p" + std::to_string(pair);
      const auto a = fabric.addNode({.id = id + "a", .kind = NodeKind::kRank, .host = name});
      const auto b = fabric.addNode({.id = id + "b", .kind = NodeKind::kRank, .host = name});
      fabric.addDuplex({.from = a, .to = b, .capacity = 100});
      fabric.addDuplex({.from = a, .to = bus, .capacity = 20});
      fabric.addDuplex({.from = b, .to = bus, .capacity = 20});
    }
  }
  EXPECT_EQ(groupsOf(fabric), (std::vector<Groups>{alike(4, 2), alike(2, 4)}));
}

// One way alone joins nothing.
TEST(Levels, OneWayLinksDoNotCount) {
  topology::Topology fabric;
  for (int rank = 0; rank < 4; ++rank) {
    fabric.addNode({.id = "r" + std::to_string(rank), .kind = NodeKind::kRank});
  }
  for (int rank = 0; rank < 4; ++rank) {
    fabric.links.push_back({.from = rank, .to = (rank + 1) % 4, .capacity = rank < 2 ? 100 : 10});
  }
  EXPECT_EQ(groupsOf(fabric), std::vector<Groups>{});
}

}  // namespace
}  // namespace tutti::plan
