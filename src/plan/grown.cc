#include "src/plan/grown.h"

#include <algorithm>
#include <utility>

#include "src/plan/index.h"

namespace tutti::plan {
namespace {

using topology::LinkIndex;

// Delays over the edges of a tree, from any rank.
class Distances {
 public:
  explicit Distances(const Grown& tree) : edges_(tree.parents.size()) {
    for (size_t rank = 0; rank < edges_.size(); ++rank) {
      const ir::Rank parent = tree.parents[rank];
      if (parent < 0) continue;
      const int64_t delay = tree.delays[rank] - tree.delays[at(parent)];
      edges_[rank].push_back({parent, delay});
      edges_[at(parent)].push_back({static_cast<ir::Rank>(rank), delay});
    }
  }

  // Fills delays and parents; returns the farthest rank.
  ir::Rank measure(ir::Rank from) {
    delays.assign(edges_.size(), 0);
    parents.assign(edges_.size(), -1);
    ir::Rank farthest = from;
    std::vector<ir::Rank> queue = {from};
    for (size_t i = 0; i < queue.size(); ++i) {
      const ir::Rank rank = queue[i];
      if (delays[at(rank)] > delays[at(farthest)]) farthest = rank;
      for (const auto& [next, delay] : edges_[at(rank)]) {
        if (next == parents[at(rank)]) continue;
        parents[at(next)] = rank;
        delays[at(next)] = delays[at(rank)] + delay;
        queue.push_back(next);
      }
    }
    return farthest;
  }

  std::vector<int64_t> delays;
  std::vector<ir::Rank> parents;

 private:
  std::vector<std::vector<std::pair<ir::Rank, int64_t>>> edges_;
};

}  // namespace

Middle middleOf(const Grown& tree) {
  Distances distances(tree);
  const ir::Rank end = distances.measure(distances.measure(tree.root));
  const int64_t whole = distances.delays[at(end)];
  // On the way between the two that are farthest apart.
  Middle middle{end, whole};
  for (ir::Rank rank = end; rank >= 0; rank = distances.parents[at(rank)]) {
    const int64_t far = std::max(distances.delays[at(rank)], whole - distances.delays[at(rank)]);
    if (far < middle.delay) middle = {rank, far};
  }
  return middle;
}

RoutedTree route(const SearchGraph& graph, const Grown& tree, ir::Rank root) {
  RoutedTree routed;
  routed.tree = {.root = root, .weight = tree.weight, .parents = tree.parents};
  routed.down.resize(tree.parents.size());
  routed.up.resize(tree.parents.size());
  for (size_t rank = 0; rank < tree.parents.size(); ++rank) {
    const auto arcs = tree.arcsTo(static_cast<ir::Rank>(rank));
    for (const SearchGraph::Arc arc : arcs) {
      const auto links = graph.down(arc);
      routed.down[rank].insert(routed.down[rank].end(), links.begin(), links.end());
    }
    for (size_t i = arcs.size(); i-- > 0;) {
      const auto links = graph.up(arcs[i]);
      routed.up[rank].insert(routed.up[rank].end(), links.begin(), links.end());
    }
  }
  // From the new root to the old one, every edge changes its ends.
  ir::Rank parent = -1;
  std::vector<LinkIndex> down;
  std::vector<LinkIndex> up;
  for (ir::Rank rank = root; rank >= 0;) {
    const ir::Rank next = std::exchange(routed.tree.parents[at(rank)], parent);
    std::swap(routed.down[at(rank)], down);
    std::swap(routed.up[at(rank)], up);
    std::swap(down, up);
    parent = std::exchange(rank, next);
  }
  return routed;
}

}  // namespace tutti::plan
