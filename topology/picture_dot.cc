#include <fmt/format.h>

#include <iterator>
#include <map>

#include "topology/picture.h"
#include "topology/picture_style.h"

namespace tutti::topology {
namespace {

std::string quoted(std::string_view text) {
  std::string made = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') made += '\\';
    made += c;
  }
  return made + "\"";
}

std::string_view shapeOf(NodeKind kind) {
  constexpr std::string_view kShapes[] = {"box", "hexagon", "cds", "trapezium", "box3d"};
  return kShapes[static_cast<size_t>(kind)];
}

}  // namespace

std::string toDot(const Topology& topology) {
  std::map<std::string, std::vector<size_t>> hosts;
  for (size_t i = 0; i < topology.nodes.size(); ++i) hosts[topology.nodes[i].host].push_back(i);
  std::string text = fmt::format("digraph {} {{\n", quoted(topology.name));
  const auto out = std::back_inserter(text);
  fmt::format_to(out,
                 "  graph [fontname=\"sans-serif\" rankdir=TB];\n"
                 "  node [fontname=\"sans-serif\" fontsize=10 style=filled];\n"
                 "  edge [fontname=\"sans-serif\" fontsize=8];\n");
  for (const auto& [host, nodes] : hosts) {
    if (!host.empty()) {
      fmt::format_to(out, "  subgraph {} {{\n  label={};\n", quoted("cluster " + host),
                     quoted(host));
    }
    for (const size_t i : nodes) {
      const Node& node = topology.nodes[i];
      fmt::format_to(out, "  n{} [label={} shape={} fillcolor=\"{}\"];\n", i, quoted(node.id),
                     shapeOf(node.kind), fillOf(node.kind));
    }
    if (!host.empty()) fmt::format_to(out, "  }}\n");
  }
  for (const DrawnLink& link : drawnLinks(topology)) {
    fmt::format_to(out, "  n{} -> n{} [label=\"{}\" color=\"{}\" penwidth={:.1f} dir={}];\n",
                   link.a, link.b, gigabytesText(link.capacity), colourOf(link.kind),
                   widthOf(link.capacity), link.isDuplex ? "none" : "forward");
  }
  return text + "}\n";
}

}  // namespace tutti::topology
