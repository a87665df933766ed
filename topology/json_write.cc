#include <fmt/format.h>

#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include "topology/decimal.h"
#include "topology/json.h"

namespace tutti::topology {
namespace {

using Out = std::back_insert_iterator<std::string>;

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void writeNode(Out out, const Node& node) {
  fmt::format_to(out, "{{\"id\": {}, \"kind\": \"{}\"", quoted(node.id), name(node.kind));
  const std::pair<std::string_view, const std::string*> texts[] = {{"host", &node.host},
                                                                   {"site", &node.site},
                                                                   {"vendor", &node.vendor},
                                                                   {"model", &node.model},
                                                                   {"address", &node.address}};
  for (const auto& [key, text] : texts) {
    if (!text->empty()) fmt::format_to(out, ", \"{}\": {}", key, quoted(*text));
  }
  fmt::format_to(out, "}}");
}

void writeLink(Out out, const Topology& topology, const Link& link, bool isDuplex) {
  fmt::format_to(out, "{{\"a\": {}, \"b\": {}, \"gb_per_s\": {}",
                 quoted(topology.nodes[static_cast<size_t>(link.from)].id),
                 quoted(topology.nodes[static_cast<size_t>(link.to)].id),
                 decimalText(link.capacity, 6));
  if (link.latencyNs != 0) {
    fmt::format_to(out, ", \"latency_us\": {}", decimalText(link.latencyNs, 3));
  }
  if (!isDuplex) fmt::format_to(out, ", \"duplex\": false");
  fmt::format_to(out, ", \"kind\": \"{}\"", name(link.kind));
  if (link.provenance != Provenance::kDeclared) {
    fmt::format_to(out, ", \"provenance\": \"{}\"", name(link.provenance));
  }
  fmt::format_to(out, "}}");
}

// Is `back` what addDuplex would have put after `link`?
bool isReverse(const Link& link, Link back) {
  std::swap(back.from, back.to);
  return back == link;
}

// For each link, its number from 1 among those of the same ends, or 0 where it is the only one.
std::vector<int> numbersAmongParallel(const Topology& topology) {
  std::map<std::pair<NodeIndex, NodeIndex>, int> counts;
  for (const Link& link : topology.links) ++counts[{link.from, link.to}];
  std::map<std::pair<NodeIndex, NodeIndex>, int> seen;
  std::vector<int> numbers;
  for (const Link& link : topology.links) {
    const std::pair ends(link.from, link.to);
    numbers.push_back(counts[ends] == 1 ? 0 : ++seen[ends]);
  }
  return numbers;
}

void writeResource(Out out, const Topology& topology, const Resource& resource,
                   const std::vector<int>& numbers) {
  fmt::format_to(out, "{{\"id\": {}, \"gb_per_s\": {}, \"charges\": [", quoted(resource.id),
                 decimalText(resource.capacity, 6));
  std::string_view before;
  for (const Charge& charge : resource.charges) {
    const auto at = static_cast<size_t>(charge.link);
    const Link& link = topology.links[at];
    fmt::format_to(out, "{}{{\"a\": {}, \"b\": {}, \"units\": {}", before,
                   quoted(topology.nodes[static_cast<size_t>(link.from)].id),
                   quoted(topology.nodes[static_cast<size_t>(link.to)].id), charge.units);
    if (numbers[at] != 0) fmt::format_to(out, ", \"nth\": {}", numbers[at]);
    fmt::format_to(out, "}}");
    before = ", ";
  }
  fmt::format_to(out, "]}}");
}

}  // namespace

std::string toJson(const Topology& topology) {
  std::string text = "{";
  const auto out = std::back_inserter(text);
  if (!topology.name.empty()) fmt::format_to(out, "\"name\": {},\n ", quoted(topology.name));
  fmt::format_to(out, "\"nodes\": [");
  std::string_view before = "\n  ";
  for (const Node& node : topology.nodes) {
    fmt::format_to(out, "{}", before);
    writeNode(out, node);
    before = ",\n  ";
  }
  fmt::format_to(out, "],\n \"links\": [");
  before = "\n  ";
  for (size_t i = 0; i < topology.links.size(); ++i) {
    const Link& link = topology.links[i];
    const bool isDuplex = i + 1 < topology.links.size() && isReverse(link, topology.links[i + 1]);
    fmt::format_to(out, "{}", before);
    writeLink(out, topology, link, isDuplex);
    if (isDuplex) ++i;
    before = ",\n  ";
  }
  fmt::format_to(out, "]");
  if (!topology.resources.empty()) {
    const std::vector<int> numbers = numbersAmongParallel(topology);
    fmt::format_to(out, ",\n \"resources\": [");
    before = "\n  ";
    for (const Resource& resource : topology.resources) {
      fmt::format_to(out, "{}", before);
      writeResource(out, topology, resource, numbers);
      before = ",\n  ";
    }
    fmt::format_to(out, "]");
  }
  return text + "}\n";
}

}  // namespace tutti::topology
