#include "topology/differences.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <tuple>

namespace tutti::topology {
namespace {

constexpr size_t kMostLines = 20;

class Comparison {
 public:
  Comparison(const Topology& before, const Topology& after)
      : before_(before), after_(after), partner_(before.nodes.size(), -1) {}

  std::vector<std::string> run() {
    if (before_.digest() == after_.digest()) return {};
    pairNodes();
    compareNodes();
    compareLinks();
    if (!before_.resources.empty() || !after_.resources.empty()) {
      if (before_.resources != after_.resources) add("resources differ");
    }
    if (count_ == 0) add("nodes or links come in another order");
    if (count_ > kMostLines) lines_.push_back(fmt::format("and {} more", count_ - kMostLines));
    return std::move(lines_);
  }

 private:
  // From, to and kind, in nodes of `before`, then how many of these there were.
  using LinkEnds = std::tuple<NodeIndex, NodeIndex, LinkKind>;
  using LinkKey = std::pair<LinkEnds, int>;

  static const Node& node(const Topology& topology, NodeIndex index) {
    return topology.nodes[static_cast<size_t>(index)];
  }

  void add(std::string line) {
    if (++count_ <= kMostLines) lines_.push_back(std::move(line));
  }

  void pairNodes() {
    std::map<std::string_view, NodeIndex> byId;
    for (size_t i = 0; i < after_.nodes.size(); ++i) {
      byId.emplace(after_.nodes[i].id, static_cast<NodeIndex>(i));
    }
    original_.assign(after_.nodes.size(), -1);
    for (size_t i = 0; i < before_.nodes.size(); ++i) {
      const auto same = byId.find(before_.nodes[i].id);
      if (same == byId.end() || node(after_, same->second).kind != before_.nodes[i].kind) continue;
      pair(static_cast<NodeIndex>(i), same->second);
    }
    size_t next[5] = {};
    for (size_t i = 0; i < before_.nodes.size(); ++i) {
      if (partner_[i] >= 0) continue;
      const NodeKind kind = before_.nodes[i].kind;
      size_t& at = next[static_cast<size_t>(kind)];
      while (at < after_.nodes.size() && (original_[at] >= 0 || after_.nodes[at].kind != kind))
        ++at;
      if (at < after_.nodes.size()) pair(static_cast<NodeIndex>(i), static_cast<NodeIndex>(at));
    }
  }

  void pair(NodeIndex before, NodeIndex after) {
    partner_[static_cast<size_t>(before)] = after;
    original_[static_cast<size_t>(after)] = before;
  }

  void compareNodes() {
    for (size_t i = 0; i < before_.nodes.size(); ++i) {
      const Node& old = before_.nodes[i];
      if (partner_[i] < 0) {
        add(fmt::format("{} {} is missing", name(old.kind), old.id));
        continue;
      }
      const Node& now = node(after_, partner_[i]);
      const std::array<std::tuple<const char*, const std::string*, const std::string*>, 6> texts{{
          {"id", &old.id, &now.id},
          {"host", &old.host, &now.host},
          {"site", &old.site, &now.site},
          {"vendor", &old.vendor, &now.vendor},
          {"model", &old.model, &now.model},
          {"address", &old.address, &now.address},
      }};
      for (const auto& [what, was, is] : texts) {
        if (*was != *is) add(fmt::format("{}: {} \"{}\" became \"{}\"", old.id, what, *was, *is));
      }
    }
    for (size_t i = 0; i < after_.nodes.size(); ++i) {
      if (original_[i] < 0) {
        add(fmt::format("{} {} is new", name(after_.nodes[i].kind), after_.nodes[i].id));
      }
    }
  }

  static std::map<LinkKey, const Link*> linksOf(const Topology& topology,
                                                const std::vector<NodeIndex>* rename) {
    std::map<LinkKey, const Link*> links;
    std::map<LinkEnds, int> counts;
    for (const Link& link : topology.links) {
      const auto named = [&](NodeIndex index) {
        if (rename == nullptr) return index;
        const NodeIndex original = (*rename)[static_cast<size_t>(index)];
        return original >= 0 ? original : -2 - index;
      };
      const LinkEnds ends{named(link.from), named(link.to), link.kind};
      links[{ends, counts[ends]++}] = &link;
    }
    return links;
  }

  void compareLinks() {
    const auto old = linksOf(before_, nullptr);
    const auto now = linksOf(after_, &original_);
    for (const auto& [key, link] : old) {
      const auto found = now.find(key);
      const std::string title =
          fmt::format("{} -> {}", node(before_, link->from).id, node(before_, link->to).id);
      if (found == now.end()) {
        add(fmt::format("{}: {} link of {} GB/s is missing", title, name(link->kind),
                        gigabytesText(link->capacity)));
      } else {
        compareLink(title, *link, *found->second);
      }
    }
    for (const auto& [key, link] : now) {
      if (old.contains(key)) continue;
      add(fmt::format("{} -> {}: {} link of {} GB/s is new", node(after_, link->from).id,
                      node(after_, link->to).id, name(link->kind), gigabytesText(link->capacity)));
    }
  }

  void compareLink(const std::string& title, const Link& old, const Link& now) {
    if (old.capacity != now.capacity) {
      add(fmt::format("{}: {} GB/s became {}", title, gigabytesText(old.capacity),
                      gigabytesText(now.capacity)));
    }
    if (old.latencyNs != now.latencyNs) {
      add(fmt::format("{}: {} ns became {}", title, old.latencyNs, now.latencyNs));
    }
    if (old.provenance != now.provenance) {
      add(fmt::format("{}: {} became {}", title, name(old.provenance), name(now.provenance)));
    }
  }

  const Topology& before_;
  const Topology& after_;
  std::vector<NodeIndex> partner_;   // of nodes of before_
  std::vector<NodeIndex> original_;  // of nodes of after_
  std::vector<std::string> lines_;
  size_t count_ = 0;
};

}  // namespace

std::vector<std::string> differences(const Topology& before, const Topology& after) {
  return Comparison(before, after).run();
}

}  // namespace tutti::topology
