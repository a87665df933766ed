#include "topology/observed.h"

#include <algorithm>
#include <map>
#include <utility>

#include "topology/rounding.h"
#include "topology/routes.h"

namespace tutti::topology {

namespace {

// That a link is fast, few messages prove; but not one or two, which may have passed in a burst.
constexpr uint64_t kEnoughBytes = 1 << 20;

// A way that is held up for no longer than one whose link is full waits for that one: chunks that
// are passed on come in the bursts in which the full link lets them through. Percent of the former.
constexpr int64_t kNoLonger = 85;

bool isAlike(int64_t ns, int64_t longestNs) { return 2 * ns >= longestNs; }

int64_t rateOfFlow(uint64_t bytes, int64_t ns) {
  return static_cast<int64_t>(bytes) * 1'000'000 / std::max<int64_t>(1, ns);
}

// What was seen of one link.
struct Use {
  std::vector<ObservedFlow> flows;
  int64_t longestNs = 0;
  int64_t carried = 0;  // kB/s, by all flows together

  void add(const ObservedFlow& flow) {
    flows.push_back(flow);
    longestNs = std::max(longestNs, flow.ns);
  }
  // Of any flow that shows it.
  int64_t fastest() const {
    int64_t most = 0;
    for (const ObservedFlow& flow : flows) {
      if (flow.bytes >= kEnoughBytes) most = std::max(most, rateOfFlow(flow.bytes, flow.ns));
    }
    return most;
  }
  // All flows together. Those that waited for about as long are taken to have done so at the same
  // time.
  int64_t sum() const {
    int64_t sum = 0;
    for (const ObservedFlow& flow : flows) {
      sum += rateOfFlow(flow.bytes, isAlike(flow.ns, longestNs) ? flow.ns : longestNs);
    }
    return sum;
  }
};

class Blame {
 public:
  Blame(const Topology& now, const Observed& observed)
      : now_(now), observed_(observed), uses_(now.links.size()) {}

  base::Status addFlows(const std::vector<ObservedFlow>& flows) {
    TUTTI_ASSIGN_OR_RETURN(RouteTable routes, RouteTable::make(now_));
    for (const ObservedFlow& flow : flows) {
      if (flow.bytes == 0 || flow.ns <= 0) continue;
      TUTTI_ASSIGN_OR_RETURN(auto links, routes.find(flow.from, flow.to, 0, 0));
      for (const LinkIndex link : links) useOf(link).add(flow);
      ways_.push_back({flow.ns, std::move(links)});
      longestNs_ = std::max(longestNs_, flow.ns);
    }
    for (Use& use : uses_) use.carried = use.sum();
    return {};
  }

  std::vector<LinkChange> slow() {
    const auto isExplained = [&](const Way& way) {
      return std::any_of(way.links.begin(), way.links.end(), [&](auto l) { return isFull(l); });
    };
    int64_t fullNs = 0;
    for (const Way& way : ways_) {
      if (isExplained(way)) fullNs = std::max(fullNs, way.ns);
    }
    std::erase_if(ways_, [&](const Way& way) {
      // What is held up less is so because of the others.
      const bool isLonger = fullNs * 100 < way.ns * kNoLonger && isAlike(way.ns, longestNs_);
      return !isLonger || way.ns < observed_.leastNs || isExplained(way);
    });
    std::vector<LinkChange> changes;
    for (auto guilty = worstCables(); !guilty.empty(); guilty = worstCables()) {
      for (const LinkIndex link : guilty) changes.push_back({link, useOf(link).carried});
      std::erase_if(ways_, [&](const Way& way) {
        return std::any_of(way.links.begin(), way.links.end(), [&](LinkIndex link) {
          return std::find(guilty.begin(), guilty.end(), link) != guilty.end();
        });
      });
    }
    return changes;
  }

  std::vector<LinkChange> recovered(const Topology& planned) const {
    std::vector<LinkChange> changes;
    for (size_t i = 0; i < uses_.size(); ++i) {
      const int64_t capacity = now_.links[i].capacity;
      const int64_t before = planned.links[i].capacity;
      const bool isFaster = isFasterThan(capacity, uses_[i].fastest());
      if (capacity < before && isFaster) changes.push_back({static_cast<LinkIndex>(i), before});
    }
    return changes;
  }

 private:
  using Cable = std::pair<NodeIndex, NodeIndex>;
  struct Way {
    int64_t ns = 0;  // that its flow was queued
    std::vector<LinkIndex> links;
  };
  struct Charge {
    int64_t heldUpNs = 0;
    int64_t part = 0;  // thousandths of its capacity that the better of its links carried
    std::vector<LinkIndex> links;
  };

  Use& useOf(LinkIndex link) { return uses_[static_cast<size_t>(link)]; }
  int64_t partOf(LinkIndex link) const {
    const auto at = static_cast<size_t>(link);
    return uses_[at].carried * 1000 / now_.links[at].capacity;
  }
  bool isFull(LinkIndex link) const { return partOf(link) >= observed_.permille; }
  // One flow was as fast as it should be.
  bool isCleared(LinkIndex link) const {
    const auto at = static_cast<size_t>(link);
    return uses_[at].fastest() * 1000 >= now_.links[at].capacity * observed_.permille;
  }

  std::map<Cable, Charge> charges() const {
    std::map<Cable, Charge> charges;
    for (const auto& [ns, links] : ways_) {
      for (const LinkIndex link : links) {
        if (isCleared(link)) continue;
        const Link& at = now_.links[static_cast<size_t>(link)];
        Charge& charge = charges[std::minmax(at.from, at.to)];
        charge.heldUpNs += ns;
        charge.part = std::max(charge.part, partOf(link));
        if (std::find(charge.links.begin(), charge.links.end(), link) == charge.links.end()) {
          charge.links.push_back(link);
        }
      }
    }
    return charges;
  }

  // The links of the cable that holds up most, of several the one that has to have lost least; of
  // all that nothing tells apart.
  std::vector<LinkIndex> worstCables() const {
    const auto all = charges();
    int64_t mostNs = 0;
    for (const auto& [cable, charge] : all) mostNs = std::max(mostNs, charge.heldUpNs);
    int64_t most = 0;
    const auto isFirst = [&](const Charge& charge) { return charge.heldUpNs * 10 >= mostNs * 9; };
    for (const auto& [cable, charge] : all) {
      if (isFirst(charge)) most = std::max(most, charge.part);
    }
    std::vector<LinkIndex> guilty;
    for (const auto& [cable, charge] : all) {
      if (!isFirst(charge) || charge.part * 10 < most * 9) continue;
      guilty.insert(guilty.end(), charge.links.begin(), charge.links.end());
    }
    return guilty;
  }

  const Topology& now_;
  const Observed observed_;
  std::vector<Use> uses_;  // by link
  int64_t longestNs_ = 0;  // that any flow was queued
  std::vector<Way> ways_;
};

}  // namespace

base::Result<std::vector<LinkChange>> slowLinks(const Topology& now, const Topology& planned,
                                                const std::vector<ObservedFlow>& flows,
                                                const Observed& observed) {
  Blame blame(now, observed);
  TUTTI_RETURN_IF_ERROR(blame.addFlows(flows));
  std::vector<LinkChange> changes = blame.recovered(planned);
  Rounding rounding;
  const std::vector<LinkChange> slow = blame.slow();
  for (const LinkChange& each : slow) rounding.add(std::max<int64_t>(1, each.capacity));
  rounding.settle();
  for (const LinkChange& each : slow) {
    changes.push_back({each.link, rounding(std::max<int64_t>(1, each.capacity))});
  }
  return changes;
}

Topology changed(Topology topology, const std::vector<LinkChange>& changes) {
  for (const LinkChange& change : changes) {
    Link& link = topology.links[static_cast<size_t>(change.link)];
    link.capacity = change.capacity;
    link.provenance = Provenance::kMeasured;
  }
  return topology;
}

}  // namespace tutti::topology
