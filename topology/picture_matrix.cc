#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <queue>
#include <tuple>
#include <utility>

#include "topology/picture.h"

namespace tutti::topology {
namespace {

constexpr size_t kMostShown = 32;
constexpr size_t kMostColumns = 100;
constexpr int kUnlimited = 1 << 20;

// What a path of a kind may come across. Ends do not count.
struct Allowed {
  PathKind kind;
  unsigned links;  // kinds, as bits
  int bridges;
  int hosts;
  bool ranks = false;
};

constexpr unsigned bit(LinkKind kind) { return 1u << static_cast<unsigned>(kind); }
constexpr unsigned kDeviceLinks = bit(LinkKind::kDevice);
constexpr unsigned kChipLinks = kDeviceLinks | bit(LinkKind::kChip);
constexpr unsigned kOtherLinks = kChipLinks | bit(LinkKind::kOther);
constexpr unsigned kPciLinks = kOtherLinks | bit(LinkKind::kPci);
constexpr unsigned kSocketLinks = kPciLinks | bit(LinkKind::kSocket);
constexpr unsigned kAllLinks = kSocketLinks | bit(LinkKind::kNetwork);
constexpr Allowed kAllowed[] = {{PathKind::kDevice, kDeviceLinks, 0, 0},
                                {PathKind::kChip, kChipLinks, 0, 0},
                                {PathKind::kOther, kOtherLinks, 0, 0},
                                {PathKind::kPix, kPciLinks, 1, 0},
                                {PathKind::kPxb, kPciLinks, kUnlimited, 0},
                                {PathKind::kPhb, kPciLinks, kUnlimited, 1},
                                {PathKind::kSys, kSocketLinks, kUnlimited, kUnlimited},
                                {PathKind::kNet, kAllLinks, kUnlimited, kUnlimited},
                                {PathKind::kVia, kAllLinks, kUnlimited, kUnlimited, true}};

constexpr std::string_view kNames[] = {"X",   "DEV", "CHIP", "OTH", "PIX", "PXB",
                                       "PHB", "SYS", "NET",  "VIA", "-"};
constexpr std::string_view kMeanings[] = {"self",
                                          "links between devices and their switches only",
                                          "links inside of a package",
                                          "links of unknown kind",
                                          "PCI, over one bridge at most",
                                          "PCI, over several bridges",
                                          "PCI, through the host (a processor)",
                                          "between hosts (NUMA nodes, sockets) of one machine",
                                          "over the network",
                                          "only through other ranks, which pass it on",
                                          "no path"};

class Search {
 public:
  Search(const Topology& topology, const Adjacency& adjacent)
      : topology_(topology), adjacent_(adjacent) {}

  // The widest paths from `from` that are allowed; 0 where there is none. One of the two limits is
  // 0, 1 or none, so it is enough to know whether the one has been used.
  const std::vector<int64_t>& widths(NodeIndex from, const Allowed& allowed);

 private:
  static constexpr size_t at(NodeIndex node) { return static_cast<size_t>(node); }

  const Topology& topology_;
  const Adjacency& adjacent_;
  std::vector<std::array<int64_t, 2>> best_;  // by whether the one bridge or host is used up
  std::vector<int64_t> widths_;
};

const std::vector<int64_t>& Search::widths(NodeIndex from, const Allowed& allowed) {
  using State = std::tuple<int64_t, NodeIndex, int>;  // the widest first
  std::priority_queue<State> open;
  best_.assign(topology_.nodes.size(), {0, 0});
  best_[at(from)][0] = kMostCapacity;
  open.emplace(kMostCapacity, from, 0);
  while (!open.empty()) {
    const auto [width, node, used] = open.top();
    open.pop();
    if (width < best_[at(node)][static_cast<size_t>(used)]) continue;
    int usedHere = used;
    if (node != from) {
      const NodeKind kind = topology_.nodes[at(node)].kind;
      if (kind == NodeKind::kRank && !allowed.ranks) continue;
      const int limit = kind == NodeKind::kBridge ? allowed.bridges
                        : kind == NodeKind::kHost ? allowed.hosts
                                                  : kUnlimited;
      if (limit == 0 || (limit == 1 && used == 1)) continue;
      if (limit == 1) usedHere = 1;
    }
    for (const LinkIndex index : adjacent_.out[at(node)]) {
      const Link& link = topology_.links[static_cast<size_t>(index)];
      if ((allowed.links & bit(link.kind)) == 0) continue;
      const int64_t next = std::min(width, link.capacity);
      int64_t& best = best_[at(link.to)][static_cast<size_t>(usedHere)];
      if (next <= best) continue;
      best = next;
      open.emplace(next, link.to, usedHere);
    }
  }
  widths_.clear();
  for (const auto& best : best_) widths_.push_back(std::max(best[0], best[1]));
  return widths_;
}

std::vector<Path> bestPaths(const Topology& topology, const Adjacency& adjacent, NodeIndex from) {
  std::vector<Path> paths(topology.nodes.size());
  paths[static_cast<size_t>(from)].kind = PathKind::kSelf;
  Search search(topology, adjacent);
  size_t missing = topology.nodes.size() - 1;
  for (const Allowed& allowed : kAllowed) {
    if (missing == 0) break;
    const std::vector<int64_t>& widths = search.widths(from, allowed);
    for (size_t i = 0; i < paths.size(); ++i) {
      if (paths[i].kind != PathKind::kNone || widths[i] == 0) continue;
      paths[i] = {allowed.kind, widths[i]};
      --missing;
    }
  }
  return paths;
}

// A row or column: rank 3 is "3", NIC 3 is "N3".
struct End {
  NodeIndex node;
  std::string label;
};

using Ends = std::vector<End>;

Ends endsOf(const Topology& topology, NodeKind kind) {
  Ends ends;
  for (size_t i = 0; i < topology.nodes.size() && ends.size() < kMostShown; ++i) {
    if (topology.nodes[i].kind != kind) continue;
    const std::string_view letter = kind == NodeKind::kNic ? "N" : "";
    ends.push_back({static_cast<NodeIndex>(i), fmt::format("{}{}", letter, ends.size())});
  }
  return ends;
}

using Table = std::vector<std::vector<std::string>>;

// Columns as wide as their widest cell: the first two to the left, the others to the right.
std::string align(const Table& table) {
  std::vector<size_t> widths(table[0].size(), 0);
  for (const auto& row : table) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : table) {
    std::string line = fmt::format("{:<{}}  {:<{}}", row[0], widths[0], row[1], widths[1]);
    for (size_t i = 2; i < row.size(); ++i) line += fmt::format("  {:>{}}", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

class Matrix {
 public:
  explicit Matrix(const Topology& topology)
      : topology_(topology),
        ranks_(endsOf(topology, NodeKind::kRank)),
        nics_(endsOf(topology, NodeKind::kNic)) {
    const Adjacency adjacent = adjacency(topology);
    for (const End& rank : ranks_) paths_.push_back(bestPaths(topology, adjacent, rank.node));
  }

  std::string text() {
    std::string made = block("ranks to ranks", ranks_);
    if (!nics_.empty()) made += "\n" + block("ranks to NICs", nics_);
    return made + "\n" + legend();
  }

 private:
  std::string block(std::string_view title, const Ends& columns) {
    const std::string both = table(fmt::format("{}, kind and GB/s", title), columns, true, true);
    const size_t width = both.find('\n', both.find('\n') + 1) - both.find('\n') - 1;
    if (width <= kMostColumns) return both;
    return table(fmt::format("{}, kind", title), columns, true, false) + "\n" +
           table(fmt::format("{}, GB/s", title), columns, false, true);
  }

  std::string table(const std::string& title, const Ends& columns, bool hasKinds, bool hasRates) {
    Table cells(1, {"", ""});
    for (const End& end : columns) cells[0].push_back(end.label);
    for (size_t row = 0; row < ranks_.size(); ++row) {
      cells.push_back({ranks_[row].label, idOf(ranks_[row].node)});
      for (const End& end : columns) {
        const Path& path = paths_[row][static_cast<size_t>(end.node)];
        isUsed_[static_cast<size_t>(path.kind)] = true;
        cells.back().push_back(cell(path, hasKinds, hasRates));
      }
    }
    return title + "\n" + align(cells);
  }

  std::string idOf(NodeIndex node) const {
    constexpr size_t kMost = 24;
    const std::string& id = topology_.nodes[static_cast<size_t>(node)].id;
    return id.size() <= kMost ? id : fmt::format("..{}", id.substr(id.size() - kMost + 2));
  }

  static std::string cell(const Path& path, bool hasKinds, bool hasRates) {
    const bool isPath = path.kind != PathKind::kSelf && path.kind != PathKind::kNone;
    if (!isPath || !hasRates) return std::string(name(path.kind));
    const std::string rate = gigabytesText(path.capacity);
    return hasKinds ? fmt::format("{} {}", name(path.kind), rate) : rate;
  }

  std::string legend() const {
    std::string text = "GB/s are those of the narrowest link on the best path.\n";
    for (size_t i = 1; i < isUsed_.size(); ++i) {
      if (isUsed_[i]) text += fmt::format("{:<5} {}\n", kNames[i], kMeanings[i]);
    }
    std::string line = nics_.empty() ? "" : "NICs:";
    for (const End& nic : nics_) {
      const std::string words = fmt::format("  {} {}", nic.label, idOf(nic.node));
      if (line.size() + words.size() > kMostColumns) text += std::exchange(line, "     ") + "\n";
      line += words;
    }
    if (!line.empty()) text += line + "\n";
    for (const auto& [ends, kind, noun] :
         {std::tuple(&ranks_, NodeKind::kRank, "ranks"), {&nics_, NodeKind::kNic, "NICs"}}) {
      const auto all = std::count_if(topology_.nodes.begin(), topology_.nodes.end(),
                                     [kind = kind](const Node& node) { return node.kind == kind; });
      if (static_cast<size_t>(all) == ends->size()) continue;
      text += fmt::format("Only the first {} of {} {} are shown.\n", ends->size(), all, noun);
    }
    return text;
  }

  const Topology& topology_;
  Ends ranks_;
  Ends nics_;
  std::vector<std::vector<Path>> paths_;  // from each rank
  std::array<bool, std::size(kNames)> isUsed_{};
};

}  // namespace

std::string_view name(PathKind kind) { return kNames[static_cast<size_t>(kind)]; }

std::vector<Path> bestPaths(const Topology& topology, NodeIndex from) {
  return bestPaths(topology, adjacency(topology), from);
}

std::string toMatrix(const Topology& topology) { return Matrix(topology).text(); }

}  // namespace tutti::topology
