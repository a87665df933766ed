#include "src/plan/crowd.h"

#include <algorithm>
#include <compare>
#include <span>
#include <vector>

#include "src/plan/index.h"

namespace tutti::plan {
namespace {

constexpr int32_t kFree = 4;
constexpr int32_t kMost = 16;
constexpr int64_t kPermilleEach = 20;
constexpr int64_t kPermilleUnheld = 10;
// A link that is used to nine tenths of the fullest fills whenever that has a gap.
constexpr int64_t kNearlyFull = 900;

// A stream on a link of its way.
struct Hop {
  ir::Rank from;
  ir::Rank to;
  topology::LinkIndex link;
  auto operator<=>(const Hop&) const = default;
};

// What is under way at one time.
class Streams {
 public:
  explicit Streams(const topology::Topology& topology) : topology_(topology) {}

  void add(ir::Rank from, ir::Rank to, std::span<const topology::LinkIndex> links) {
    for (const topology::LinkIndex link : links) {
      if (topology_.links[at(link)].kind != topology::LinkKind::kNetwork) continue;
      hops_.push_back({from, to, link});
    }
  }

  Crowd mostOf(const Load& load) {
    const Rational rate = rateOf(topology_, load);
    std::erase_if(hops_, [&](const Hop& hop) { return !isNearlyFull(at(hop.link), load, rate); });
    std::sort(hops_.begin(), hops_.end());
    hops_.erase(std::unique(hops_.begin(), hops_.end()), hops_.end());
    std::vector<Crowd> crowds(topology_.links.size());
    for (auto hop = hops_.begin(); hop != hops_.end();) {
      const auto isOther = [&](const Hop& each) {
        return each.from != hop->from || each.to != hop->to;
      };
      const auto end = std::find_if(hop, hops_.end(), isOther);
      const int32_t unheld = end - hop == 1 ? 1 : 0;
      for (; hop != end; ++hop) {
        ++crowds[at(hop->link)].streams;
        crowds[at(hop->link)].unheld += unheld;
      }
    }
    Crowd most;
    for (const Crowd& each : crowds) {
      most.streams = std::max(most.streams, each.streams);
      most.unheld = std::max(most.unheld, each.unheld);
    }
    return most;
  }

 private:
  bool isNearlyFull(size_t link, const Load& load, const Rational& rate) const {
    if (load.links[link] == 0 || rate.isUnlimited()) return false;
    const Rational own =
        makeRational(Int128{topology_.links[link].capacity} * load.total, load.links[link]);
    return own <= makeRational(Int128{rate.num} * 1000, Int128{rate.den} * kNearlyFull);
  }

  const topology::Topology& topology_;
  std::vector<Hop> hops_;
};

}  // namespace

Crowd crowdOf(const topology::Topology& topology, topology::RouteTable& routes,
              const Traffic& traffic) {
  Streams streams(topology);
  Load load{std::vector<int64_t>(topology.links.size()), {}, traffic.shares};
  for (const Message& message : traffic.messages) {
    const auto links = routes.find(message.from, message.to, 0, 0);
    if (!links.isOk()) continue;
    for (const topology::LinkIndex link : *links) load.links[at(link)] += message.share;
    streams.add(message.from, message.to, *links);
  }
  chargeResources(topology, load);
  return streams.mostOf(load);
}

Crowd crowdOf(const topology::Topology& topology, const Packing& packing) {
  Streams streams(topology);
  for (const RoutedTree& routed : packing.trees) {
    const auto& parents = routed.tree.parents;
    for (size_t rank = 0; rank < parents.size(); ++rank) {
      const auto own = static_cast<ir::Rank>(rank);
      streams.add(parents[rank], own, routed.down[rank]);
      streams.add(own, parents[rank], routed.up[rank]);
    }
  }
  return streams.mostOf(loadOf(topology, packing));
}

Rational crowded(const Rational& rate, const Crowd& crowd) {
  if (rate.isUnlimited() || rate.num == 0) return rate;
  const int64_t lost = std::max(kPermilleEach * std::clamp(crowd.streams - kFree, 0, kMost - kFree),
                                kPermilleUnheld * std::clamp(crowd.unheld - 1, 0, kMost - 1));
  return makeRational(Int128{rate.num} * (1000 - lost), Int128{rate.den} * 1000);
}

}  // namespace tutti::plan
