#include "src/plan/split.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "src/plan/index.h"

namespace tutti::plan {
namespace {

// Ranks first, then forwarders.
std::vector<int> numberNodes(const SearchGraph& graph) {
  std::vector<int> numbers;
  int next = graph.rankCount();
  for (topology::NodeIndex node = 0; node < graph.nodeCount(); ++node) {
    numbers.push_back(graph.rankAt(node) >= 0 ? graph.rankAt(node) : next++);
  }
  return numbers;
}

}  // namespace

// Batches of partial trees take the place of forwarders: one for each unit, and a spare one.
UnitGraph::UnitGraph(const SearchGraph& graph, Rational unit, const std::vector<int32_t>& supply)
    : graph_(&graph),
      unit_(unit),
      most_(std::accumulate(supply.begin(), supply.end(), 0)),
      nodes_(numberNodes(graph)),
      nodeCount_(std::max(graph.nodeCount(),
                          graph.rankCount() + *std::max_element(supply.begin(), supply.end()) + 1)),
      flows_(supply, nodeCount_),
      pieces_(at(nodeCount_) * at(nodeCount_)) {
  for (Arc arc = 0; arc < graph.arcCount(); ++arc) {
    const int32_t units = unitsOf(arc);
    if (units == 0) continue;
    const int from = nodeAt(graph.from(arc));
    const int to = nodeAt(graph.to(arc));
    flows_.addCapacity(from, to, units);
    pieces(from, to).push_back({units, -1, {arc}});
  }
}

int32_t UnitGraph::unitsOf(Arc arc) const {
  const auto links = graph_->down(arc).empty() ? graph_->up(arc) : graph_->down(arc);
  const Int128 capacity = graph_->capacity(links[0]);
  return static_cast<int32_t>(std::min<Int128>(most_, capacity * unit_.den / unit_.num));
}

int64_t UnitGraph::surplusOf(int node) const {
  int64_t surplus = 0;
  for (int other = 0; other < nodeCount_; ++other) {
    surplus += flows_.capacity(other, node) - flows_.capacity(node, other);
  }
  return surplus;
}

// What one forwarder gives up, its neighbours have too much of.
bool UnitGraph::balance() {
  std::vector<int> waiting;
  for (int via = graph_->rankCount(); via < nodeCount_; ++via) waiting.push_back(via);
  while (!waiting.empty()) {
    const int via = waiting.back();
    waiting.pop_back();
    const int64_t surplus = surplusOf(via);
    auto left = static_cast<int32_t>(std::abs(surplus));
    for (int node = 0; node < nodeCount_ && left > 0; ++node) {
      const int from = surplus > 0 ? node : via;
      const int to = surplus > 0 ? via : node;
      const int32_t removed = flows_.remove(from, to, left);
      take(from, to, removed);
      left -= removed;
      if (removed > 0 && node >= graph_->rankCount()) waiting.push_back(node);
    }
    if (left > 0) return false;
  }
  return true;
}

bool UnitGraph::splitOff() {
  if (!flows_.start() || !balance()) return false;
  // Those with the fewest neighbours first: they make the fewest arcs for the others.
  std::vector<std::pair<int, int>> order;
  for (int via = graph_->rankCount(); via < nodeCount_; ++via) {
    int arcs = 0;
    for (int node = 0; node < nodeCount_; ++node) arcs += flows_.capacity(via, node) > 0 ? 1 : 0;
    order.emplace_back(arcs, via);
  }
  std::sort(order.begin(), order.end());
  return std::all_of(order.begin(), order.end(),
                     [this](const auto& each) { return splitOff(each.second); });
}

bool UnitGraph::splitOff(int via) {
  std::vector<int> ends;
  for (int node = 0; node < nodeCount_; ++node) {
    if (flows_.capacity(node, via) > 0 || flows_.capacity(via, node) > 0) ends.push_back(node);
  }
  const size_t count = ends.size();
  // At first every pair gets its share, then whatever is left, at last what only leads back.
  for (const bool isShared : {true, false}) {
    for (size_t i = 0; i < count; ++i) {
      const int32_t all = flows_.capacity(ends[i], via);
      const auto others = static_cast<int32_t>(std::max<size_t>(1, count - 1));
      const int32_t share = isShared ? (all + others - 1) / others : all;
      for (size_t j = 1; j < count && flows_.capacity(ends[i], via) > 0; ++j) {
        split(ends[i], via, ends[(i + j) % count], share);
      }
    }
  }
  bool isGone = true;
  for (const int end : ends) {
    split(end, via, end, flows_.capacity(end, via));
    isGone = isGone && flows_.capacity(end, via) == 0;
  }
  return isGone;
}

int32_t UnitGraph::split(int from, int via, int to, int32_t most) {
  const int32_t units = flows_.split(from, via, to, most);
  if (units > 0 && from != to) pieces(from, to).push_back({units, via, {}});
  return units;
}

std::vector<UnitGraph::Way> UnitGraph::take(int from, int to, int32_t units) {
  std::vector<Way> ways;
  while (units > 0) {
    ways.push_back(takeSome(from, to, units));
    units -= ways.back().units;
  }
  return ways;
}

// Of the piece that fits best: the smallest that has enough, else the largest.
UnitGraph::Way UnitGraph::takeSome(int from, int to, int32_t most) {
  std::vector<Piece>& all = pieces(from, to);
  size_t best = 0;
  for (size_t i = 1; i < all.size(); ++i) {
    const bool isEnough = all[i].units >= most;
    const bool wasEnough = all[best].units >= most;
    const bool isBetter =
        isEnough != wasEnough ? isEnough : (all[i].units < all[best].units) == isEnough;
    if (isBetter) best = i;
  }
  Way way{std::min(most, all[best].units), all[best].arcs};
  if (const int via = all[best].via; via >= 0) {
    way = takeSome(from, via, way.units);
    const Way onwards = takeSome(via, to, way.units);
    const int32_t rest = way.units - onwards.units;
    if (rest > 0) pieces(from, via).push_back({rest, -1, way.arcs});
    way.units = onwards.units;
    way.arcs.insert(way.arcs.end(), onwards.arcs.begin(), onwards.arcs.end());
  }
  all[best].units -= way.units;
  if (all[best].units == 0) all.erase(all.begin() + static_cast<std::ptrdiff_t>(best));
  return way;
}

}  // namespace tutti::plan
