#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

#include "topology/picture.h"
#include "topology/picture_layout.h"
#include "topology/picture_lines.h"

namespace tutti::topology {
namespace {

constexpr double kLetter = 5.8;  // mean width at 10 pixels, generously

std::string escaped(std::string_view text) {
  std::string made;
  for (const char c : text) {
    switch (c) {
      case '&': made += "&amp;"; break;
      case '<': made += "&lt;"; break;
      case '>': made += "&gt;"; break;
      case '"': made += "&quot;"; break;
      default: made += c;
    }
  }
  return made;
}

// The beginning of `text`, and of a word with a number at its end that, too.
std::string fitted(const std::string& text, double width, double size) {
  const auto most = static_cast<size_t>(std::max(3.0, width / (kLetter * size / 10)));
  if (text.size() <= most) return text;
  const size_t tail = std::min<size_t>(most / 2, 7);
  return text.substr(0, most - tail - 1) + "~" + text.substr(text.size() - tail);
}

std::string countOf(size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

class Drawing {
 public:
  explicit Drawing(const Topology& topology)
      : topology_(topology),
        links_(drawnLinks(topology)),
        layout_(layOut(topology, links_)),
        curves_(drawCurves(layout_, links_)),
        rankOf_(topology.rankOfNode()) {}

  std::string text() {
    for (const Panel& panel : layout_.panels) drawPanel(panel);
    for (const Curve& curve : curves_) drawCurve(curve);
    for (const Box& box : layout_.boxes) drawBox(box);
    drawPorts();
    drawLabels();
    drawTitle();
    drawLegend();
    return frame();
  }

 private:
  std::back_insert_iterator<std::string> out() { return std::back_inserter(body_); }

  void drawPanel(const Panel& panel);
  void drawCurve(const Curve& curve);
  void drawBox(const Box& box);
  void drawPorts();
  void drawLabels();
  bool drawLabel(const Curve& curve);
  void drawTitle();
  void drawLegend();
  void drawLegendEntry(double& x, double& y, double width, const std::string& sample,
                       const std::string& text);
  std::string frame() const;
  double wholeWidth() const {
    return std::max({420.0, layout_.width, 48 + 10.4 * static_cast<double>(topology_.name.size())});
  }
  std::string tip(const Node& node) const;

  const Topology& topology_;
  std::vector<DrawnLink> links_;
  Layout layout_;
  std::vector<Curve> curves_;
  std::vector<int32_t> rankOf_;
  std::vector<Rect> labels_;
  double bottom_ = 0;
  std::string body_;
};

void Drawing::drawPanel(const Panel& panel) {
  const Rect& at = panel.at;
  if (panel.title.empty() && layout_.panels.size() == 1) return;
  for (int shadow = panel.alike > 1 ? 2 : 0; shadow >= 0; --shadow) {
    fmt::format_to(out(),
                   "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"10\" "
                   "fill=\"#fafafa\" stroke=\"#cbd5e1\"/>\n",
                   at.x + 5 * shadow, at.y - 5 * shadow, at.width, at.height);
  }
  fmt::format_to(out(), "<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"panel\">{}</text>\n", at.x + 14,
                 panel.isFlipped ? at.bottom() - 10 : at.y + 20, escaped(panel.title));
}

void Drawing::drawCurve(const Curve& curve) {
  const bool isStraight =
      std::abs(curve.from.x - curve.to.x) < 0.5 || std::abs(curve.from.y - curve.to.y) < 0.5;
  const bool isArc =
      isStraight && curve.fromPull.y != curve.from.y && std::abs(curve.from.y - curve.to.y) < 0.5;
  fmt::format_to(out(), "<path d=\"M{:.1f} {:.1f}", curve.from.x, curve.from.y);
  if (isStraight && !isArc) {
    fmt::format_to(out(), "L{:.1f} {:.1f}", curve.to.x, curve.to.y);
  } else {
    fmt::format_to(out(), "C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}", curve.fromPull.x,
                   curve.fromPull.y, curve.toPull.x, curve.toPull.y, curve.to.x, curve.to.y);
  }
  fmt::format_to(out(), "\" stroke=\"{}\" stroke-width=\"{:.1f}\"{}/>\n",
                 colourOf(curve.link->kind), widthOf(curve.link->capacity),
                 curve.link->isDuplex ? "" : " marker-end=\"url(#arrow)\"");
}

std::string Drawing::tip(const Node& node) const {
  std::string text = fmt::format("{} {}", name(node.kind), node.id);
  for (const std::string* fact : {&node.vendor, &node.model, &node.address, &node.site}) {
    if (!fact->empty()) text += ", " + *fact;
  }
  return escaped(text);
}

void Drawing::drawBox(const Box& box) {
  const Node& node = topology_.nodes[static_cast<size_t>(box.node)];
  const int32_t rank = rankOf_[static_cast<size_t>(box.node)];
  const Rect& at = box.at;
  fmt::format_to(out(),
                 "<g><title>{}</title><rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
                 "height=\"{:.1f}\" rx=\"6\" fill=\"{}\" stroke=\"{}\"/>",
                 tip(node), at.x, at.y, at.width, at.height, fillOf(node.kind),
                 strokeOf(node.kind));
  const double middle = at.y + at.height / 2;
  if (rank >= 0) {
    fmt::format_to(out(), "<text x=\"{0:.1f}\" y=\"{1:.1f}\" class=\"rank\">rank {2}</text>",
                   at.centre(), middle - 3, rank);
    fmt::format_to(out(), "<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"small\">{}</text>", at.centre(),
                   middle + 11, escaped(fitted(shortId(node), at.width - 4, 9)));
  } else {
    fmt::format_to(out(), "<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"node\">{}</text>", at.centre(),
                   middle + 3.5, escaped(fitted(shortId(node), at.width - 4, 10)));
  }
  fmt::format_to(out(), "</g>\n");
}

// Where a line meets a bar, so that it is told from one that passes behind.
void Drawing::drawPorts() {
  for (const Curve& curve : curves_) {
    for (const auto& [point, isBar] :
         {std::pair(curve.from, curve.isFromBar), std::pair(curve.to, curve.isToBar)}) {
      if (!isBar) continue;
      fmt::format_to(out(), "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.6\" fill=\"{}\"/>\n",
                     point.x, point.y, colourOf(curve.link->kind));
    }
  }
}

bool Drawing::drawLabel(const Curve& curve) {
  const std::string text = gigabytesText(curve.link->capacity);
  const double width = kLetter * 0.95 * static_cast<double>(text.size()) + 5;
  for (const double part : {0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.12, 0.88}) {
    const Point point = curve.at(part);
    const Rect at{point.x - width / 2, point.y - 6.5, width, 13};
    const auto isHit = [&](const Rect& other) { return at.overlaps(other); };
    if (std::any_of(labels_.begin(), labels_.end(), isHit)) continue;
    if (std::any_of(layout_.boxes.begin(), layout_.boxes.end(),
                    [&](const Box& box) { return at.overlaps(box.at); })) {
      continue;
    }
    labels_.push_back(at);
    fmt::format_to(out(),
                   "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"13\" rx=\"3\" "
                   "fill=\"#ffffff\" fill-opacity=\"0.88\"/><text x=\"{:.1f}\" y=\"{:.1f}\" "
                   "class=\"rate\" style=\"fill:{}\">{}</text>\n",
                   at.x, at.y, at.width, point.x, point.y + 3.4, colourOf(curve.link->kind), text);
    return true;
  }
  return false;
}

// Upright lines first, which have the least choice.
void Drawing::drawLabels() {
  std::vector<const Curve*> order;
  for (const Curve& curve : curves_) order.push_back(&curve);
  std::stable_sort(order.begin(), order.end(), [](const Curve* a, const Curve* b) {
    return std::abs(a->from.x - a->to.x) < std::abs(b->from.x - b->to.x);
  });
  for (const Curve* curve : order) drawLabel(*curve);
}

void Drawing::drawTitle() {
  std::map<NodeKind, size_t> counts;
  for (const Node& node : topology_.nodes) ++counts[node.kind];
  size_t machines = 0;
  for (const Panel& panel : layout_.panels) machines += panel.alike;
  std::string summary = countOf(counts[NodeKind::kRank], "rank");
  if (machines > 1) summary += ", " + countOf(machines, "machine");
  if (counts[NodeKind::kNic] > 0) summary += ", " + countOf(counts[NodeKind::kNic], "NIC");
  fmt::format_to(out(), "<text x=\"24\" y=\"28\" class=\"title\">{}</text>\n",
                 escaped(topology_.name.empty() ? "topology" : topology_.name));
  fmt::format_to(out(), "<text x=\"24\" y=\"46\" class=\"sub\">{}; GB/s in each direction</text>\n",
                 summary);
}

void Drawing::drawLegendEntry(double& x, double& y, double width, const std::string& sample,
                              const std::string& text) {
  const double needed = 40 + 6.3 * static_cast<double>(text.size()) + 22;
  if (x > 24 && x + needed > width) {
    x = 24;
    y += 20;
  }
  fmt::format_to(out(),
                 "<g transform=\"translate({:.1f} {:.1f})\">{}<text x=\"36\" y=\"4\" "
                 "class=\"key\">{}</text></g>\n",
                 x, y, sample, escaped(text));
  x += needed;
}

void Drawing::drawLegend() {
  const double width = wholeWidth();
  double x = 24;
  double y = layout_.bottom + 34;
  std::map<NodeKind, bool> kinds;
  for (const Box& box : layout_.boxes)
    kinds[topology_.nodes[static_cast<size_t>(box.node)].kind] = true;
  for (const auto& [kind, isUsed] : kinds) {
    drawLegendEntry(x, y, width,
                    fmt::format("<rect x=\"4\" y=\"-7\" width=\"26\" height=\"14\" rx=\"4\" "
                                "fill=\"{}\" stroke=\"{}\"/>",
                                fillOf(kind), strokeOf(kind)),
                    std::string(name(kind)));
  }
  std::map<LinkKind, std::map<int64_t, size_t>> rates;
  for (const DrawnLink& link : links_) ++rates[link.kind][link.capacity];
  x = 24;
  y += 22;
  for (const auto& [kind, counts] : rates) {
    std::vector<std::string> words;
    for (auto each = counts.rbegin(); each != counts.rend() && words.size() < 4; ++each) {
      words.push_back(fmt::format("{} ({}x)", gigabytesText(each->first), each->second));
    }
    if (words.size() < counts.size()) {
      words.push_back(fmt::format(".. {}", gigabytesText(counts.begin()->first)));
    }
    drawLegendEntry(x, y, width,
                    fmt::format("<path d=\"M2 0H30\" stroke=\"{}\" stroke-width=\"{:.1f}\"/>",
                                colourOf(kind), widthOf(counts.rbegin()->first)),
                    fmt::format("{} {}", name(kind), fmt::join(words, ", ")));
  }
  bottom_ = y + 24;
}

std::string Drawing::frame() const {
  const double width = wholeWidth();
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
             "viewBox=\"0 0 {0:.0f} {1:.0f}\" font-family=\"DejaVu Sans, Verdana, Helvetica, "
             "Arial, "
             "sans-serif\">\n<title>{2}</title>\n"
             "<style>\npath{{fill:none;stroke-linecap:round}}\n"
             "text{{fill:#0f172a;text-anchor:middle;font-size:10px}}\n"
             ".title{{font-size:17px;font-weight:bold;text-anchor:start}}\n"
             ".sub{{font-size:11px;fill:#475569;text-anchor:start}}\n"
             ".panel{{font-size:12px;font-weight:bold;fill:#334155;text-anchor:start}}\n"
             ".rank{{font-size:11px;font-weight:bold}}\n.small{{font-size:9px;fill:#475569}}\n"
             ".rate{{font-size:9.5px}}\n.key{{font-size:11px;text-anchor:start}}\n</style>\n"
             "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" "
             "markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">"
             "<path d=\"M0 0L8 4L0 8z\" style=\"fill:#334155\"/></marker></defs>\n"
             "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
             width, bottom_, escaped(topology_.name)) +
         body_ + "</svg>\n";
}

}  // namespace

std::string toSvg(const Topology& topology) { return Drawing(topology).text(); }

}  // namespace tutti::topology
