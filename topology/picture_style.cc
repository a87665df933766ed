#include "topology/picture_style.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

namespace tutti::topology {

std::vector<DrawnLink> drawnLinks(const Topology& topology) {
  using Ends = std::tuple<NodeIndex, NodeIndex, LinkKind>;
  std::map<Ends, size_t> places;
  std::vector<DrawnLink> lines;
  for (const Link& link : topology.links) {
    const auto [place, isNew] = places.emplace(Ends(link.from, link.to, link.kind), lines.size());
    if (isNew) lines.push_back({link.from, link.to, link.kind, 0, false});
    lines[place->second].capacity += link.capacity;
  }
  std::vector<DrawnLink> drawn;
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto back = places.find(Ends(lines[i].b, lines[i].a, lines[i].kind));
    const bool isDuplex = back != places.end() && lines[back->second].capacity == lines[i].capacity;
    if (isDuplex && back->second < i) continue;
    drawn.push_back(lines[i]);
    drawn.back().isDuplex = isDuplex;
  }
  return drawn;
}

std::string shortId(const Node& node) {
  std::string_view id = node.id;
  if (!node.host.empty() && id.starts_with(node.host + "/")) id.remove_prefix(node.host.size() + 1);
  const size_t slash = id.find('/');
  const bool isCopy = id.size() > 1 && id[0] == 'm' && slash != std::string_view::npos &&
                      id.find_first_not_of("0123456789", 1) == slash;
  if (isCopy && slash + 1 < id.size()) id.remove_prefix(slash + 1);
  for (const std::string_view word : {"nic ", "pci ", "site "}) {
    if (id.starts_with(word) && id.size() > word.size()) id.remove_prefix(word.size());
  }
  if (id.starts_with("0000:") && id.size() > 5)
    id.remove_prefix(5);  // the PCI domain of nearly all
  return std::string(id);
}

std::string_view fillOf(NodeKind kind) {
  constexpr std::string_view kFills[] = {"#dbeafe", "#ede9fe", "#dcfce7", "#f1f5f9", "#ffedd5"};
  return kFills[static_cast<size_t>(kind)];
}

std::string_view strokeOf(NodeKind kind) {
  constexpr std::string_view kStrokes[] = {"#1d4ed8", "#6d28d9", "#15803d", "#64748b", "#c2410c"};
  return kStrokes[static_cast<size_t>(kind)];
}

std::string_view colourOf(LinkKind kind) {
  constexpr std::string_view kColours[] = {"#7c3aed", "#db2777", "#64748b",
                                           "#ea580c", "#16a34a", "#0891b2"};
  return kColours[static_cast<size_t>(kind)];
}

double widthOf(int64_t capacity) {
  const double gigabytes = static_cast<double>(capacity) / kGigabyte;
  return std::clamp(1 + 1.6 * std::log10(1 + gigabytes / 4), 1.0, 6.0);
}

}  // namespace tutti::topology
