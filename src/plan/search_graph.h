// The graph in which the packers look for trees: arcs between nodes, and what each arc charges.
// Private to this room.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/base/status.h"
#include "src/ir/types.h"
#include "topology/graph.h"

namespace tutti::plan {

// What passes the edges of a tree: data away from its root, towards it, or both.
enum class Direction : uint8_t { kDown, kUp, kBoth };

// An edge of a tree is a path of arcs from one rank, the parent, through forwarders to another. An
// arc stands for one link; in kUp for the link that leads back, in kBoth for both. Only where links
// lead one way and no tree of link pairs spans the ranks does an arc of kBoth stand for a whole
// path from rank to rank and another one back (up to 256 ranks: their number is the ranks' square).
class SearchGraph {
 public:
  using Arc = int32_t;
  using Slot = int32_t;  // what has a capacity: links, then resources

  struct Charge {
    int32_t at;  // a slot, or an arc
    int32_t units;
  };

  // `topology` must have passed topology::check. Fails where such edges do not join all ranks
  // (unsupported).
  static base::Result<SearchGraph> make(const topology::Topology& topology, Direction direction);

  int nodeCount() const { return static_cast<int>(outFirst_.size()) - 1; }
  int arcCount() const { return static_cast<int>(ends_.size()); }
  int slotCount() const { return static_cast<int>(capacity_.size()); }
  int rankCount() const { return static_cast<int>(rankNodes_.size()); }

  topology::NodeIndex nodeOf(ir::Rank rank) const { return rankNodes_[static_cast<size_t>(rank)]; }
  // -1: a forwarder.
  ir::Rank rankAt(topology::NodeIndex node) const { return rankAt_[static_cast<size_t>(node)]; }
  topology::NodeIndex from(Arc arc) const { return ends_[static_cast<size_t>(arc)].from; }
  topology::NodeIndex to(Arc arc) const { return ends_[static_cast<size_t>(arc)].to; }
  int64_t latencyNs(Arc arc) const { return ends_[static_cast<size_t>(arc)].latencyNs; }
  int64_t capacity(Slot slot) const { return capacity_[static_cast<size_t>(slot)]; }

  // The arcs that leave a node are outFirst(node) .. outFirst(node + 1) - 1.
  Arc outFirst(topology::NodeIndex node) const { return outFirst_[static_cast<size_t>(node)]; }
  std::span<const Arc> in(topology::NodeIndex node) const { return in_.of(node); }
  // The slots that an arc charges, and the arcs that charge a slot.
  std::span<const Charge> charges(Arc arc) const { return charges_.of(arc); }
  std::span<const Charge> chargers(Slot slot) const { return chargers_.of(slot); }
  // In order of travel: from the arc's start, and back to it. What the direction lacks is empty.
  std::span<const topology::LinkIndex> down(Arc arc) const { return down_.of(arc); }
  std::span<const topology::LinkIndex> up(Arc arc) const { return up_.of(arc); }

 private:
  // Rows of different length in one array.
  template <typename T>
  struct Rows {
    std::vector<int32_t> first = {0};
    std::vector<T> items;

    std::span<const T> of(int32_t row) const {
      const auto begin = static_cast<size_t>(first[static_cast<size_t>(row)]);
      const auto end = static_cast<size_t>(first[static_cast<size_t>(row) + 1]);
      return {items.data() + begin, end - begin};
    }
    void add(std::span<const T> row) {
      items.insert(items.end(), row.begin(), row.end());
      first.push_back(static_cast<int32_t>(items.size()));
    }
  };
  struct Ends {
    topology::NodeIndex from;
    topology::NodeIndex to;
    int64_t latencyNs;
  };
  struct Draft {  // an arc before it has its number
    topology::NodeIndex from;
    topology::NodeIndex to;
    std::vector<topology::LinkIndex> down;
    std::vector<topology::LinkIndex> up;
  };

  static std::vector<Draft> draftLinks(const topology::Topology& topology, Direction direction);
  static std::vector<Draft> draftPaths(const topology::Topology& topology);
  SearchGraph(const topology::Topology& topology, std::vector<Draft> drafts);
  std::vector<std::vector<Charge>> addSlots(const topology::Topology& topology);  // by link
  bool spans() const;

  std::vector<topology::NodeIndex> rankNodes_;
  std::vector<ir::Rank> rankAt_;
  std::vector<int64_t> capacity_;
  std::vector<Ends> ends_;
  std::vector<Arc> outFirst_;
  Rows<Arc> in_;
  Rows<Charge> charges_, chargers_;
  Rows<topology::LinkIndex> down_, up_;
};

}  // namespace tutti::plan
