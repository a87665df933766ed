#include <fmt/format.h>

#include <map>
#include <tuple>

#include "src/plan/bound.h"
#include "src/plan/index.h"

namespace tutti::plan {
namespace {

using topology::Topology;

std::string rateText(const Rational& kilobytesPerSecond) {
  return fmt::format("{:.6g} GB/s", kilobytesPerSecond.value() / topology::kGigabyte);
}

// "rank 3", "ranks 0-7, 9".
std::string ranksText(const std::vector<int32_t>& ranks) {
  constexpr int kMostRuns = 6;
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  int runs = 0;
  for (size_t i = 0; i < ranks.size(); ++runs) {
    size_t end = i + 1;
    while (end < ranks.size() && ranks[end] == ranks[end - 1] + 1) ++end;
    if (runs == kMostRuns) return text + fmt::format(" and {} more", ranks.size() - i);
    if (runs > 0) text += ", ";
    text += std::to_string(ranks[i]);
    if (end - i > 1) text += fmt::format("-{}", ranks[end - 1]);
    i = end;
  }
  return text;
}

std::string partsText(const std::vector<std::vector<int32_t>>& parts) {
  constexpr size_t kMostParts = 6;
  std::string text;
  for (size_t i = 0; i < parts.size() && i < kMostParts; ++i) {
    text += (i > 0 ? "; " : "") + ranksText(parts[i]);
  }
  if (parts.size() > kMostParts) text += fmt::format("; and {} more", parts.size() - kMostParts);
  return text;
}

// "8 network links of 25 GB/s (a to b, c to d, ...), 1 pci link of ...": links of a kind and
// capacity together.
std::string linksText(const Topology& topology, const std::vector<topology::LinkIndex>& links) {
  constexpr size_t kMostNamed = 3;
  std::map<std::pair<topology::LinkKind, int64_t>, std::vector<topology::LinkIndex>> groups;
  for (const auto index : links) {
    const topology::Link& link = topology.links[at(index)];
    groups[{link.kind, link.capacity}].push_back(index);
  }
  std::string text;
  for (const auto& [key, group] : groups) {
    text += fmt::format("{}{} {} link{} of {} GB/s (", text.empty() ? "" : ", ", group.size(),
                        topology::name(key.first), group.size() == 1 ? "" : "s",
                        topology::gigabytesText(key.second));
    for (size_t i = 0; i < group.size() && i < kMostNamed; ++i) {
      const topology::Link& link = topology.links[at(group[i])];
      text += fmt::format("{}{} to {}", i > 0 ? ", " : "", topology.nodes[at(link.from)].id,
                          topology.nodes[at(link.to)].id);
    }
    text += group.size() > kMostNamed ? ", ...)" : ")";
  }
  return text;
}

std::string resourcesText(const Topology& topology, const Bound& bound) {
  std::string text;
  for (const topology::Resource& resource : topology.resources) {
    for (const std::string& id : bound.resources) {
      if (resource.id != id) continue;
      text += fmt::format("{}\"{}\" of {} GB/s", text.empty() ? "" : ", ", id,
                          topology::gigabytesText(resource.capacity));
    }
  }
  return text;
}

}  // namespace

std::string explain(const Topology& topology, const Bound& bound) {
  const std::string name{ir::name(bound.collective)};
  if (bound.kilobytesPerSecond.isUnlimited()) return name + ": nothing has to move";
  std::string text = fmt::format("{}: at most {}", name, rateText(bound.kilobytesPerSecond));
  if (!bound.isExact && bound.reachable.num > 0) {
    text += fmt::format(" (at least {} can be reached)", rateText(bound.reachable));
  }
  if (!bound.resources.empty()) {
    return text +
           fmt::format(". What these links share limits you: {}, between {} and the rest: {}",
                       resourcesText(topology, bound), ranksText(bound.parts[0]),
                       linksText(topology, bound.links));
  }
  if (bound.parts.size() == 2) {
    text += fmt::format(". Between {}", partsText({bound.parts[0]}));
    text += fmt::format(" and {}", partsText({bound.parts[1]}));
  } else {
    text += fmt::format(". Between {} parts ({})", bound.parts.size(), partsText(bound.parts));
  }
  return text + ", these links limit you: " + linksText(topology, bound.links);
}

}  // namespace tutti::plan
