#include "topology/measured.h"

#include <fmt/format.h>

#include <algorithm>

#include "topology/rounding.h"

namespace tutti::topology {
namespace {

// Thousandths. A pair that is slower than this part of what both hosts reach elsewhere is limited
// by something between them.
constexpr int64_t kNearlyAll = 700;
// Lines are apart if using all at a time gives each this part of what it has alone. Behind a common
// line it is half or less for the host whose line is the slowest.
constexpr int64_t kIndependent = 700;
// Two measurements of one line.
constexpr int64_t kAlike = 900;

bool isAtLeast(int64_t value, int64_t permille, int64_t of) {
  return value * 1000 >= of * permille;  // below 2^63: see kMostCapacity
}

int64_t fastest(const MeasuredHosts& hosts, int host, bool isOut) {
  int64_t most = 0;
  for (int other = 0; other < hosts.size(); ++other) {
    if (other == host) continue;
    most = std::max(most,
                    isOut ? hosts.at(hosts.pair, host, other) : hosts.at(hosts.pair, other, host));
  }
  return most;
}

bool areNear(const MeasuredHosts& hosts, int a, int b) {
  const auto isFast = [&](int from, int to) {
    const int64_t own = std::min(fastest(hosts, from, true), fastest(hosts, to, false));
    return isAtLeast(hosts.at(hosts.pair, from, to), kNearlyAll, own);
  };
  return isFast(a, b) && isFast(b, a);
}

constexpr int64_t kMicrosecond = 1000;

// Collects lines first, so that their rates can be rounded together.
class FabricBuilder {
 public:
  explicit FabricBuilder(const MeasuredHosts& hosts) : hosts_(hosts) {}

  void addHosts(int64_t hostCapacity) {
    std::vector<std::vector<int>> ranks(hosts_.names.size());
    for (size_t rank = 0; rank < hosts_.hostOfRank.size(); ++rank) {
      ranks[static_cast<size_t>(hosts_.hostOfRank[rank])].push_back(static_cast<int>(rank));
    }
    std::vector<NodeIndex> rankNodes;
    for (size_t rank = 0; rank < hosts_.hostOfRank.size(); ++rank) {
      const auto host = static_cast<size_t>(hosts_.hostOfRank[rank]);
      Node node{fmt::format("r{}", rank), NodeKind::kRank};
      node.host = hosts_.names[host];
      rankNodes.push_back(topology_.addNode(std::move(node)));
    }
    for (size_t host = 0; host < ranks.size(); ++host) {
      if (ranks[host].size() == 1) {
        entries_.push_back(rankNodes[static_cast<size_t>(ranks[host][0])]);
        continue;
      }
      Node node{fmt::format("host{}", host), NodeKind::kHost};
      node.host = hosts_.names[host];
      entries_.push_back(topology_.addNode(std::move(node)));
      for (const int rank : ranks[host]) {
        topology_.addDuplex({rankNodes[static_cast<size_t>(rank)], entries_.back(), hostCapacity,
                             300, LinkKind::kSocket, Provenance::kTable});
      }
    }
  }

  NodeIndex entry(int host) const { return entries_[static_cast<size_t>(host)]; }
  NodeIndex addSwitch(std::string id) {
    return topology_.addNode({std::move(id), NodeKind::kSwitch});
  }
  void addLine(NodeIndex from, NodeIndex to, int64_t rate, int64_t latencyNs) {
    const int64_t capacity = std::clamp<int64_t>(rate, 1, kMostCapacity);
    rounding_.add(capacity);
    topology_.addLink({from, to, capacity, std::clamp<int64_t>(latencyNs, 0, kMostLatencyNs),
                       LinkKind::kNetwork, Provenance::kMeasured});
  }

  Topology finish() {
    rounding_.settle();
    for (Link& link : topology_.links) {
      if (link.kind != LinkKind::kNetwork) continue;
      link.capacity = std::min(kMostCapacity, rounding_(link.capacity));
      link.latencyNs = link.latencyNs / kMicrosecond * kMicrosecond;
    }
    topology_.name = "measured";
    return std::move(topology_);
  }

 private:
  const MeasuredHosts& hosts_;
  Topology topology_;
  std::vector<NodeIndex> entries_;  // by host: what its lines leave from
  Rounding rounding_;
};

void addMesh(const MeasuredHosts& hosts, FabricBuilder& builder) {
  for (int from = 0; from < hosts.size(); ++from) {
    for (int to = 0; to < hosts.size(); ++to) {
      if (from == to) continue;
      builder.addLine(builder.entry(from), builder.entry(to), hosts.at(hosts.pair, from, to),
                      hosts.at(hosts.latencyNs, from, to));
    }
  }
}

// The latency between two lists of hosts: the least of any pair.
int64_t leastLatency(const MeasuredHosts& hosts, const std::vector<int>& from,
                     const std::vector<int>& to) {
  int64_t least = kMostLatencyNs;
  for (const int a : from) {
    for (const int b : to) {
      if (a != b) least = std::min(least, hosts.at(hosts.latencyNs, a, b));
    }
  }
  return least == kMostLatencyNs ? 0 : least;
}

NodeIndex addIsland(const MeasuredHosts& hosts, const std::vector<int>& members,
                    const std::string& id, FabricBuilder& builder) {
  if (members.size() == 1) return builder.entry(members[0]);
  const NodeIndex node = builder.addSwitch(id);
  const int64_t latencyNs = leastLatency(hosts, members, members) / 2;
  for (const int host : members) {
    builder.addLine(builder.entry(host), node, lineOf(hosts, host, true), latencyNs);
    builder.addLine(node, builder.entry(host), lineOf(hosts, host, false), latencyNs);
  }
  return node;
}

int64_t sumOf(const MeasuredIslands& islands, size_t from) {
  int64_t sum = 0;
  for (size_t to = 0; to < islands.islands.size(); ++to) {
    if (to != from) sum += islands.between[from * islands.islands.size() + to];
  }
  return sum;
}

bool areJoinedPairwise(const MeasuredIslands& islands) {
  for (size_t from = 0; from < islands.islands.size(); ++from) {
    if (!isAtLeast(islands.out[from], kIndependent, sumOf(islands, from))) return false;
  }
  return true;
}

void addBetween(const MeasuredHosts& hosts, const MeasuredIslands& islands,
                const std::vector<NodeIndex>& nodes, FabricBuilder& builder) {
  const size_t count = nodes.size();
  if (count == 2 || areJoinedPairwise(islands)) {
    for (size_t from = 0; from < count; ++from) {
      for (size_t to = 0; to < count; ++to) {
        if (from == to) continue;
        builder.addLine(nodes[from], nodes[to], islands.between[from * count + to],
                        leastLatency(hosts, islands.islands[from], islands.islands[to]));
      }
    }
    return;
  }
  const NodeIndex core = builder.addSwitch("core");
  for (size_t i = 0; i < count; ++i) {
    int64_t latencyNs = kMostLatencyNs;
    for (size_t other = 0; other < count; ++other) {
      if (other == i) continue;
      latencyNs =
          std::min(latencyNs, leastLatency(hosts, islands.islands[i], islands.islands[other]));
    }
    builder.addLine(nodes[i], core, islands.out[i], latencyNs / 2);
    builder.addLine(core, nodes[i], islands.in[i], latencyNs / 2);
  }
}

}  // namespace

int64_t lineOf(const MeasuredHosts& hosts, int host, bool isOut) {
  const int64_t all = (isOut ? hosts.out : hosts.in)[static_cast<size_t>(host)];
  const int64_t most = std::max(all, fastest(hosts, host, isOut));
  // The mean of all that measured nearly that: the fastest of many is above it by the noise.
  int64_t sum = 0;
  int64_t count = 0;
  const auto take = [&](int64_t rate) {
    if (!isAtLeast(rate, kAlike, most)) return;
    sum += rate;
    ++count;
  };
  take(all);
  for (int other = 0; other < hosts.size(); ++other) {
    if (other == host) continue;
    take(isOut ? hosts.at(hosts.pair, host, other) : hosts.at(hosts.pair, other, host));
  }
  return sum / count;
}

std::vector<std::vector<int>> measuredIslands(const MeasuredHosts& hosts) {
  std::vector<int> islandOf(hosts.names.size(), -1);
  std::vector<std::vector<int>> islands;
  for (int first = 0; first < hosts.size(); ++first) {
    if (islandOf[static_cast<size_t>(first)] >= 0) continue;
    const int island = static_cast<int>(islands.size());
    std::vector<int> members = {first};
    islandOf[static_cast<size_t>(first)] = island;
    for (size_t i = 0; i < members.size(); ++i) {
      for (int other = 0; other < hosts.size(); ++other) {
        if (islandOf[static_cast<size_t>(other)] >= 0 || !areNear(hosts, members[i], other)) {
          continue;
        }
        islandOf[static_cast<size_t>(other)] = island;
        members.push_back(other);
      }
    }
    std::sort(members.begin(), members.end());
    islands.push_back(std::move(members));
  }
  return islands;
}

bool isMesh(const MeasuredHosts& hosts) {
  return hosts.size() < 3 || std::all_of(hosts.kept.begin(), hosts.kept.end(),
                                         [](int64_t kept) { return kept >= kIndependent; });
}

Topology toTopology(const MeasuredHosts& hosts, const MeasuredIslands& islands,
                    int64_t hostCapacity) {
  FabricBuilder builder(hosts);
  builder.addHosts(hostCapacity);
  if (isMesh(hosts)) {
    addMesh(hosts, builder);
    return builder.finish();
  }
  std::vector<NodeIndex> nodes;
  for (const auto& members : islands.islands) {
    nodes.push_back(addIsland(hosts, members, fmt::format("switch{}", nodes.size()), builder));
  }
  if (nodes.size() > 1) addBetween(hosts, islands, nodes, builder);
  return builder.finish();
}

}  // namespace tutti::topology
