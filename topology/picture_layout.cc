#include "topology/picture_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

namespace tutti::topology {
namespace {

constexpr double kEdge = 24;
constexpr double kPanelGap = 22;
constexpr double kTop = 64;  // below the title
constexpr double kNetworkGap = 54;
constexpr double kBusyGap = 74;        // where many lines cross
constexpr double kOneRowWidth = 1000;  // wider than this, panels stand in two rows
constexpr double kMostWidth = 1800;    // of a row; if wider, machines that are alike are drawn once

enum Side { kAbove = 1, kBelow = 2 };
enum NetworkRow { kUpperRow = 1000, kMiddleRow, kLowerRow };

class Layouter {
 public:
  Layouter(const Topology& topology, const std::vector<DrawnLink>& links)
      : topology_(topology), near_(topology.nodes.size()), panelOf_(topology.nodes.size(), -1) {
    for (const DrawnLink& link : links) {
      near_[at(link.a)].push_back(link.b);
      near_[at(link.b)].push_back(link.a);
      if (link.kind == LinkKind::kNetwork) ++networkLinks_;
    }
    layout_.boxOfNode.assign(topology.nodes.size(), -1);
  }

  Layout run();

 private:
  static size_t at(NodeIndex node) { return static_cast<size_t>(node); }

  void findPanels();
  std::string titleOf(const Panel& panel) const;
  void mergeAlike();
  std::vector<std::string> signatures() const;
  void planPanels();
  double widthOf(size_t first, size_t last) const;
  void placePanels(size_t first, size_t last, double top, double depth, bool isFlipped);
  int sidesOf(NodeIndex hub, size_t upper) const;
  std::map<int, std::vector<NodeIndex>> hubRows(size_t upper) const;
  double networkGap() const {
    return networkLinks_ > 24 && hubs_.size() > 2 ? kBusyGap : kNetworkGap;
  }
  void placeNetwork(double top, const std::map<int, std::vector<NodeIndex>>& rows);
  HubSpan spanOf(NodeIndex hub) const;

  const Topology& topology_;
  Neighbours near_;
  size_t networkLinks_ = 0;
  std::vector<int32_t> panelOf_;
  std::vector<NodeIndex> hubs_;
  std::vector<PanelPlan> plans_;
  Layout layout_;
};

// Hosts are panels; switches outside of all hosts are the network.
void Layouter::findPanels() {
  const bool hasHosts = std::any_of(topology_.nodes.begin(), topology_.nodes.end(),
                                    [](const Node& node) { return !node.host.empty(); });
  std::vector<bool> isOnNetwork(topology_.nodes.size(), false);
  for (const Link& link : topology_.links) {
    if (link.kind != LinkKind::kNetwork) continue;
    isOnNetwork[at(link.from)] = isOnNetwork[at(link.to)] = true;
  }
  std::map<std::string_view, int32_t> places;
  for (size_t i = 0; i < topology_.nodes.size(); ++i) {
    const Node& node = topology_.nodes[i];
    const bool isHub = node.kind == NodeKind::kSwitch && node.host.empty();
    if (isHub && (hasHosts || isOnNetwork[i])) {
      hubs_.push_back(static_cast<NodeIndex>(i));
      continue;
    }
    const auto [place, isNew] =
        places.emplace(node.host, static_cast<int32_t>(layout_.panels.size()));
    if (isNew) layout_.panels.push_back({});
    layout_.panels[static_cast<size_t>(place->second)].nodes.push_back(static_cast<NodeIndex>(i));
    panelOf_[i] = place->second;
  }
  for (Panel& panel : layout_.panels) panel.title = titleOf(panel);
}

// "m0 and 6 alike, 8 x AMD MI300X"
std::string Layouter::titleOf(const Panel& panel) const {
  std::map<std::string, int> models;
  for (const NodeIndex node : panel.nodes) {
    const Node& each = topology_.nodes[at(node)];
    if (each.kind != NodeKind::kRank) continue;
    const bool isNumber = each.vendor.starts_with("0x") && !each.model.empty();
    const std::string vendor = isNumber ? "" : each.vendor;
    const std::string_view gap = vendor.empty() || each.model.empty() ? "" : " ";
    ++models[fmt::format("{}{}{}", vendor, gap, each.model)];
  }
  std::string title = topology_.nodes[at(panel.nodes[0])].host;
  if (panel.alike > 1) title += fmt::format(" and {} alike", panel.alike - 1);
  for (const auto& [model, count] : models) {
    if (model.empty()) continue;
    title += fmt::format("{}{} x {}", title.empty() ? "" : ", ", count, model);
  }
  return title;
}

// What a machine looks like, but for what tells it from its copies.
std::vector<std::string> Layouter::signatures() const {
  std::vector<std::string> found(layout_.panels.size());
  std::vector<size_t> local(topology_.nodes.size(), 0);
  for (size_t i = 0; i < found.size(); ++i) {
    const std::vector<NodeIndex>& nodes = layout_.panels[i].nodes;
    for (size_t k = 0; k < nodes.size(); ++k) {
      const Node& node = topology_.nodes[at(nodes[k])];
      local[at(nodes[k])] = k;
      found[i] +=
          fmt::format("{} {} {} {};", name(node.kind), shortId(node), node.vendor, node.model);
    }
  }
  for (const Link& link : topology_.links) {
    for (const NodeIndex end : {link.from, link.to}) {
      const int32_t panel = panelOf_[at(end)];
      const NodeIndex other = end == link.from ? link.to : link.from;
      if (panel < 0 || (end == link.to && panelOf_[at(other)] == panel)) continue;
      const std::string far = panelOf_[at(other)] == panel ? std::to_string(local[at(other)])
                                                           : topology_.nodes[at(other)].id;
      found[static_cast<size_t>(panel)] +=
          fmt::format("{} {} {} {} {};", local[at(end)], end == link.from ? ">" : "<", far,
                      name(link.kind), link.capacity);
    }
  }
  return found;
}

void Layouter::mergeAlike() {
  const std::vector<std::string> looks = signatures();
  std::map<std::string_view, std::vector<size_t>> classes;
  for (size_t i = 0; i < looks.size(); ++i) classes[looks[i]].push_back(i);
  std::vector<Panel> kept;
  for (size_t i = 0; i < looks.size(); ++i) {
    const std::vector<size_t>& alike = classes[looks[i]];
    if (alike[0] != i) continue;
    Panel panel = layout_.panels[i];
    panel.alike = alike.size();
    panel.title = titleOf(panel);
    kept.push_back(std::move(panel));
  }
  layout_.panels = std::move(kept);
}

void Layouter::planPanels() {
  plans_.clear();
  for (const Panel& panel : layout_.panels) {
    std::vector<bool> isInside(topology_.nodes.size(), false);
    for (const NodeIndex node : panel.nodes) isInside[at(node)] = true;
    plans_.push_back(layOutPanel(topology_, panel, near_, isInside));
    PanelPlan& plan = plans_.back();
    const double width = std::max(plan.width, 8.0 * static_cast<double>(panel.title.size()) + 30);
    for (Box& box : plan.boxes) box.at.x += (width - plan.width) / 2;
    plan.width = width;
  }
}

double Layouter::widthOf(size_t first, size_t last) const {
  double width = 0;
  for (size_t i = first; i < last; ++i) width += plans_[i].width + (i > first ? kPanelGap : 0);
  return width;
}

// One row of panels, their inner edges on one line.
void Layouter::placePanels(size_t first, size_t last, double top, double depth, bool isFlipped) {
  double x = kEdge + (layout_.width - widthOf(first, last)) / 2;
  for (size_t i = first; i < last; ++i) {
    const PanelPlan& plan = plans_[i];
    layout_.panels[i].at = {x, isFlipped ? top : top + depth - plan.height, plan.width,
                            plan.height};
    layout_.panels[i].isFlipped = isFlipped;
    const Rect& frame = layout_.panels[i].at;
    for (Box box : plan.boxes) {
      box.at.x += x;
      box.at.y = isFlipped ? frame.bottom() - box.at.bottom() : frame.y + box.at.y;
      if (isFlipped) box.arcRoom = -box.arcRoom;
      box.row += static_cast<int>(i) * 10000;
      layout_.boxes.push_back(box);
    }
    x += plan.width + kPanelGap;
  }
}

// On which sides are the panels that lead to the switch?
int Layouter::sidesOf(NodeIndex hub, size_t upper) const {
  std::vector<bool> isUpper(topology_.nodes.size(), false);
  std::vector<bool> isDrawn(topology_.nodes.size(), false);
  for (size_t i = 0; i < layout_.panels.size(); ++i) {
    for (const NodeIndex node : layout_.panels[i].nodes) {
      isDrawn[at(node)] = true;
      isUpper[at(node)] = i < upper;
    }
  }
  int sides = 0;
  for (const NodeIndex next : near_[at(hub)]) {
    if (isDrawn[at(next)]) sides |= isUpper[at(next)] ? kAbove : kBelow;
  }
  return sides;
}

// Over the machines at a switch, or where it has none, over the switches at it.
HubSpan Layouter::spanOf(NodeIndex hub) const {
  const std::set<NodeIndex> near(near_[at(hub)].begin(), near_[at(hub)].end());
  for (const bool isMachine : {true, false}) {
    HubSpan span{hub, 1e9, -1e9};
    for (const Box& box : layout_.boxes) {
      if (near.count(box.node) == 0 || (panelOf_[at(box.node)] >= 0) != isMachine) continue;
      span.low = std::min(span.low, box.at.x);
      span.high = std::max(span.high, box.at.right());
    }
    if (span.low <= span.high) return span;
  }
  const double middle = kEdge + layout_.width / 2;
  return {hub, middle - kBoxWidth, middle + kBoxWidth};
}

// A switch stands near the panels that lead to it; where one has panels on both sides, those that
// no other switch leads to stand beside it.
std::map<int, std::vector<NodeIndex>> Layouter::hubRows(size_t upper) const {
  std::map<NodeIndex, int> sides;
  bool isBetween = false;
  for (const NodeIndex hub : hubs_) {
    sides[hub] = sidesOf(hub, upper);
    isBetween = isBetween || sides[hub] == (kAbove | kBelow);
  }
  std::map<int, std::vector<NodeIndex>> rows;
  for (const NodeIndex hub : hubs_) {
    const bool isLeaf = std::none_of(near_[at(hub)].begin(), near_[at(hub)].end(),
                                     [&](NodeIndex next) { return sides.count(next) != 0; });
    const bool isAlone = sides[hub] == kAbove || sides[hub] == kBelow;
    const int outer = sides[hub] == kAbove ? kUpperRow : kLowerRow;
    rows[isAlone && !(isBetween && isLeaf) ? outer : kMiddleRow].push_back(hub);
  }
  return rows;
}

void Layouter::placeNetwork(double top, const std::map<int, std::vector<NodeIndex>>& rows) {
  const double gap = networkGap();
  std::map<int, double> tops;
  for (const auto& [row, hubs] : rows) {
    top += gap;
    tops[row] = top;
    top += kBoxHeight;
  }
  for (const int row : {kUpperRow, kLowerRow, kMiddleRow}) {  // the middle spans the others
    const auto found = rows.find(row);
    if (found == rows.end()) continue;
    std::vector<HubSpan> spans;
    for (const NodeIndex hub : found->second) spans.push_back(spanOf(hub));
    placeHubs(spans, kEdge, kEdge + layout_.width, tops[row], row,
              row == kLowerRow ? 14 - gap : gap - 14, layout_.boxes);
  }
}

Layout Layouter::run() {
  findPanels();
  planPanels();
  const size_t half = (plans_.size() + 1) / 2;
  const double halfWidth = std::max(widthOf(0, half), widthOf(half, plans_.size()));
  if (plans_.size() > 2 && halfWidth > kMostWidth) {
    mergeAlike();
    planPanels();
  }
  const size_t count = layout_.panels.size();
  const bool isOneRow = count < 2 || widthOf(0, count) <= kOneRowWidth;
  const size_t upper = isOneRow ? count : (count + 1) / 2;
  layout_.width = std::max(widthOf(0, upper), widthOf(upper, count));
  double depth = 0;
  for (size_t i = 0; i < upper; ++i) depth = std::max(depth, plans_[i].height);
  const std::map<int, std::vector<NodeIndex>> rows = hubRows(upper);
  const double gap = networkGap();
  const double zone = rows.empty() ? kPanelGap
                                   : static_cast<double>(rows.size()) * (kBoxHeight + gap) +
                                         (upper < count ? gap : 0);
  placePanels(0, upper, kTop, depth, false);
  placePanels(upper, count, kTop + depth + zone, 0, true);
  placeNetwork(kTop + depth, rows);
  for (size_t i = 0; i < layout_.boxes.size(); ++i) {
    layout_.boxOfNode[at(layout_.boxes[i].node)] = static_cast<int32_t>(i);
    layout_.bottom = std::max(layout_.bottom, layout_.boxes[i].at.bottom());
  }
  for (const Panel& panel : layout_.panels) {
    layout_.bottom = std::max(layout_.bottom, panel.at.bottom());
  }
  layout_.width += 2 * kEdge;
  return std::move(layout_);
}

}  // namespace

Layout layOut(const Topology& topology, const std::vector<DrawnLink>& links) {
  return Layouter(topology, links).run();
}

}  // namespace tutti::topology
