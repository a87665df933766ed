// Where a drawing's boxes stand. Private to topology/picture*.cc.
#pragma once

#include <string>
#include <vector>

#include "topology/graph.h"
#include "topology/picture_style.h"

namespace tutti::topology {

// Pixels.
struct Rect {
  double x = 0;
  double y = 0;
  double width = 0;
  double height = 0;
  double right() const { return x + width; }
  double bottom() const { return y + height; }
  double centre() const { return x + width / 2; }
  bool overlaps(const Rect& other) const {
    return x < other.right() && other.x < right() && y < other.bottom() && other.y < bottom();
  }
};

struct Box {
  NodeIndex node = 0;
  Rect at;
  bool isBar = false;  // links meet it anywhere along its width
  int row = 0;         // boxes of one row have equal ones
  // How far links between two of a row may go round below it, or if negative, above it.
  double arcRoom = 0;
};

struct Panel {
  std::string title;
  std::vector<NodeIndex> nodes;
  size_t alike = 1;        // machines that this one stands for
  bool isFlipped = false;  // its outer edge is the lower one
  Rect at;
};

struct Layout {
  std::vector<Panel> panels;  // only those that are drawn
  std::vector<Box> boxes;
  std::vector<int32_t> boxOfNode;  // -1: not drawn
  double width = 0;
  double bottom = 0;  // of all boxes and panels
};

Layout layOut(const Topology& topology, const std::vector<DrawnLink>& links);

// For both kinds of rows.
inline constexpr double kColumnWidth = 84;
inline constexpr double kBoxWidth = 66;
inline constexpr double kBoxHeight = 30;

using Neighbours = std::vector<std::vector<NodeIndex>>;

// What a switch of a row has to span, or where it may stand.
struct HubSpan {
  NodeIndex node = 0;
  double low = 0;
  double high = 0;
};

// Switches of one row, as bars over what they span where these do not overlap, else as boxes evenly
// between `left` and `right`. Appends them to `boxes`.
void placeHubs(std::vector<HubSpan> spans, double left, double right, double y, int row,
               double arcRoom, std::vector<Box>& boxes);

// One machine, from its outer edge (y = 0) inwards to the network. `near` has all neighbours of all
// nodes, `isInside` says which nodes are the machine's.
struct PanelPlan {
  std::vector<Box> boxes;
  double width = 0;
  double height = 0;
};
PanelPlan layOutPanel(const Topology& topology, const Panel& panel, const Neighbours& near,
                      const std::vector<bool>& isInside);

}  // namespace tutti::topology
