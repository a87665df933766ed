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

int64_t rateOfFlow(uint64_t bytes, int64_t ns) {
  return static_cast<int64_t>(bytes) * 1'000'000 / std::max<int64_t>(1, ns);
}

// What was seen of one link.
struct Use {
  uint64_t bytes = 0;
  int64_t longestNs = 0;  // of any flow: at most so long was it the link that they waited for
  int64_t fastest = 0;    // of any flow with enough bytes
  int64_t carried = 0;    // kB/s, at least as much as it was
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
      for (const LinkIndex link : links) {
        Use& use = useOf(link);
        use.bytes += flow.bytes;
        use.longestNs = std::max(use.longestNs, flow.ns);
        if (flow.bytes < kEnoughBytes) continue;
        use.fastest = std::max(use.fastest, rateOfFlow(flow.bytes, flow.ns));
      }
      ways_.emplace_back(flow.ns, std::move(links));
    }
    for (Use& use : uses_) {
      use.carried = std::max(use.fastest, rateOfFlow(use.bytes, use.longestNs));
    }
    return {};
  }

  std::vector<LinkChange> slow() {
    std::erase_if(ways_, [&](const auto& way) {
      const bool isExplained =
          std::any_of(way.second.begin(), way.second.end(), [&](auto l) { return !isSlow(l); });
      return isExplained || way.first < observed_.leastNs;
    });
    std::vector<LinkChange> changes;
    while (!ways_.empty()) {
      const std::vector<LinkIndex> guilty = worstCables();
      for (const LinkIndex link : guilty) changes.push_back({link, useOf(link).carried});
      std::erase_if(ways_, [&](const auto& way) {
        return std::any_of(way.second.begin(), way.second.end(), [&](LinkIndex link) {
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
      const int64_t seen = std::min(uses_[i].fastest, before);
      if (capacity >= before || capacity * 1000 >= seen * observed_.permille) continue;
      const bool isAllBack = seen * 1000 >= before * observed_.permille;
      changes.push_back({static_cast<LinkIndex>(i), isAllBack ? before : seen});
    }
    return changes;
  }

 private:
  using Cable = std::pair<NodeIndex, NodeIndex>;
  struct Charge {
    int64_t heldUpNs = 0;
    int64_t worst = 1000;  // thousandths of its capacity that one of its links carried
    std::vector<LinkIndex> links;
    bool isBefore(const Charge& other) const {
      return heldUpNs != other.heldUpNs ? heldUpNs > other.heldUpNs : worst < other.worst;
    }
  };

  Use& useOf(LinkIndex link) { return uses_[static_cast<size_t>(link)]; }
  int64_t partOf(LinkIndex link) const {
    const auto at = static_cast<size_t>(link);
    return uses_[at].carried * 1000 / now_.links[at].capacity;
  }
  bool isSlow(LinkIndex link) const { return partOf(link) < observed_.permille; }

  // What every link on the way of a flow that is left has against it; several where nothing tells
  // the worst ones apart.
  std::vector<LinkIndex> worstCables() const {
    std::map<Cable, Charge> charges;
    for (const auto& [ns, links] : ways_) {
      for (const LinkIndex link : links) {
        const Link& at = now_.links[static_cast<size_t>(link)];
        Charge& charge = charges[std::minmax(at.from, at.to)];
        charge.heldUpNs += ns;
        charge.worst = std::min(charge.worst, partOf(link));
        if (std::find(charge.links.begin(), charge.links.end(), link) == charge.links.end()) {
          charge.links.push_back(link);
        }
      }
    }
    const Charge* worst = nullptr;
    for (const auto& [cable, charge] : charges) {
      if (worst == nullptr || charge.isBefore(*worst)) worst = &charge;
    }
    std::vector<LinkIndex> guilty;
    for (const auto& [cable, charge] : charges) {
      if (!worst->isBefore(charge)) {
        guilty.insert(guilty.end(), charge.links.begin(), charge.links.end());
      }
    }
    return guilty;
  }

  const Topology& now_;
  const Observed observed_;
  std::vector<Use> uses_;  // by link
  std::vector<std::pair<int64_t, std::vector<LinkIndex>>> ways_;
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
