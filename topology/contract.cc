#include <algorithm>
#include <limits>
#include <optional>
#include <span>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "topology/graph.h"

namespace tutti::topology {
namespace {

using EdgeIndex = int32_t;
using Charges = std::vector<std::pair<int32_t, int32_t>>;  // resource and units, ascending

// A link while the graph shrinks.
struct Edge {
  Link link;
  Charges charges;
  int64_t widest = 0;  // capacity of the widest of the parallel links that were added up
  int32_t origin = 0;  // the chain of that one
};

// What an edge stands for: a link of the input, or one chain after the other.
struct Chain {
  LinkIndex link = -1;
  int32_t first = -1;
  int32_t second = -1;
};

constexpr int distance(LinkKind kind) {
  return kind == LinkKind::kOther ? -1 : static_cast<int>(kind);
}

std::optional<Charges> addUp(const Charges& a, const Charges& b) {
  Charges sum;
  auto other = b.begin();
  for (const auto& [resource, units] : a) {
    while (other != b.end() && other->first < resource) sum.push_back(*other++);
    int64_t both = units;
    if (other != b.end() && other->first == resource) both += (other++)->second;
    if (both > std::numeric_limits<int32_t>::max()) return {};
    sum.emplace_back(resource, static_cast<int32_t>(both));
  }
  sum.insert(sum.end(), other, b.end());
  return sum;
}

// Edges vanish only together with a forwarder at one of their ends, so what two nodes that remain
// have between them only grows.
class Contraction {
 public:
  explicit Contraction(const Topology& topology)
      : topology_(topology),
        isGone_(topology.nodes.size(), false),
        neighbours_(topology.nodes.size()),
        outs_(topology.nodes.size(), 0),
        ins_(topology.nodes.size(), 0) {
    std::vector<Charges> charges(topology.links.size());
    for (size_t r = 0; r < topology.resources.size(); ++r) {
      for (const Charge& charge : topology.resources[r].charges) {
        charges[static_cast<size_t>(charge.link)].emplace_back(static_cast<int32_t>(r),
                                                               charge.units);
      }
    }
    for (size_t i = 0; i < topology.links.size(); ++i) {
      chains_.push_back({static_cast<LinkIndex>(i)});
      const Link& link = topology.links[i];
      add({link, std::move(charges[i]), link.capacity, static_cast<int32_t>(i)});
    }
  }

  void run() {
    std::vector<NodeIndex> open;
    std::vector<bool> isOpen(topology_.nodes.size(), false);
    const auto push = [&](NodeIndex node) {
      if (isForwarder(node) && !isOpen[at(node)]) open.push_back(node);
      isOpen[at(node)] = true;
    };
    for (size_t i = topology_.nodes.size(); i-- > 0;) push(static_cast<NodeIndex>(i));
    while (!open.empty()) {
      const NodeIndex node = open.back();
      open.pop_back();
      isOpen[at(node)] = false;
      if (!canGo(node)) continue;
      remove(node);
      for (const NodeIndex next : neighbours_[at(node)]) {
        if (!isGone_[at(next)]) push(next);
      }
    }
  }

  Contracted result() const;

 private:
  static size_t at(int32_t index) { return static_cast<size_t>(index); }
  static uint64_t key(NodeIndex from, NodeIndex to) {
    return uint64_t{static_cast<uint32_t>(from)} << 32 | static_cast<uint32_t>(to);
  }

  bool isForwarder(NodeIndex node) const {
    return topology_.nodes[at(node)].kind != NodeKind::kRank;
  }

  std::span<const EdgeIndex> between(NodeIndex from, NodeIndex to) const {
    const auto found = between_.find(key(from, to));
    if (found == between_.end()) return {};
    return found->second;
  }

  void add(Edge edge);
  std::optional<Edge> series(EdgeIndex first, EdgeIndex second);
  bool canGo(NodeIndex node);
  bool join(NodeIndex from, NodeIndex via, NodeIndex to, std::vector<Edge>& made);
  void remove(NodeIndex node);
  std::vector<LinkIndex> expand(int32_t chain) const;
  std::vector<EdgeIndex> remaining() const;

  const Topology& topology_;
  std::vector<Edge> edges_;
  std::vector<Chain> chains_;
  std::unordered_map<uint64_t, std::vector<EdgeIndex>> between_;
  std::vector<bool> isGone_;
  std::vector<std::vector<NodeIndex>> neighbours_;  // some of them gone
  std::vector<int32_t> outs_, ins_;                 // edges that leave and enter
};

// Parallel edges become one where they charge alike.
void Contraction::add(Edge edge) {
  const NodeIndex from = edge.link.from;
  const NodeIndex to = edge.link.to;
  std::vector<EdgeIndex>& parallel = between_[key(from, to)];
  for (const EdgeIndex index : parallel) {
    Edge& other = edges_[at(index)];
    if (other.charges != edge.charges) continue;
    other.link.capacity = std::min(other.link.capacity + edge.link.capacity, kMostCapacity);
    other.link.latencyNs = std::min(other.link.latencyNs, edge.link.latencyNs);
    other.link.provenance = std::min(other.link.provenance, edge.link.provenance);
    if (edge.widest > other.widest) {
      other.widest = edge.widest;
      other.origin = edge.origin;
      other.link.kind = edge.link.kind;
    }
    return;
  }
  if (parallel.empty() && between(to, from).empty()) {
    neighbours_[at(from)].push_back(to);
    neighbours_[at(to)].push_back(from);
  }
  parallel.push_back(static_cast<EdgeIndex>(edges_.size()));
  ++outs_[at(from)];
  ++ins_[at(to)];
  edges_.push_back(std::move(edge));
}

// One edge for two in a row, unless its charges would grow out of range.
std::optional<Edge> Contraction::series(EdgeIndex first, EdgeIndex second) {
  const Edge& a = edges_[at(first)];
  const Edge& b = edges_[at(second)];
  auto charges = addUp(a.charges, b.charges);
  const int64_t latencyNs = a.link.latencyNs + b.link.latencyNs;
  if (!charges || latencyNs > kMostLatencyNs) return {};
  const Link& narrow = b.link.capacity < a.link.capacity ? b.link : a.link;
  const Link& far = distance(b.link.kind) > distance(a.link.kind) ? b.link : a.link;
  Edge edge{{a.link.from, b.link.to, narrow.capacity, latencyNs, far.kind, narrow.provenance},
            std::move(*charges),
            narrow.capacity,
            static_cast<int32_t>(chains_.size())};
  chains_.push_back({-1, a.origin, b.origin});
  return edge;
}

// The edge for the way from one neighbour over `via` to the other, if there is a way. False if one
// edge cannot stand for it: several that charge differently are in series with others.
bool Contraction::join(NodeIndex from, NodeIndex via, NodeIndex to, std::vector<Edge>& made) {
  const auto first = between(from, via);
  const auto second = between(via, to);
  if (first.empty() || second.empty()) return true;
  if (first.size() > 1 || second.size() > 1) return false;
  auto edge = series(first[0], second[0]);
  if (!edge) return false;
  made.push_back(std::move(*edge));
  return true;
}

// Is the forwarder of no use, or can edges replace it? If so, they have been added.
bool Contraction::canGo(NodeIndex node) {
  if (outs_[at(node)] == 0 || ins_[at(node)] == 0) return true;
  std::vector<NodeIndex>& near = neighbours_[at(node)];
  size_t present = 0;
  while (present < near.size() && present < 3) {
    if (isGone_[at(near[present])]) {
      near[present] = near.back();
      near.pop_back();
    } else {
      ++present;
    }
  }
  if (present != 2) return present < 2;
  std::vector<Edge> made;
  if (!join(near[0], node, near[1], made) || !join(near[1], node, near[0], made)) return false;
  for (Edge& edge : made) add(std::move(edge));
  return true;
}

void Contraction::remove(NodeIndex node) {
  isGone_[at(node)] = true;
  for (const NodeIndex next : neighbours_[at(node)]) {
    if (isGone_[at(next)]) continue;
    outs_[at(next)] -= static_cast<int32_t>(between(next, node).size());
    ins_[at(next)] -= static_cast<int32_t>(between(node, next).size());
  }
}

std::vector<LinkIndex> Contraction::expand(int32_t chain) const {
  std::vector<LinkIndex> links;
  std::vector<int32_t> open{chain};
  while (!open.empty()) {
    const Chain& top = chains_[at(open.back())];
    open.pop_back();
    if (top.link >= 0) {
      links.push_back(top.link);
    } else {
      open.push_back(top.second);
      open.push_back(top.first);
    }
  }
  return links;
}

std::vector<EdgeIndex> Contraction::remaining() const {
  std::vector<EdgeIndex> left;
  for (size_t i = 0; i < edges_.size(); ++i) {
    const Link& link = edges_[i].link;
    if (!isGone_[at(link.from)] && !isGone_[at(link.to)]) left.push_back(static_cast<EdgeIndex>(i));
  }
  std::sort(left.begin(), left.end(), [this](EdgeIndex a, EdgeIndex b) {
    const Link& x = edges_[at(a)].link;
    const Link& y = edges_[at(b)].link;
    return std::tie(x.from, x.to, a) < std::tie(y.from, y.to, b);
  });
  return left;
}

Contracted Contraction::result() const {
  Contracted made;
  made.topology.name = topology_.name;
  std::vector<NodeIndex> place(topology_.nodes.size(), -1);
  for (size_t i = 0; i < topology_.nodes.size(); ++i) {
    if (!isGone_[i]) place[i] = made.topology.addNode(topology_.nodes[i]);
  }
  std::vector<std::vector<Charge>> charges(topology_.resources.size());
  for (const EdgeIndex index : remaining()) {
    const Edge& edge = edges_[at(index)];
    Link link = edge.link;
    link.from = place[at(link.from)];
    link.to = place[at(link.to)];
    const LinkIndex added = made.topology.addLink(link);
    made.origin.push_back(expand(edge.origin));
    for (const auto& [resource, units] : edge.charges) {
      charges[at(resource)].push_back({added, units});
    }
  }
  for (size_t r = 0; r < charges.size(); ++r) {
    if (charges[r].empty()) continue;
    const Resource& resource = topology_.resources[r];
    made.topology.resources.push_back({resource.id, resource.capacity, std::move(charges[r])});
  }
  return made;
}

}  // namespace

Contracted contract(const Topology& topology) {
  Contraction contraction(topology);
  contraction.run();
  return contraction.result();
}

}  // namespace tutti::topology
