// Fabrics and Schedules of any size: stars and boxes of ranks, and a chunked all_reduce over K
// trees.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "src/ir/plan.h"
#include "src/ir/schedule.h"
#include "src/schedule/lower.h"
#include "topology/graph.h"

namespace tutti::sim {

// `size` ranks at one switch.
inline topology::Topology makeStar(int size, int64_t capacity, int64_t latencyNs = 0) {
  topology::Topology star;
  const auto hub = star.addNode({.id = "hub", .kind = topology::NodeKind::kSwitch});
  for (int rank = 0; rank < size; ++rank) {
    const auto node = star.addNode({.id = fmt::format("r{}", rank)});
    star.addDuplex({.from = node,
                    .to = hub,
                    .capacity = capacity,
                    .latencyNs = latencyNs,
                    .kind = topology::LinkKind::kNetwork});
  }
  return star;
}

// Boxes of eight ranks at a switch of their own; each rank has a NIC, all NICs are at one switch.
// The first box's NICs have `firstCapacity`.
inline topology::Topology makeBoxes(int boxes, int64_t inside, int64_t outside,
                                    int64_t firstCapacity) {
  using topology::LinkKind;
  using topology::NodeKind;
  topology::Topology result;
  const auto spine = result.addNode({.id = "spine", .kind = NodeKind::kSwitch});
  for (int box = 0; box < boxes; ++box) {
    const std::string name = fmt::format("b{}", box);
    const auto hub = result.addNode({.id = name, .kind = NodeKind::kSwitch});
    for (int at = 0; at < 8; ++at) {
      const std::string own = fmt::format("{}.{}", name, at);
      const auto rank = result.addNode({.id = own});
      const auto nic = result.addNode({.id = own + ".nic", .kind = NodeKind::kNic});
      result.addDuplex({rank, hub, inside, 300, LinkKind::kDevice});
      const int64_t capacity = box == 0 ? firstCapacity : outside;
      result.addDuplex({rank, nic, capacity, 500, LinkKind::kPci});
      result.addDuplex({nic, spine, capacity, 2000, LinkKind::kNetwork});
    }
  }
  return result;
}

// The parent of each rank; -1 for the root.
using Parents = std::vector<int>;

// A binary tree over the ranks in random order.
inline Parents randomTree(int size, std::mt19937_64& random) {
  std::vector<int> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  Parents parents(static_cast<size_t>(size), -1);
  for (size_t at = 1; at < order.size(); ++at) {
    parents[static_cast<size_t>(order[at])] = order[(at - 1) / 2];
  }
  return parents;
}

// A binary tree over the boxes in random order, with one rank of each as its head, and a line of
// the others behind that.
inline Parents boxTree(int boxes, int head, std::mt19937_64& random) {
  const Parents above = randomTree(boxes, random);
  Parents parents(static_cast<size_t>(8 * boxes), -1);
  for (int box = 0; box < boxes; ++box) {
    const int up = above[static_cast<size_t>(box)];
    parents[static_cast<size_t>(8 * box + head)] = up < 0 ? -1 : 8 * up + head;
    for (int next = 1; next < 8; ++next) {
      parents[static_cast<size_t>(8 * box + (head + next) % 8)] = 8 * box + (head + next - 1) % 8;
    }
  }
  return parents;
}

// All ranks' part of an all_reduce over trees of equal weight, `chunkBytes` of each at a time.
inline std::vector<ir::Schedule> lowerTrees(const std::vector<Parents>& trees,
                                            uint64_t chunkBytes) {
  ir::Plan plan;
  plan.algorithm = "trees";
  plan.chunkBytes = chunkBytes * trees.size();
  for (const Parents& parents : trees) {
    const auto root = std::find(parents.begin(), parents.end(), -1) - parents.begin();
    plan.trees.push_back({.root = static_cast<ir::Rank>(root), .parents = parents});
  }
  std::vector<ir::Schedule> schedules;
  const auto size = static_cast<int>(trees.front().size());
  for (int rank = 0; rank < size; ++rank) {
    auto schedule = schedule::lower(plan, size, rank);
    if (!schedule.isOk()) break;  // as many as there are ranks, or the simulation fails
    schedules.push_back(schedule.take());
  }
  return schedules;
}

}  // namespace tutti::sim
