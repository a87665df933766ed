#include <algorithm>
#include <map>

#include "topology/picture_layout.h"

namespace tutti::topology {
namespace {

constexpr double kMargin = 14;
constexpr double kTitleHeight = 30;
constexpr double kRowGap = 36;
constexpr double kRowArcs = 26;
constexpr double kRankHeight = 40;
constexpr double kGroupGap = 0.12;  // columns
constexpr double kHostGap = 0.3;
constexpr double kNicPitch = 0.9;
constexpr double kHostArcs = 30;
constexpr double kHalfBox = kBoxWidth / kColumnWidth / 2;

enum Row { kHostRow, kRankRow = 100, kHubRow = 101, kNicRow = 200 };  // bridges: their level

// The PCI tree of a machine with its hosts on top. Bridges and hosts are bars over what hangs on
// them, so that the tree's links are upright. Ranks take a column each; NICs stand in a row of
// their own further in, between the columns, so that their links pass the ranks.
class PanelBuilder {
 public:
  PanelBuilder(const Topology& topology, const Panel& panel, const Neighbours& near,
               const std::vector<bool>& isInside)
      : topology_(topology), panel_(panel), near_(near), isInside_(isInside) {
    for (const NodeIndex node : panel.nodes) ofKind_[kindOf(node)].push_back(node);
  }

  PanelPlan run() {
    findBridgeLevels();
    for (const NodeIndex rank : ofKind_[NodeKind::kRank]) adopt(rank, false);
    for (const NodeIndex nic : ofKind_[NodeKind::kNic]) adopt(nic, true);
    placeColumns();
    placeRows();
    return std::move(plan_);
  }

 private:
  NodeKind kindOf(NodeIndex node) const { return topology_.nodes[static_cast<size_t>(node)].kind; }

  template <class Visit>
  void forNeighbours(NodeIndex node, NodeKind kind, const Visit& visit) const {
    for (const NodeIndex next : near_[static_cast<size_t>(node)]) {
      if (isInside_[static_cast<size_t>(next)] && kindOf(next) == kind) visit(next);
    }
  }

  void findBridgeLevels();
  void adopt(NodeIndex node, bool isNic);
  void placeColumns();
  void placeTree(NodeIndex node);
  void placeRank(NodeIndex rank);
  double placeNic(NodeIndex nic, double x);
  std::pair<double, double> spanOfChildren(NodeIndex node, double start);
  void placeRows();
  double arcHeight(NodeKind kind) const;
  double placeRow(const std::vector<NodeIndex>& nodes, double y, double height, int row,
                  double arcRoom);
  double placeHubRows(double y);

  const Topology& topology_;
  const Panel& panel_;
  const Neighbours& near_;
  const std::vector<bool>& isInside_;
  std::map<NodeKind, std::vector<NodeIndex>> ofKind_;
  std::map<NodeIndex, int> level_;  // of bridges: steps from a host
  std::map<NodeIndex, std::vector<NodeIndex>> children_;
  std::vector<NodeIndex> roots_;
  std::map<NodeIndex, std::pair<double, double>> span_;  // in columns
  double cursor_ = 0;
  double lastNic_ = -1;
  PanelPlan plan_;
};

void PanelBuilder::findBridgeLevels() {
  std::vector<NodeIndex> open = ofKind_[NodeKind::kHost];
  roots_ = open;
  std::vector<NodeIndex> left = ofKind_[NodeKind::kBridge];
  for (size_t next = 0; next < open.size() || !left.empty(); ++next) {
    if (next == open.size()) {  // no way from a host: the first that is left is a top of its own
      const NodeIndex top = left.front();
      left.erase(left.begin());
      if (level_.count(top) != 0) {
        --next;
        continue;
      }
      level_[top] = 1;
      roots_.push_back(top);
      open.push_back(top);
    }
    const NodeIndex node = open[next];
    const int level = kindOf(node) == NodeKind::kHost ? 0 : level_[node];
    forNeighbours(node, NodeKind::kBridge, [&](NodeIndex bridge) {
      if (!level_.emplace(bridge, level + 1).second) return;
      children_[node].push_back(bridge);
      open.push_back(bridge);
    });
  }
}

// Under the bridge that is farthest from a host, else a host, else, for a NIC, a rank.
void PanelBuilder::adopt(NodeIndex node, bool isNic) {
  NodeIndex parent = -1;
  forNeighbours(node, NodeKind::kBridge, [&](NodeIndex bridge) {
    if (parent < 0 || level_[bridge] > level_[parent]) parent = bridge;
  });
  for (const NodeKind kind : {NodeKind::kHost, NodeKind::kRank}) {
    if (kind == NodeKind::kRank && !isNic) continue;
    if (parent >= 0) break;
    forNeighbours(node, kind, [&](NodeIndex next) { parent = parent < 0 ? next : parent; });
  }
  (parent < 0 ? roots_ : children_[parent]).push_back(node);
}

void PanelBuilder::placeColumns() {
  for (const NodeIndex root : roots_) {
    const NodeKind kind = kindOf(root);
    if (kind == NodeKind::kRank) {
      placeRank(root);
    } else if (kind == NodeKind::kNic) {
      cursor_ = placeNic(root, cursor_ + 0.5) + 0.5;
    } else {
      placeTree(root);
      cursor_ += kHostGap;
    }
  }
}

// A rank with its own NICs, if it has any, below it.
void PanelBuilder::placeRank(NodeIndex rank) {
  const std::vector<NodeIndex>& own = children_[rank];
  if (!own.empty()) cursor_ = std::max(cursor_, lastNic_ + kNicPitch - 0.5);
  const double width = std::max<double>(1, static_cast<double>(own.size()));
  span_[rank] = {cursor_ + width / 2 - kHalfBox, cursor_ + width / 2 + kHalfBox};
  for (size_t i = 0; i < own.size(); ++i) placeNic(own[i], cursor_ + static_cast<double>(i) + 0.5);
  cursor_ += width;
}

// At `x` or as soon after as there is room in the NICs' row. Returns where.
double PanelBuilder::placeNic(NodeIndex nic, double x) {
  lastNic_ = std::max(x, lastNic_ + kNicPitch);
  span_[nic] = {lastNic_ - kHalfBox, lastNic_ + kHalfBox};
  return lastNic_;
}

// NICs come evenly between the ranks and bridges, so that their lines pass there.
void PanelBuilder::placeTree(NodeIndex node) {
  const double start = cursor_;
  std::vector<NodeIndex> units;
  std::vector<NodeIndex> nics;
  for (const NodeKind kind : {NodeKind::kRank, NodeKind::kBridge, NodeKind::kNic}) {
    for (const NodeIndex child : children_[node]) {
      if (kindOf(child) == kind) (kind == NodeKind::kNic ? nics : units).push_back(child);
    }
  }
  size_t placed = 0;
  for (size_t i = 0; i < units.size(); ++i) {
    const bool isRank = kindOf(units[i]) == NodeKind::kRank;
    if (i > 0 && !isRank) cursor_ += kGroupGap;
    isRank ? placeRank(units[i]) : placeTree(units[i]);
    for (; placed < nics.size() * (i + 1) / units.size(); ++placed) {
      cursor_ = placeNic(nics[placed], cursor_);
    }
  }
  for (; placed < nics.size(); ++placed) cursor_ = placeNic(nics[placed], cursor_ + 0.5) + 0.5;
  if (cursor_ == start) cursor_ += 1;
  span_[node] = spanOfChildren(node, start);
}

// What a bar covers: its children, but of a NIC between them only the line.
std::pair<double, double> PanelBuilder::spanOfChildren(NodeIndex node, double start) {
  const std::vector<NodeIndex>& children = children_[node];
  const bool hasUnits = std::any_of(children.begin(), children.end(), [this](NodeIndex child) {
    return kindOf(child) != NodeKind::kNic;
  });
  if (children.empty()) return {start + 0.5 - kHalfBox, start + 0.5 + kHalfBox};
  std::pair<double, double> span(1e9, -1e9);
  for (const NodeIndex child : children) {
    constexpr double kLine = 0.12;
    const double shrink = hasUnits && kindOf(child) == NodeKind::kNic ? kHalfBox - kLine : 0;
    span.first = std::min(span.first, span_[child].first + shrink);
    span.second = std::max(span.second, span_[child].second - shrink);
  }
  return span;
}

// Room for the links between two of a row: the more there may be to pass, the more.
double PanelBuilder::arcHeight(NodeKind kind) const {
  const auto found = ofKind_.find(kind);
  if (found == ofKind_.end()) return 0;
  double longest = 0;
  for (const NodeIndex node : found->second) {
    forNeighbours(node, kind, [&](NodeIndex next) {
      longest = std::max(longest, std::abs(span_.at(node).first - span_.at(next).first));
    });
  }
  const bool isHost = kind == NodeKind::kHost;
  if (longest == 0 || (isHost && found->second.size() < 3)) return 0;
  return isHost ? kHostArcs : 24 + std::min(16 * longest, 130.0);
}

double PanelBuilder::placeRow(const std::vector<NodeIndex>& nodes, double y, double height, int row,
                              double arcRoom) {
  if (nodes.empty()) return y;
  for (const NodeIndex node : nodes) {
    const auto [low, high] = span_[node];
    const bool isBar = kindOf(node) == NodeKind::kHost || kindOf(node) == NodeKind::kBridge;
    plan_.boxes.push_back({node,
                           {kMargin + low * kColumnWidth, y, (high - low) * kColumnWidth, height},
                           isBar,
                           row,
                           arcRoom});
    plan_.width = std::max(plan_.width, plan_.boxes.back().at.right());
  }
  return y + height + kRowGap;
}

double PanelBuilder::placeHubRows(double y) {
  std::map<NodeIndex, const Box*> placed;
  std::vector<NodeIndex> left = ofKind_[NodeKind::kSwitch];
  for (int row = kHubRow; !left.empty(); ++row) {
    std::vector<HubSpan> spans;
    std::vector<NodeIndex> later;
    for (const NodeIndex node : left) {
      HubSpan span{node, 1e9, -1e9};
      for (const Box& box : plan_.boxes) {
        const auto& near = near_[static_cast<size_t>(node)];
        if (std::find(near.begin(), near.end(), box.node) == near.end()) continue;
        span.low = std::min(span.low, box.at.x);
        span.high = std::max(span.high, box.at.right());
      }
      if (span.low > span.high) {
        later.push_back(node);
      } else {
        spans.push_back(span);
      }
    }
    if (spans.empty()) {  // switches that nothing leads to
      for (const NodeIndex node : later) spans.push_back({node, kMargin, kMargin + kBoxWidth});
      later.clear();
    }
    placeHubs(spans, kMargin, std::max(plan_.width, kMargin + kBoxWidth), y, row, kRowArcs,
              plan_.boxes);
    y += kBoxHeight + kRowGap;
    left = later;
  }
  for (const Box& box : plan_.boxes) plan_.width = std::max(plan_.width, box.at.right());
  return y;
}

void PanelBuilder::placeRows() {
  double y = kTitleHeight + arcHeight(NodeKind::kHost);
  y = placeRow(ofKind_[NodeKind::kHost], y, kBoxHeight, kHostRow, -kHostArcs);
  int deepest = 0;
  for (const auto& [bridge, level] : level_) deepest = std::max(deepest, level);
  for (int level = 1; level <= deepest; ++level) {
    std::vector<NodeIndex> row;
    for (const NodeIndex bridge : ofKind_[NodeKind::kBridge]) {
      if (level_[bridge] == level) row.push_back(bridge);
    }
    y = placeRow(row, y, kBoxHeight - 6, level, -kRowArcs);
  }
  y = placeRow(ofKind_[NodeKind::kRank], y, kRankHeight, kRankRow,
               std::max(kRowArcs, arcHeight(NodeKind::kRank)));
  y = placeHubRows(y + std::max(0.0, arcHeight(NodeKind::kRank) - kRowGap / 2));
  y = placeRow(ofKind_[NodeKind::kNic], y, kBoxHeight, kNicRow, kRowArcs);
  plan_.width += kMargin;
  plan_.height = y - kRowGap + kMargin;
}

}  // namespace

void placeHubs(std::vector<HubSpan> spans, double left, double right, double y, int row,
               double arcRoom, std::vector<Box>& boxes) {
  constexpr double kApart = 8;
  std::stable_sort(spans.begin(), spans.end(), [](const HubSpan& a, const HubSpan& b) {
    return a.low + a.high < b.low + b.high;
  });
  const auto middle = [&](size_t i) { return (spans[i].low + spans[i].high) / 2; };
  const auto count = static_cast<double>(std::max<size_t>(1, spans.size()));
  const double step = (right - left) / count;
  double nearest = step;
  bool areApart = true;  // as bars
  for (size_t i = 1; i < spans.size(); ++i) {
    areApart = areApart && spans[i].low > spans[i - 1].high + kApart;
    nearest = std::min(nearest, middle(i) - middle(i - 1));
  }
  // Boxes stand in the middle of what they span if that is not too narrow for them.
  const bool areSpread = nearest - kApart > 0.75 * kBoxWidth;
  const double pitch = areSpread ? nearest : step;
  const double width = std::min(1.4 * kBoxWidth, pitch - std::min(kApart, pitch / 10));
  for (size_t i = 0; i < spans.size(); ++i) {
    Rect at{spans[i].low, y, spans[i].high - spans[i].low, kBoxHeight};
    if (!areApart) {
      const double even = left + (static_cast<double>(i) + 0.5) * step;
      at.width = width;
      at.x = (areSpread ? middle(i) : even) - width / 2;
    }
    boxes.push_back({spans[i].node, at, areApart, row, arcRoom});
  }
}

PanelPlan layOutPanel(const Topology& topology, const Panel& panel, const Neighbours& near,
                      const std::vector<bool>& isInside) {
  return PanelBuilder(topology, panel, near, isInside).run();
}

}  // namespace tutti::topology
