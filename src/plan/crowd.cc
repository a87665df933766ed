#include "src/plan/crowd.h"

#include <algorithm>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "src/plan/index.h"

namespace tutti::plan {
namespace {

constexpr int32_t kFree = 4;
constexpr int32_t kMost = 16;
constexpr int64_t kPermilleEach = 20;
// A link that is used to nine tenths of the fullest fills whenever that has a gap.
constexpr int64_t kNearlyFull = 900;

// What is under way at one time.
class Streams {
 public:
  explicit Streams(const topology::Topology& topology) : topology_(topology) {}

  void add(ir::Rank from, ir::Rank to, std::span<const topology::LinkIndex> links) {
    for (const topology::LinkIndex link : links) {
      if (topology_.links[at(link)].kind != topology::LinkKind::kNetwork) continue;
      streams_.emplace_back(link, from, to);
    }
  }

  int32_t mostOf(const Load& load) {
    std::sort(streams_.begin(), streams_.end());
    streams_.erase(std::unique(streams_.begin(), streams_.end()), streams_.end());
    std::vector<int32_t> counts(topology_.links.size());
    for (const auto& [link, from, to] : streams_) ++counts[at(link)];
    const Rational rate = rateOf(topology_, load);
    int32_t most = 0;
    for (size_t link = 0; link < counts.size(); ++link) {
      if (counts[link] > most && isNearlyFull(link, load, rate)) most = counts[link];
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
  std::vector<std::tuple<topology::LinkIndex, ir::Rank, ir::Rank>> streams_;
};

}  // namespace

int32_t crowdOf(const topology::Topology& topology, topology::RouteTable& routes,
                const Traffic& traffic) {
  int32_t most = 0;
  for (size_t i = 0; i < traffic.messages.size();) {
    const int32_t phase = traffic.messages[i].phase;
    Streams streams(topology);
    Load load{std::vector<int64_t>(topology.links.size()), {}, traffic.shares};
    for (; i < traffic.messages.size() && traffic.messages[i].phase == phase; ++i) {
      const Message& message = traffic.messages[i];
      const auto links = routes.find(message.from, message.to, 0, 0);
      if (!links.isOk()) continue;
      for (const topology::LinkIndex link : *links) load.links[at(link)] += message.share;
      streams.add(message.from, message.to, *links);
    }
    chargeResources(topology, load);
    most = std::max(most, streams.mostOf(load));
  }
  return most;
}

int32_t crowdOf(const topology::Topology& topology, const Packing& packing) {
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

Rational crowded(const Rational& rate, int32_t crowd) {
  if (rate.isUnlimited() || rate.num == 0) return rate;
  const int64_t lost = kPermilleEach * std::clamp(crowd - kFree, 0, kMost - kFree);
  return makeRational(Int128{rate.num} * (1000 - lost), Int128{rate.den} * 1000);
}

}  // namespace tutti::plan
