#include <algorithm>
#include <cstdlib>
#include <utility>

#include "src/plan/bound_limits.h"
#include "src/plan/index.h"

namespace tutti::plan {
namespace {

// Capacity that enters each node, less what leaves it.
std::vector<int64_t> excesses(const Fabric& fabric) {
  std::vector<int64_t> excess(at(fabric.nodes), 0);
  for (const auto& link : fabric.links) {
    excess[at(link.from)] += link.backward - link.forward;
    excess[at(link.to)] += link.forward - link.backward;
  }
  return excess;
}

// Scales down what is too much at each forwarder, all of its links alike. Rounding and forwarders
// behind forwarders leave a little.
void scaleTowardsBalance(Fabric& fabric) {
  std::vector<std::vector<size_t>> linksOf(at(fabric.nodes));
  for (size_t i = 0; i < fabric.links.size(); ++i) {
    linksOf[at(fabric.links[i].from)].push_back(i);
    linksOf[at(fabric.links[i].to)].push_back(i);
  }
  for (int32_t node = fabric.ranks; node < fabric.nodes; ++node) {
    Int128 in = 0;
    Int128 out = 0;
    const auto leaving = [&](size_t i) -> int64_t& {
      return fabric.links[i].from == node ? fabric.links[i].forward : fabric.links[i].backward;
    };
    const auto entering = [&](size_t i) -> int64_t& {
      return fabric.links[i].from == node ? fabric.links[i].backward : fabric.links[i].forward;
    };
    for (const size_t i : linksOf[at(node)]) {
      in += entering(i);
      out += leaving(i);
    }
    for (const size_t i : linksOf[at(node)]) {
      if (in > out) entering(i) = static_cast<int64_t>(entering(i) * out / in);
      if (out > in) leaving(i) = static_cast<int64_t>(leaving(i) * in / out);
    }
  }
}

}  // namespace

Fabric makeFabric(const topology::Topology& topology) {
  Fabric fabric{.place = topology.rankOfNode()};
  fabric.ranks = static_cast<int32_t>(topology.ranks().size());
  fabric.nodes = fabric.ranks;
  for (int32_t& place : fabric.place) {
    if (place < 0) place = fabric.nodes++;
  }
  const auto ends = [&](const topology::Link& link) {
    return std::minmax({fabric.place[at(link.from)], fabric.place[at(link.to)]});
  };
  std::vector<std::pair<int32_t, int32_t>> pairs;
  for (const topology::Link& link : topology.links) pairs.push_back(ends(link));
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  for (const auto& [from, to] : pairs) fabric.links.push_back({from, to});
  for (const topology::Link& link : topology.links) {
    const auto found = std::lower_bound(pairs.begin(), pairs.end(), ends(link));
    auto& merged = fabric.links[static_cast<size_t>(found - pairs.begin())];
    const bool isForward = fabric.place[at(link.from)] == merged.from;
    (isForward ? merged.forward : merged.backward) += link.capacity;
    fabric.linkOf.push_back(static_cast<int32_t>(found - pairs.begin()));
  }
  return fabric;
}

Fabric reversed(Fabric fabric) {
  for (auto& link : fabric.links) std::swap(link.forward, link.backward);
  return fabric;
}

Fabric narrowed(Fabric fabric) {
  for (auto& link : fabric.links) {
    link.forward = link.backward = std::min(link.forward, link.backward);
  }
  return fabric;
}

bool isSymmetric(const Fabric& fabric) {
  return std::all_of(fabric.links.begin(), fabric.links.end(),
                     [](const auto& link) { return link.forward == link.backward; });
}

bool isBalanced(const Fabric& fabric) {
  const auto excess = excesses(fabric);
  return std::all_of(excess.begin() + fabric.ranks, excess.end(),
                     [](int64_t each) { return each == 0; });
}

// What is to be taken away is itself a flow, which begins where too much leaves and ends where too
// much enters; the ranks, as one node, give and take the rest. All capacities together are such a
// flow, so there is one; short ways take away the least.
Fabric balanced(Fabric fabric) {
  constexpr int kSweeps = 8;
  for (int sweep = 0; sweep < kSweeps && !isBalanced(fabric); ++sweep) scaleTowardsBalance(fabric);
  const auto excess = excesses(fabric);
  const int32_t ranks = fabric.nodes;
  const int32_t source = ranks + 1;
  const int32_t sink = ranks + 2;
  const auto nodeOf = [&](int32_t node) { return node < fabric.ranks ? ranks : node; };
  std::vector<ArcPair<int64_t>> pairs;
  for (const auto& link : fabric.links) {
    pairs.push_back({nodeOf(link.from), nodeOf(link.to), link.forward, link.backward});
  }
  int64_t left = 0;
  const auto supply = [&](int32_t node, int64_t enters) {
    if (enters > 0) pairs.push_back({node, sink, enters, 0});
    if (enters < 0) pairs.push_back({source, node, -enters, 0});
    left -= enters;
  };
  for (int32_t node = fabric.ranks; node < fabric.nodes; ++node) supply(node, excess[at(node)]);
  supply(ranks, left);
  FlowNetwork<int64_t> network(fabric.nodes + 3, pairs);
  network.maxFlow(source, sink);
  for (size_t i = 0; i < fabric.links.size(); ++i) {
    const int64_t taken = network.flow(static_cast<int32_t>(i));
    (taken > 0 ? fabric.links[i].forward : fabric.links[i].backward) -= std::abs(taken);
  }
  return fabric;
}

std::vector<int32_t> spreadOrder(int32_t count) {
  int32_t power = 1;
  while (power < count) power *= 2;
  std::vector<int32_t> order;
  order.reserve(at(count));
  int32_t mirrored = 0;  // the bits of i, in reverse
  for (int32_t i = 0; i < power; ++i) {
    if (mirrored < count) order.push_back(mirrored);
    int32_t bit = power / 2;
    while (bit > 0 && (mirrored & bit) != 0) {
      mirrored ^= bit;
      bit /= 2;
    }
    mirrored |= bit;
  }
  return order;
}

std::vector<std::vector<int32_t>> split(std::span<const char> isFirst) {
  std::vector<std::vector<int32_t>> parts(2);
  for (size_t rank = 0; rank < isFirst.size(); ++rank) {
    parts[isFirst[rank] != 0 ? 0 : 1].push_back(static_cast<int32_t>(rank));
  }
  return parts;
}

// ---- Cuts between ranks -------------------------------------------------------------------------

namespace {

// The fabric's links turned around, then for each rank an arc from the source and one to the sink,
// which follow the nodes.
FlowNetwork<int64_t> cutNetwork(const Fabric& fabric) {
  auto pairs = reversed(fabric).links;
  for (int32_t rank = 0; rank < fabric.ranks; ++rank) {
    pairs.push_back({fabric.nodes, rank, FlowNetwork<int64_t>::kUnlimited, 0});
    pairs.push_back({rank, fabric.nodes + 1, 0, 0});
  }
  return FlowNetwork<int64_t>(fabric.nodes + 2, pairs);
}

}  // namespace

RankCuts::RankCuts(const Fabric& fabric)
    : nodes_(fabric.nodes),
      links_(static_cast<int32_t>(fabric.links.size())),
      network_(cutNetwork(fabric)) {}

void RankCuts::tie(int32_t rank, bool isInside) {
  constexpr int64_t kTied = FlowNetwork<int64_t>::kUnlimited;
  network_.setCapacity(links_ + 2 * rank, isInside ? 0 : kTied, 0);
  network_.setCapacity(links_ + 2 * rank + 1, isInside ? kTied : 0, 0);
}

int64_t RankCuts::leaving(std::span<const int32_t> ranks) {
  for (const int32_t rank : inside_) tie(rank, false);
  inside_.assign(ranks.begin(), ranks.end());
  for (const int32_t rank : inside_) tie(rank, true);
  return network_.maxFlow(nodes_, nodes_ + 1);
}

void RankCuts::setCapacity(int32_t link, int64_t forward, int64_t backward) {
  network_.setCapacity(link, backward, forward);
}

}  // namespace tutti::plan
