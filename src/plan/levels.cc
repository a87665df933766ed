#include "src/plan/levels.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <utility>

#include "src/plan/rational.h"

namespace tutti::plan {
namespace {

using topology::NodeIndex;
using topology::Topology;
using Groups = std::vector<int32_t>;  // by rank, numbered as they appear

// The same groups, numbered as they appear.
template <typename Key>
Groups numbered(const std::vector<Key>& keys) {
  std::map<Key, int32_t> numbers;
  Groups groups;
  for (const Key& key : keys) {
    groups.push_back(numbers.try_emplace(key, static_cast<int32_t>(numbers.size())).first->second);
  }
  return groups;
}

int32_t countOf(const Groups& groups) {
  return groups.empty() ? 0 : *std::max_element(groups.begin(), groups.end()) + 1;
}

// Neither all in one nor each alone.
bool isLevel(const Groups& groups) {
  const int32_t count = countOf(groups);
  return count > 1 && count < static_cast<int32_t>(groups.size());
}

// Is there a group of several ranks that is not all of a group of `outer`?
bool isWithin(const Groups& inner, const Groups& outer) {
  std::map<int32_t, int32_t> members;  // of inner and outer groups
  std::map<int32_t, int32_t> around;
  for (const int32_t group : inner) ++members[group];
  for (const int32_t group : outer) ++around[group];
  for (size_t rank = 0; rank < inner.size(); ++rank) {
    const int32_t count = members[inner[rank]];
    if (count > 1 && count < around[outer[rank]]) return true;
  }
  return false;
}

Groups within(const Groups& inner, const Groups& outer) {
  std::vector<std::pair<int32_t, int32_t>> keys;
  for (size_t rank = 0; rank < inner.size(); ++rank) keys.emplace_back(outer[rank], inner[rank]);
  return numbered(keys);
}

// Ranks that links of at least `width` join.
struct Cluster {
  int64_t width = 0;
  Groups groups;
};

class Joined {
 public:
  explicit Joined(size_t nodes) : above_(nodes) { std::iota(above_.begin(), above_.end(), 0); }

  NodeIndex find(NodeIndex node) {
    while (above_[static_cast<size_t>(node)] != node) {
      auto& next = above_[static_cast<size_t>(node)];
      node = next = above_[static_cast<size_t>(next)];
    }
    return node;
  }
  void join(NodeIndex a, NodeIndex b) { above_[static_cast<size_t>(find(a))] = find(b); }

 private:
  std::vector<NodeIndex> above_;
};

struct Pair {
  int64_t width = 0;
  NodeIndex a = 0;
  NodeIndex b = 0;
};

// Every two nodes that links join in both directions, the widest first.
std::vector<Pair> pairsOf(const Topology& fabric) {
  std::map<std::pair<NodeIndex, NodeIndex>, int64_t> widths;
  for (const auto& link : fabric.links) widths[{link.from, link.to}] += link.capacity;
  std::vector<Pair> pairs;
  for (const auto& [ends, width] : widths) {
    const auto back = widths.find({ends.second, ends.first});
    if (ends.first < ends.second && back != widths.end()) {
      pairs.push_back({std::min(width, back->second), ends.first, ends.second});
    }
  }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair& x, const Pair& y) { return x.width > y.width; });
  return pairs;
}

// From each rank alone to all that are joined at all.
std::vector<Cluster> clustersOf(const Topology& fabric) {
  Joined joined(fabric.nodes.size());
  const auto ranks = fabric.ranks();
  std::vector<Cluster> clusters;
  const std::vector<Pair> pairs = pairsOf(fabric);
  for (size_t i = 0; i < pairs.size(); ++i) {
    joined.join(pairs[i].a, pairs[i].b);
    if (i + 1 < pairs.size() && pairs[i + 1].width == pairs[i].width) continue;
    std::vector<NodeIndex> keys;
    for (const NodeIndex rank : ranks) keys.push_back(joined.find(rank));
    Groups groups = numbered(keys);
    if (clusters.empty() || clusters.back().groups != groups) {
      clusters.push_back({pairs[i].width, std::move(groups)});
    }
  }
  return clusters;
}

Groups islandsOf(const std::vector<Cluster>& clusters, const Groups& around) {
  Groups best;
  int64_t inside = 3;  // at least half as wide again
  int64_t outside = 2;
  for (size_t i = 0; i + 1 < clusters.size(); ++i) {
    const Groups groups = within(clusters[i].groups, around);
    if (!isWithin(groups, around)) continue;
    const int64_t next = clusters[i + 1].width;
    const Int128 step = Int128{clusters[i].width} * outside;
    const Int128 most = Int128{inside} * next;
    if (best.empty() ? step < most : step <= most) continue;
    best = groups;
    inside = clusters[i].width;
    outside = next;
  }
  return best;
}

}  // namespace

std::vector<Level> levelsOf(const Topology& fabric, LevelShape shape) {
  std::vector<std::string> sites;
  std::vector<std::pair<std::string, std::string>> hosts;
  bool areNamed = true;
  for (const NodeIndex rank : fabric.ranks()) {
    const topology::Node& node = fabric.nodes[static_cast<size_t>(rank)];
    sites.push_back(node.site);
    hosts.emplace_back(node.site, node.host);
    areNamed = areNamed && !node.host.empty();
  }
  const std::vector<Cluster> clusters = clustersOf(fabric);
  const Groups bySite = numbered(sites);
  Groups byHost = numbered(hosts);
  const bool areAlone = countOf(byHost) == static_cast<int32_t>(hosts.size());
  if ((!areNamed || areAlone) && clusters.size() > 1) {
    byHost = within(clusters[clusters.size() - 2].groups, bySite);
  }
  const Groups islands = islandsOf(clusters, byHost);
  std::vector<Level> levels;
  for (const Groups* groups : {&islands, static_cast<const Groups*>(&byHost), &bySite}) {
    if (!isLevel(*groups) || (!levels.empty() && levels.back().groups == *groups)) continue;
    levels.push_back({*groups, levels.empty() ? LevelShape::kStar : shape});
  }
  return levels;
}

}  // namespace tutti::plan
