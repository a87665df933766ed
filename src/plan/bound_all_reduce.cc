#include <algorithm>

#include "src/plan/bound_limits.h"
#include "src/plan/index.h"

namespace tutti::plan {
namespace {

// For a rate P / Q: the partition with the least sum of Q d(A) - 2 P over its parts, by the greedy
// algorithm for Dilworth truncations. y of a rank is the most that it can have such that no set of
// ranks has more than Q d(A) - 2 P in sum; a set that has just that much becomes a block.
template <typename Capacity>
class Truncation {
 public:
  explicit Truncation(const Fabric& fabric)
      : fabric_(fabric),
        links_(static_cast<int32_t>(fabric.links.size())),
        order_(spreadOrder(fabric.ranks)),
        network_(makeNetwork(fabric)) {}

  // The sum of all y, which is that of Q d(A) - 2 P over the blocks.
  Capacity run(Capacity num, Capacity den) {
    start(den);
    Capacity sum = 0;
    Capacity given = 0;  // the sum of all y > 0
    for (const int32_t rank : order_) {
      network_.setCapacity(outer(rank), 0, 0);
      network_.setCapacity(inner(rank), kTied, 0);
      const Capacity cut = network_.maxFlow(fabric_.nodes, fabric_.nodes + 1);
      merge(rank);
      const Capacity y = cut - given - 2 * num;
      network_.setCapacity(inner(rank), std::max<Capacity>(y, 0), 0);
      network_.setCapacity(outer(rank), std::max<Capacity>(-y, 0), 0);
      given += std::max<Capacity>(y, 0);
      sum += y;
    }
    return sum;
  }

  std::vector<std::vector<int32_t>> blocks() const {
    std::vector<std::vector<int32_t>> found;
    for (auto block : blocks_) {
      std::sort(block.begin(), block.end());
      if (!block.empty()) found.push_back(std::move(block));
    }
    std::sort(found.begin(), found.end());
    return found;
  }

 private:
  static constexpr Capacity kTied = FlowNetwork<Capacity>::kUnlimited;

  int32_t outer(int32_t rank) const { return links_ + 2 * rank; }
  int32_t inner(int32_t rank) const { return links_ + 2 * rank + 1; }

  // The fabric's links turned around, since least sets are small and near the rank at hand and
  // flows are searched from their sinks. Then for each rank an arc from the source and one to the
  // sink, which follow the nodes.
  static FlowNetwork<Capacity> makeNetwork(const Fabric& fabric) {
    std::vector<ArcPair<Capacity>> pairs;
    for (const auto& link : fabric.links) pairs.push_back({link.from, link.to});
    for (int32_t rank = 0; rank < fabric.ranks; ++rank) {
      pairs.push_back({fabric.nodes, rank});
      pairs.push_back({rank, fabric.nodes + 1});
    }
    return FlowNetwork<Capacity>(fabric.nodes + 2, pairs);
  }

  // Ranks that have no y yet are in no set.
  void start(Capacity den) {
    for (int32_t i = 0; i < links_; ++i) {
      const auto& link = fabric_.links[at(i)];
      network_.setCapacity(i, den * link.backward, den * link.forward);
    }
    for (int32_t rank = 0; rank < fabric_.ranks; ++rank) {
      network_.setCapacity(outer(rank), kTied, 0);
      network_.setCapacity(inner(rank), 0, 0);
    }
    blocks_.assign(at(fabric_.ranks), {});
    blockOf_.assign(at(fabric_.ranks), -1);
  }

  // `rank` and all blocks that meet the cut's side become one block.
  void merge(int32_t rank) {
    auto& block = blocks_[at(rank)];
    block.push_back(rank);
    for (int32_t other = 0; other < fabric_.ranks; ++other) {
      const int32_t of = blockOf_[at(other)];
      if (of < 0 || of == rank || !network_.reachesSink(other)) continue;
      auto& joined = blocks_[at(of)];
      for (const int32_t each : joined) blockOf_[at(each)] = rank;
      block.insert(block.end(), joined.begin(), joined.end());
      joined.clear();
    }
    blockOf_[at(rank)] = rank;
  }

  const Fabric& fabric_;
  int32_t links_;
  std::vector<int32_t> order_;
  FlowNetwork<Capacity> network_;
  std::vector<std::vector<int32_t>> blocks_;  // by the rank that came last
  std::vector<int32_t> blockOf_;              // -1: no y yet
};

// Newton's method on the rate P / Q: as long as a partition has less than -2 P, which is what the
// ranks undivided have, the rate that just fits through it is smaller. Q stays at most 2 (ranks -
// 1), for the d(A) are integers.
template <typename Capacity>
Limit search(const Fabric& fabric) {
  Limit limit{.kind = Limit::Kind::kLeaving};
  for (int32_t rank = 0; rank < fabric.ranks; ++rank) limit.parts.push_back({rank});
  Capacity num = 0;
  Capacity den = 2 * (static_cast<Capacity>(fabric.ranks) - 1);
  for (const auto& link : fabric.links) {
    if (link.from < fabric.ranks) num += link.forward;
    if (link.to < fabric.ranks) num += link.backward;
  }
  Truncation<Capacity> truncation(fabric);
  while (true) {
    const auto divisor = static_cast<Capacity>(greatestCommonDivisor(num, den));
    num /= divisor;
    den /= divisor;
    const Capacity sum = truncation.run(num, den);
    if (sum + 2 * num >= 0) break;
    limit.parts = truncation.blocks();
    // sum + 2 P p is Q times the sum of all d(A).
    const auto parts = static_cast<Capacity>(limit.parts.size());
    num = (sum + 2 * num * parts) / den;
    den = 2 * (parts - 1);
  }
  limit.value = makeRational(num, den);
  return limit;
}

}  // namespace

Limit partitionLimit(const Fabric& fabric) {
  Int128 total = 0;
  for (const auto& link : fabric.links) total += link.forward + link.backward;
  // Flows and sums of y stay below 8 Q times all capacities. 64 bits are half again as fast.
  const bool isSmall = total * 16 * fabric.ranks < FlowNetwork<int64_t>::kUnlimited;
  return isSmall ? search<int64_t>(fabric) : search<Int128>(fabric);
}

}  // namespace tutti::plan
