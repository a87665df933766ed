#include <algorithm>

#include "src/plan/bound_limits.h"
#include "src/plan/index.h"

namespace tutti::plan {
namespace {

using topology::LinkIndex;
using topology::Topology;

// From what ranks send (the source, after the nodes) to what they receive (the sink, after it).
FlowNetwork<int64_t> throughputNetwork(const Fabric& fabric) {
  const int32_t source = fabric.nodes;
  const int32_t sink = fabric.nodes + 1;
  std::vector<ArcPair<int64_t>> pairs;
  for (const auto& link : fabric.links) {
    // from < to: a rank never comes second to a forwarder.
    if (link.to < fabric.ranks) {
      pairs.push_back({source, sink, link.forward + link.backward, 0});
    } else if (link.from < fabric.ranks) {
      pairs.push_back({source, link.to, link.forward, 0});
      pairs.push_back({link.to, sink, link.backward, 0});
    } else {
      pairs.push_back(link);
    }
  }
  return FlowNetwork<int64_t>(fabric.nodes + 2, pairs);
}

// Marks links of a topology by the sides that their ends are on.
class Marker {
 public:
  explicit Marker(const Topology& topology)
      : topology_(topology), fabric_(makeFabric(topology)), isMarked_(topology.links.size(), 0) {}

  const Fabric& fabric() const { return fabric_; }

  template <typename IsFrom, typename IsTo>
  void mark(const IsFrom& isFrom, const IsTo& isTo) {
    for (size_t i = 0; i < topology_.links.size(); ++i) {
      const topology::Link& link = topology_.links[i];
      if (isFrom(fabric_.place[at(link.from)]) && isTo(fabric_.place[at(link.to)])) {
        isMarked_[i] = 1;
      }
    }
  }

  // The links that leave the smallest surroundings of `ranks` through which no more can leave; or
  // that enter, for what can enter.
  void markAround(RankCuts& cuts, std::span<const int32_t> ranks, bool isLeaving, bool isEntering) {
    cuts.leaving(ranks);
    const auto isInside = [&](int32_t node) { return cuts.isInside(node); };
    const auto isOutside = [&](int32_t node) { return !cuts.isInside(node); };
    if (isLeaving) mark(isInside, isOutside);
    if (isEntering) mark(isOutside, isInside);
  }

  std::vector<LinkIndex> marked() const {
    std::vector<LinkIndex> links;
    for (size_t i = 0; i < isMarked_.size(); ++i) {
      if (isMarked_[i] != 0) links.push_back(static_cast<LinkIndex>(i));
    }
    return links;
  }

 private:
  const Topology& topology_;
  Fabric fabric_;
  std::vector<char> isMarked_;
};

// Of several least cuts the one nearest to the larger part: the last that the smaller one meets on
// its way out, which is more likely to be a network than a device's own link.
void markBetween(Marker& marker, const Limit& limit, bool isBothWays) {
  const bool isFirstLarger = limit.parts[0].size() >= limit.parts[1].size();
  RankCuts cuts(isFirstLarger ? marker.fabric() : reversed(marker.fabric()));
  marker.markAround(cuts, limit.parts[isFirstLarger ? 0 : 1], isFirstLarger || isBothWays,
                    !isFirstLarger || isBothWays);
}

void markParts(Marker& marker, const Limit& limit) {
  const bool isEntering = limit.kind == Limit::Kind::kEntering;
  RankCuts cuts(isEntering ? reversed(marker.fabric()) : marker.fabric());
  for (const auto& part : limit.parts) marker.markAround(cuts, part, !isEntering, isEntering);
}

void markThroughput(Marker& marker) {
  const Fabric& fabric = marker.fabric();
  auto network = throughputNetwork(fabric);
  network.maxFlow(fabric.nodes, fabric.nodes + 1);
  marker.mark([&](int32_t node) { return node < fabric.ranks || !network.reachesSink(node); },
              [&](int32_t node) { return node < fabric.ranks || network.reachesSink(node); });
}

}  // namespace

Limit throughputLimit(const Fabric& fabric, int times) {
  Limit limit{.kind = Limit::Kind::kThroughput};
  const Int128 most = throughputNetwork(fabric).maxFlow(fabric.nodes, fabric.nodes + 1);
  limit.value = makeRational(most, static_cast<Int128>(times) * (fabric.ranks - 1));
  for (int32_t rank = 0; rank < fabric.ranks; ++rank) limit.parts.push_back({rank});
  return limit;
}

Limit exchangeLimit(const Fabric& fabric, std::span<const std::vector<int32_t>> sets) {
  Limit limit;
  std::vector<char> isFirst(at(fabric.ranks), 0);
  RankCuts outward(fabric);
  RankCuts inward(reversed(fabric));
  for (const auto& set : sets) {
    const Int128 inside = static_cast<Int128>(set.size());
    for (const bool isOut : {true, false}) {
      const Int128 cut = (isOut ? outward : inward).leaving(set);
      const Rational value =
          makeRational(cut * fabric.ranks, inside * (static_cast<Int128>(fabric.ranks) - inside));
      if (value >= limit.value) continue;
      std::fill(isFirst.begin(), isFirst.end(), isOut ? 0 : 1);
      for (const int32_t rank : set) isFirst[at(rank)] = isOut ? 1 : 0;
      limit = {.value = value, .parts = split(isFirst)};
    }
  }
  return limit;
}

std::vector<LinkIndex> limitingLinks(const Topology& topology, const Limit& limit) {
  Marker marker(topology);
  const bool isBothWays =
      limit.kind != Limit::Kind::kCut && limit.parts.size() == 2 && isSymmetric(marker.fabric());
  if (limit.kind == Limit::Kind::kThroughput) {
    markThroughput(marker);
  } else if (limit.kind == Limit::Kind::kCut || isBothWays) {
    markBetween(marker, limit, isBothWays);
  } else {
    markParts(marker, limit);
  }
  return marker.marked();
}

}  // namespace tutti::plan
