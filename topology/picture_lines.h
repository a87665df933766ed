// How a drawing's links run. Private to topology/picture*.cc.
#pragma once

#include <vector>

#include "topology/picture_layout.h"

namespace tutti::topology {

struct Point {
  double x = 0;
  double y = 0;
};

// A cubic curve between two boxes; upright lines are curves, too.
struct Curve {
  const DrawnLink* link = nullptr;
  Point from, fromPull, toPull, to;
  bool isFromBar = false;
  bool isToBar = false;
  Point at(double part) const;  // 0 to 1
};

// Of the links whose ends are both drawn, and of each in the order of `links`.
std::vector<Curve> drawCurves(const Layout& layout, const std::vector<DrawnLink>& links);

}  // namespace tutti::topology
