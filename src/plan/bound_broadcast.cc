#include "src/plan/bound_limits.h"

namespace tutti::plan {

// Edmonds: as many arc-disjoint trees as the least of the flows from the root. A rank that was
// looked at joins the root: a smaller cut has it on the root's side.
Limit broadcastLimit(const Fabric& fabric, int32_t root) {
  constexpr int64_t kJoined = FlowNetwork<int64_t>::kUnlimited;
  const auto links = static_cast<int32_t>(fabric.links.size());
  auto pairs = fabric.links;
  for (int32_t rank = 0; rank < fabric.ranks; ++rank) pairs.push_back({fabric.nodes, rank, 0, 0});
  pairs[static_cast<size_t>(links + root)].forward = kJoined;
  FlowNetwork<int64_t> network(fabric.nodes + 1, pairs);
  int64_t least = kJoined;
  std::vector<char> isInside(static_cast<size_t>(fabric.ranks), 0);
  for (const int32_t rank : spreadOrder(fabric.ranks)) {
    if (rank == root) continue;
    const int64_t flow = network.maxFlow(fabric.nodes, rank, least);
    if (flow < least) {
      least = flow;
      for (int32_t i = 0; i < fabric.ranks; ++i) {
        isInside[static_cast<size_t>(i)] = network.reachesSink(i) ? 0 : 1;
      }
    }
    network.setCapacity(links + rank, kJoined, 0);
  }
  return {.value = {least, 1}, .parts = split(isInside)};
}

}  // namespace tutti::plan
