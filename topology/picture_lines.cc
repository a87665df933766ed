#include "topology/picture_lines.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

namespace tutti::topology {
namespace {

// Where a link meets a box.
struct Port {
  size_t box = 0;
  int side = 0;  // 1: its lower edge, -1: its upper edge, 2 and -2: right and left
  double x = 0;
};

// A link with its two ports.
struct LineRoute {
  const DrawnLink* link = nullptr;
  Port a, b;
  bool isArc = false;
};

class Router {
 public:
  Router(const Layout& layout, const std::vector<DrawnLink>& links) : layout_(layout) {
    for (const DrawnLink& link : links) {
      const int32_t a = layout.boxOfNode[static_cast<size_t>(link.a)];
      const int32_t b = layout.boxOfNode[static_cast<size_t>(link.b)];
      if (a < 0 || b < 0) continue;
      routes_.push_back({&link, {static_cast<size_t>(a), 0, 0}, {static_cast<size_t>(b), 0, 0}});
    }
  }

  std::vector<Curve> run() {
    for (LineRoute& route : routes_) chooseSides(route);
    spreadPorts();
    for (LineRoute& route : routes_) meetBars(route);
    for (LineRoute& route : routes_) straighten(route);
    std::vector<Curve> curves;
    for (const LineRoute& route : routes_) curves.push_back(curveOf(route));
    return curves;
  }

 private:
  const Box& box(const Port& port) const { return layout_.boxes[port.box]; }

  void chooseSides(LineRoute& route);
  bool isNextTo(const Box& a, const Box& b) const;
  void spreadPorts();
  void meetBars(LineRoute& route);
  void straighten(LineRoute& route);
  Curve curveOf(const LineRoute& route) const;

  const Layout& layout_;
  std::vector<LineRoute> routes_;
  std::map<std::pair<size_t, int>, int> busy_;  // links at a side of a box
};

bool Router::isNextTo(const Box& a, const Box& b) const {
  const double left = std::min(a.at.right(), b.at.right());
  const double right = std::max(a.at.x, b.at.x);
  return std::none_of(layout_.boxes.begin(), layout_.boxes.end(), [&](const Box& other) {
    return other.row == a.row && other.at.x < right && other.at.right() > left;
  });
}

void Router::chooseSides(LineRoute& route) {
  const Box& a = box(route.a);
  const Box& b = box(route.b);
  if (a.row == b.row && a.isBar && b.isBar && isNextTo(a, b)) {
    route.a.side = a.at.x < b.at.x ? 2 : -2;
    route.b.side = -route.a.side;
    return;
  }
  route.isArc = a.row == b.row;
  const bool isBelow = route.isArc ? a.arcRoom > 0 : a.at.y < b.at.y;
  route.a.side = isBelow ? 1 : -1;
  route.b.side = route.isArc ? route.a.side : -route.a.side;
}

// The links at a side of a box leave it in the order in which their other ends stand.
void Router::spreadPorts() {
  std::map<std::pair<size_t, int>, std::vector<std::pair<double, Port*>>> sides;
  for (LineRoute& route : routes_) {
    sides[{route.a.box, route.a.side}].emplace_back(box(route.b).at.centre(), &route.a);
    sides[{route.b.box, route.b.side}].emplace_back(box(route.a).at.centre(), &route.b);
  }
  for (auto& [side, ports] : sides) {
    const Rect& at = layout_.boxes[side.first].at;
    std::stable_sort(ports.begin(), ports.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    const auto count = static_cast<double>(ports.size());
    const double step = count > 1 ? std::min(0.76 * at.width / (count - 1), 12.0) : 0;
    for (size_t i = 0; i < ports.size(); ++i) {
      ports[i].second->x = at.centre() + (static_cast<double>(i) - (count - 1) / 2) * step;
    }
    busy_[side] = static_cast<int>(ports.size());
  }
}

// Bars are met right above or below the other end.
void Router::meetBars(LineRoute& route) {
  const Box& a = box(route.a);
  const Box& b = box(route.b);
  const auto inside = [](double x, const Box& bar) {
    constexpr double kCorner = 8;
    return std::clamp(x, bar.at.x + kCorner,
                      std::max(bar.at.x, bar.at.right() - 2 * kCorner) + kCorner);
  };
  if (a.isBar && b.isBar) {
    const double low = std::max(a.at.x, b.at.x);
    const double high = std::min(a.at.right(), b.at.right());
    route.a.x = inside((low + high) / 2, a);
    route.b.x = inside((low + high) / 2, b);
  } else if (a.isBar) {
    route.a.x = inside(route.b.x, a);
  } else if (b.isBar) {
    route.b.x = inside(route.a.x, b);
  }
}

// A link that has a side to itself goes straight if it can.
void Router::straighten(LineRoute& route) {
  if (route.isArc || box(route.a).isBar || box(route.b).isBar) return;
  const auto follow = [&](Port& port, const Port& other) {
    const Rect& at = box(port).at;
    if (busy_[{port.box, port.side}] != 1) return false;
    if (std::abs(other.x - at.centre()) > 0.4 * at.width) return false;
    port.x = other.x;
    return true;
  };
  if (!follow(route.a, route.b)) follow(route.b, route.a);
}

Curve Router::curveOf(const LineRoute& route) const {
  const auto end = [&](const Port& port) -> Point {
    const Rect& at = box(port).at;
    if (port.side == 2) return {at.right(), at.y + at.height / 2};
    if (port.side == -2) return {at.x, at.y + at.height / 2};
    return {port.x, port.side > 0 ? at.bottom() : at.y};
  };
  Curve curve;
  curve.link = route.link;
  curve.from = end(route.a);
  curve.to = end(route.b);
  curve.isFromBar = box(route.a).isBar;
  curve.isToBar = box(route.b).isBar;
  const bool isLevel = std::abs(route.a.side) == 2;
  // A cubic's bow is three quarters of its pull.
  const double span = std::abs(curve.from.x - curve.to.x);
  const double room = std::abs(box(route.a).arcRoom) / 0.75;
  const double reach = route.isArc
                           ? std::min(16 + 0.26 * span, room * (0.4 + 0.6 * span / (span + 300)))
                       : isLevel ? 0
                                 : 0.45 * std::abs(curve.from.y - curve.to.y);
  curve.fromPull = {curve.from.x, curve.from.y + reach * (route.a.side > 0 ? 1 : -1)};
  curve.toPull = {curve.to.x, curve.to.y + reach * (route.b.side > 0 ? 1 : -1)};
  return curve;
}

}  // namespace

Point Curve::at(double part) const {
  const double rest = 1 - part;
  const auto mix = [&](double a, double b, double c, double d) {
    return rest * rest * rest * a + 3 * rest * rest * part * b + 3 * rest * part * part * c +
           part * part * part * d;
  };
  return {mix(from.x, fromPull.x, toPull.x, to.x), mix(from.y, fromPull.y, toPull.y, to.y)};
}

std::vector<Curve> drawCurves(const Layout& layout, const std::vector<DrawnLink>& links) {
  return Router(layout, links).run();
}

}  // namespace tutti::topology
