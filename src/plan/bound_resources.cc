#include <algorithm>
#include <map>
#include <set>

#include "src/plan/bound_limits.h"
#include "src/plan/index.h"

namespace tutti::plan {
namespace {

using topology::Resource;
using topology::Topology;

// Charges are counted up to this much per byte: the bound stays one, and products fit 128 bits.
constexpr int32_t kMostUnits = 16;

// A least charge for moving `need` wholes at rate P / Q over a set of links: need slope P / Q -
// offset.
struct Line {
  Int128 slope;
  Int128 offset;
};

using CapacityOfUnits = std::map<int32_t, Int128>;  // of links, by what they charge for a byte

// A set of ranks, with forwarders around them, and the links that cross its border.
struct Border {
  std::vector<int32_t> ranks;
  std::vector<char> isInside;  // of each node
  CapacityOfUnits out{{0, 0}};
  CapacityOfUnits in{{0, 0}};
  Crossing crossing;
};

// To move F over links with units u and capacities c costs at least a F - sum (a - u) c over the
// links with u < a, whatever a is; the best a are the units that occur.
std::vector<Line> chargeLines(const CapacityOfUnits& capacityOfUnits, int64_t need) {
  std::vector<Line> lines;
  for (const auto& [a, unused] : capacityOfUnits) {
    Int128 offset = 0;
    for (const auto& [units, capacity] : capacityOfUnits) {
      if (units < a) offset += (a - units) * capacity;
    }
    lines.push_back({static_cast<Int128>(a) * need, offset});
  }
  return lines;
}

// The greatest rate whose charges stay within `capacity`: Newton's method from above on a convex
// function, which is the sum of the greatest lines.
Rational greatestRate(std::span<const std::vector<Line>> sides, Int128 capacity, int64_t whole) {
  Int128 num = 1;
  Int128 den = 0;
  while (true) {
    Line sum{0, capacity};
    for (const auto& lines : sides) {
      const auto value = [&](const Line& line) {
        return line.slope * num - line.offset * whole * den;
      };
      const auto best =
          std::max_element(lines.begin(), lines.end(),
                           [&](const Line& a, const Line& b) { return value(a) < value(b); });
      sum.slope += best->slope;
      sum.offset += best->offset;
    }
    if (sum.slope * num <= sum.offset * whole * den) break;
    num = sum.offset * whole;
    den = sum.slope;
  }
  return den == 0 ? Rational::unlimited() : makeRational(num, den);
}

class ResourceSearch {
 public:
  ResourceSearch(const Topology& topology, const Fabric& fabric, const CrossingOf& crossingOf,
                 bool isAllReduce)
      : topology_(topology),
        fabric_(fabric),
        undirected_(bothWays(fabric)),
        cuts_(undirected_),
        crossingOf_(crossingOf),
        isAllReduce_(isAllReduce),
        unitsOf_(topology.links.size(), 0) {}

  void visit(const Resource& resource) {
    for (const topology::Charge& charge : resource.charges) {
      unitsOf_[at(charge.link)] = std::min(charge.units, kMostUnits);
    }
    setFree(resource, true);
    const auto sets = touched(resource);
    std::vector<Border> ranks;
    std::vector<Border> hosts;
    for (const auto& set : sets) {
      auto& borders = set.size() == 1 ? ranks : hosts;
      borders.push_back(borderOf(set));
      consider(resource, {&borders.back(), 1});
    }
    consider(resource, ranks);
    consider(resource, hosts);
    setFree(resource, false);
    for (const topology::Charge& charge : resource.charges) unitsOf_[at(charge.link)] = 0;
  }

  Limit limit() && { return std::move(limit_); }

 private:
  static Fabric bothWays(Fabric fabric) {
    for (auto& link : fabric.links) link.forward = link.backward = link.forward + link.backward;
    return fabric;
  }

  // Borders run where the resource is charged for as much as possible: cutting its links is free.
  void setFree(const Resource& resource, bool isFree) {
    for (const topology::Charge& charge : resource.charges) {
      const int32_t link = fabric_.linkOf[at(charge.link)];
      const int64_t capacity = topology_.links[at(charge.link)].capacity;
      int64_t& left = undirected_.links[at(link)].forward;
      left += isFree ? -capacity : capacity;
      cuts_.setCapacity(link, left, left);
    }
  }

  // Each rank at the ends of charged links or on their hosts, then the ranks of each of these
  // hosts.
  std::vector<std::vector<int32_t>> touched(const Resource& resource) const {
    std::set<int32_t> ranks;
    std::map<std::string, std::vector<int32_t>> hosts;
    for (const topology::Charge& charge : resource.charges) {
      const topology::Link& link = topology_.links[at(charge.link)];
      for (const int32_t node : {link.from, link.to}) {
        if (fabric_.place[at(node)] < fabric_.ranks) ranks.insert(fabric_.place[at(node)]);
        if (const auto& host = topology_.nodes[at(node)].host; !host.empty()) hosts[host];
      }
    }
    for (size_t node = 0; node < topology_.nodes.size(); ++node) {
      const auto host = hosts.find(topology_.nodes[node].host);
      if (fabric_.place[node] >= fabric_.ranks || host == hosts.end()) continue;
      host->second.push_back(fabric_.place[node]);
      ranks.insert(fabric_.place[node]);
    }
    std::vector<std::vector<int32_t>> sets;
    for (const int32_t rank : ranks) sets.push_back({rank});
    for (auto& [host, set] : hosts) {
      const auto size = static_cast<int32_t>(set.size());
      if (size > 1 && size < fabric_.ranks) sets.push_back(std::move(set));
    }
    return sets;
  }

  Border borderOf(const std::vector<int32_t>& ranks) {
    Border border{.ranks = ranks, .isInside = std::vector<char>(at(fabric_.nodes), 0)};
    border.crossing = crossingOf_(ranks);
    cuts_.leaving(ranks);
    for (int32_t node = 0; node < fabric_.nodes; ++node) {
      border.isInside[at(node)] = cuts_.isInside(node) ? 1 : 0;
    }
    for (size_t i = 0; i < topology_.links.size(); ++i) {
      const topology::Link& link = topology_.links[i];
      const bool isFrom = border.isInside[at(fabric_.place[at(link.from)])] != 0;
      const bool isTo = border.isInside[at(fabric_.place[at(link.to)])] != 0;
      if (isFrom != isTo) (isFrom ? border.out : border.in)[unitsOf_[i]] += link.capacity;
    }
    return border;
  }

  // All borders at once; those that overlap an earlier one are left out.
  void consider(const Resource& resource, std::span<const Border> borders) {
    std::vector<int32_t> owner(at(fabric_.nodes), -1);
    std::vector<const Border*> claimed;
    std::vector<char> isFirst(at(fabric_.ranks), 0);
    int32_t covered = 0;
    for (const Border& border : borders) {
      if (!claim(border, static_cast<int32_t>(claimed.size()), owner)) continue;
      claimed.push_back(&border);
      covered += static_cast<int32_t>(border.ranks.size());
      for (const int32_t rank : border.ranks) isFirst[at(rank)] = 1;
    }
    if (claimed.empty()) return;
    const Int128 capacity = counted(resource, owner);
    const int64_t whole = claimed[0]->crossing.whole;
    Rational value = greatestRate(sidesOf(claimed), capacity, whole);
    if (covered == fabric_.ranks) {
      value = std::min(value, greatestRate(pooledSidesOf(claimed), capacity, whole));
    }
    if (value >= limit_.value) return;
    limit_ = {.value = value,
              .kind = Limit::Kind::kResources,
              .parts = split(isFirst),
              .resources = {resource.id}};
  }

  static std::vector<std::vector<Line>> sidesOf(const std::vector<const Border*>& borders) {
    std::vector<std::vector<Line>> sides;
    for (const Border* border : borders) {
      sides.push_back(chargeLines(border->out, border->crossing.out));
      sides.push_back(chargeLines(border->in, border->crossing.in));
    }
    return sides;
  }

  // Where all ranks are within borders, what enters one has left another: as much leaves in all as
  // enters. Of all-reduce that is 2 (p - 1) times the vector (bound.h).
  std::vector<std::vector<Line>> pooledSidesOf(const std::vector<const Border*>& borders) const {
    CapacityOfUnits out;
    CapacityOfUnits in;
    Crossing sum{.whole = borders[0]->crossing.whole};
    for (const Border* border : borders) {
      for (const auto& [units, capacity] : border->out) out[units] += capacity;
      for (const auto& [units, capacity] : border->in) in[units] += capacity;
      sum.out += border->crossing.out;
      sum.in += border->crossing.in;
    }
    int64_t need = std::max(sum.out, sum.in);
    if (isAllReduce_) need = 2 * (static_cast<int64_t>(borders.size()) - 1) * sum.whole;
    return {chargeLines(out, need), chargeLines(in, need)};
  }

  // The resource's capacity; twice that if a charged link goes from one border to another and so is
  // counted twice.
  Int128 counted(const Resource& resource, const std::vector<int32_t>& owner) const {
    for (const topology::Charge& charge : resource.charges) {
      const topology::Link& link = topology_.links[at(charge.link)];
      const int32_t from = owner[at(fabric_.place[at(link.from)])];
      const int32_t to = owner[at(fabric_.place[at(link.to)])];
      if (from >= 0 && to >= 0 && from != to) return static_cast<Int128>(resource.capacity) * 2;
    }
    return resource.capacity;
  }

  static bool claim(const Border& border, int32_t index, std::vector<int32_t>& owner) {
    for (size_t node = 0; node < owner.size(); ++node) {
      if (border.isInside[node] != 0 && owner[node] >= 0) return false;
    }
    for (size_t node = 0; node < owner.size(); ++node) {
      if (border.isInside[node] != 0) owner[node] = index;
    }
    return true;
  }

  const Topology& topology_;
  const Fabric& fabric_;
  Fabric undirected_;  // what is left of each link where charged ones are free, in both directions
  RankCuts cuts_;
  const CrossingOf& crossingOf_;
  bool isAllReduce_;
  std::vector<int32_t> unitsOf_;  // of each link, what the resource at hand charges
  Limit limit_;
};

}  // namespace

Limit resourceLimit(const Topology& topology, const Fabric& fabric, const CrossingOf& crossingOf,
                    bool isAllReduce) {
  if (topology.resources.empty()) return {};
  ResourceSearch search(topology, fabric, crossingOf, isAllReduce);
  for (const Resource& resource : topology.resources) search.visit(resource);
  return std::move(search).limit();
}

Rational shrunkByResources(const Topology& topology, Rational rate) {
  Rational part{1, 1};
  for (const Resource& resource : topology.resources) {
    Int128 full = 0;
    for (const topology::Charge& charge : resource.charges) {
      full += static_cast<Int128>(charge.units) * topology.links[at(charge.link)].capacity;
    }
    if (full > resource.capacity) part = std::min(part, makeRational(resource.capacity, full));
  }
  if (part == Rational{1, 1}) return rate;
  return makeRational(static_cast<Int128>(rate.num) * part.num,
                      static_cast<Int128>(rate.den) * part.den);
}

}  // namespace tutti::plan
