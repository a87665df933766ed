#include "src/plan/ring_order.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <tuple>

#include "src/plan/rational.h"
#include "src/plan/routed.h"

namespace tutti::plan {
namespace {

using ir::Rank;

// Loads of rings on one fabric; remembers the routes of pairs that were asked for.
class Rings {
 public:
  Rings(const topology::Topology& topology, topology::RouteTable& routes)
      : topology_(topology), routes_(routes), size_(topology.ranks().size()) {
    paths_.resize(size_ * size_);
    isKnown_.resize(size_ * size_);
    load_.links.resize(topology.links.size());
    load_.total = 1;
  }

  size_t size() const { return size_; }

  base::Result<const std::vector<topology::LinkIndex>*> path(Rank from, Rank to) {
    const size_t index = static_cast<size_t>(from) * size_ + static_cast<size_t>(to);
    if (!isKnown_[index]) {
      TUTTI_ASSIGN_OR_RETURN(paths_[index], routes_.find(from, to, 0, 0));
      isKnown_[index] = true;
    }
    return &paths_[index];
  }

  // Of a vector that goes around once.
  base::Result<Rational> rate(const std::vector<Rank>& order) {
    std::fill(load_.links.begin(), load_.links.end(), 0);
    for (size_t place = 0; place < order.size(); ++place) {
      TUTTI_ASSIGN_OR_RETURN(const auto* links,
                             path(order[place], order[(place + 1) % order.size()]));
      for (const topology::LinkIndex link : *links) ++load_.links[static_cast<size_t>(link)];
    }
    chargeResources(topology_, load_);
    return rateOf(topology_, load_);
  }

  // Nearer: fewer links on the way, then a wider one, then the smaller number.
  base::Result<Rank> nearest(Rank from, const std::vector<bool>& isTaken) {
    Rank best = -1;
    std::tuple<size_t, int64_t> least;
    for (Rank to = 0; static_cast<size_t>(to) < size_; ++to) {
      if (isTaken[static_cast<size_t>(to)]) continue;
      TUTTI_ASSIGN_OR_RETURN(const auto* links, path(from, to));
      int64_t width = INT64_MAX;
      for (const topology::LinkIndex link : *links) {
        width = std::min(width, topology_.links[static_cast<size_t>(link)].capacity);
      }
      const std::tuple<size_t, int64_t> distance = {links->size(), -width};
      if (best < 0 || distance < least) std::tie(best, least) = std::tuple(to, distance);
    }
    return best;
  }

 private:
  const topology::Topology& topology_;
  topology::RouteTable& routes_;
  size_t size_;
  std::vector<std::vector<topology::LinkIndex>> paths_;
  std::vector<bool> isKnown_;
  Load load_;
};

base::Result<std::vector<Rank>> byNeighbours(Rings& rings, Rank first) {
  std::vector<Rank> order = {first};
  std::vector<bool> isTaken(rings.size());
  isTaken[static_cast<size_t>(first)] = true;
  while (order.size() < rings.size()) {
    TUTTI_ASSIGN_OR_RETURN(const Rank next, rings.nearest(order.back(), isTaken));
    isTaken[static_cast<size_t>(next)] = true;
    order.push_back(next);
  }
  return order;
}

base::Status improve(Rings& rings, std::vector<Rank>& order, Rational rate) {
  constexpr size_t kTries = 40'000;  // times ranks: a tenth of a second
  size_t left = kTries / order.size();
  bool isBetter = true;
  while (isBetter && left > 0) {
    isBetter = false;
    for (size_t begin = 1; begin + 1 < order.size() && left > 0; ++begin) {
      for (size_t end = begin + 2; end <= order.size() && left > 0; ++end, --left) {
        const auto from = order.begin() + static_cast<std::ptrdiff_t>(begin);
        const auto to = order.begin() + static_cast<std::ptrdiff_t>(end);
        std::reverse(from, to);
        TUTTI_ASSIGN_OR_RETURN(const Rational turned, rings.rate(order));
        if (turned > rate) {
          rate = turned;
          isBetter = true;
        } else {
          std::reverse(from, to);
        }
      }
    }
  }
  return {};
}

}  // namespace

base::Result<std::vector<Rank>> ringOrder(const topology::Topology& topology,
                                          topology::RouteTable& routes, ir::Rank first) {
  Rings rings(topology, routes);
  std::vector<Rank> order(rings.size());
  std::iota(order.begin(), order.end(), 0);
  std::rotate(order.begin(), order.begin() + first, order.end());
  if (order.size() < 3) return order;
  TUTTI_ASSIGN_OR_RETURN(Rational rate, rings.rate(order));
  constexpr size_t kMostForNeighbours = 512;  // looks at every pair
  if (order.size() <= kMostForNeighbours) {
    TUTTI_ASSIGN_OR_RETURN(auto other, byNeighbours(rings, first));
    TUTTI_ASSIGN_OR_RETURN(const Rational otherRate, rings.rate(other));
    if (otherRate > rate) {
      order = std::move(other);
      rate = otherRate;
    }
  }
  TUTTI_RETURN_IF_ERROR(improve(rings, order, rate));
  return order;
}

}  // namespace tutti::plan
