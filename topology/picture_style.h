// Colours, widths and words that the drawings share. Private to topology/picture*.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "topology/graph.h"

namespace tutti::topology {

// What two nodes have between them: links of one kind are drawn as one line.
struct DrawnLink {
  NodeIndex a = 0;
  NodeIndex b = 0;
  LinkKind kind = LinkKind::kOther;
  int64_t capacity = 0;
  bool isDuplex = true;  // b to a is as wide; else it is a line of its own, or there is none
};

// In the order of their first links.
std::vector<DrawnLink> drawnLinks(const Topology& topology);

// What a box says: the id without its machine and without what its kind says already.
std::string shortId(const Node& node);

std::string_view fillOf(NodeKind kind);    // "#rrggbb", light
std::string_view strokeOf(NodeKind kind);  // the same, dark
std::string_view colourOf(LinkKind kind);
// Of the line of a link, in pixels: 1 to 6.
double widthOf(int64_t capacity);

}  // namespace tutti::topology
