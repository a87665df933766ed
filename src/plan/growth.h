// Growing one spanning tree at a time where there is room: the heart of the packers. Private to
// this room. Integers only, so that every machine grows the same trees.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "src/plan/grown.h"
#include "src/plan/rational.h"
#include "src/plan/search_graph.h"

namespace tutti::plan {

// What each arc costs the next tree, by what is on it already:
//   price(slot) = w / c * 2^(steepness * (used - level)),  used = (load + w) * unit / c
// w is the tree's weight, `unit` the rate that one of weight stands for, c the slot's capacity. An
// arc's price is the sum over what it charges. Fixed point: use in kUseBits, powers from a table of
// 256 steps a doubling, exponents from -30 to 10; beyond, the price rises by a quarter with each
// one.
class Prices {
 public:
  using Arc = SearchGraph::Arc;
  using Slot = SearchGraph::Slot;

  static constexpr int kUseBits = 30;
  static constexpr int64_t kFull = int64_t{1} << kUseBits;  // a slot carries its capacity
  // What a slot that a tree fills alone costs at `level`.
  static constexpr int kParBits = 36;
  static constexpr int64_t kPar = int64_t{1} << kParBits;
  static constexpr int64_t kDearest = int64_t{1} << 50;  // of an arc: 4,096 of them fit a path

  // `unit` in kB/s, above 0. `graph` must outlive this.
  Prices(const SearchGraph& graph, Rational unit);

  // For a tree of that weight, from the load as it is. steepness: 1 .. 100.
  void setTerms(int32_t weight, int32_t steepness, int64_t level);
  // Instead: prices by slot that no load changes, 0 .. 2^50, and at least one of every arc's above
  // 0.
  void setPrices(std::span<const int64_t> slots);
  int64_t price(Arc arc) const { return prices_[static_cast<size_t>(arc)]; }
  int64_t slotPrice(Slot slot) const { return slotPrices_[static_cast<size_t>(slot)]; }

  // Puts the tree on an arc; calls changed(arc) for every arc that this makes dearer.
  template <typename Changed>
  void charge(Arc arc, Changed changed) {
    for (const SearchGraph::Charge& charge : graph_->charges(arc)) {
      const auto slot = static_cast<size_t>(charge.at);
      load_[slot] += int64_t{weight_} * charge.units;
      if (isFixed_) continue;
      const int64_t risen = priceOf(charge.at) - slotPrices_[slot];
      slotPrices_[slot] += risen;
      for (const SearchGraph::Charge& charger : graph_->chargers(charge.at)) {
        int64_t& price = prices_[static_cast<size_t>(charger.at)];
        price = std::min(kDearest, price + risen * charger.units);
        changed(charger.at);
      }
    }
  }
  // Adds weight, which may be negative, to the load; prices follow at the next setTerms.
  void load(std::span<const Arc> arcs, int64_t weight);

  int64_t use(Slot slot) const {
    return load_[static_cast<size_t>(slot)] * perUnit_[static_cast<size_t>(slot)];
  }
  int64_t fullest() const;

 private:
  int64_t priceOf(Slot slot) const;
  void sumPrices();

  const SearchGraph* graph_;
  int64_t weight_ = 1;
  int64_t steepness_ = 1;
  int64_t level_ = kFull;
  bool isFixed_ = false;
  std::vector<int64_t> perUnit_;  // what a unit of weight adds to a slot's use
  std::vector<int64_t> load_;     // by slot: weight times units
  std::vector<int64_t> slotPrices_;
  std::vector<int64_t> prices_;
};

class Grower {
 public:
  using Arc = SearchGraph::Arc;
  using Node = topology::NodeIndex;

  explicit Grower(const SearchGraph& graph);  // which must outlive this

  // Grows a spanning tree from tree.root: joins the rank that is cheapest to reach, charges its
  // path at once (trees that look only at the prices from before pile their edges on one port), and
  // so on. A path from a rank costs hop for each kHopNs of its delay; 0 makes deep trees, more than
  // kPar flat ones. Equal prices: by the seed. `prices` has the terms for tree.weight.
  //
  // Prim's algorithm over shortest paths that are kept while prices rise: a forwarder whose way got
  // dearer is forgotten with all that is reached through it, and offered anew.
  void grow(Prices& prices, int64_t hop, uint64_t seed, Grown& tree);

  // Arcs looked at so far: a measure of time that is the same on every machine, 10 to 20 ns each.
  int64_t work() const { return work_; }

 private:
  // To reach the end of `arc` for `price`. An outward offer is the best of the arc's start, an
  // inward one the best way to its end. Each node has one of either kind: that with its number.
  struct Offer {
    int64_t price;
    uint32_t tie;
    uint32_t number;
    Arc arc;
    bool isInward;
    bool operator<(const Offer& other) const {  // heaps keep the greatest on top
      return price != other.price ? price > other.price : tie > other.tie;
    }
  };

  void start(const Prices& prices, Grown& tree);
  bool isNews(Arc arc, int64_t price) const;
  void offerOut(const Prices& prices, Node node);
  void offerIn(const Prices& prices, Node node);
  void push(int64_t price, Arc arc, bool isInward, uint32_t number);
  void join(Prices& prices, Arc last, int64_t hop, Grown& tree);
  void forget(Node node);

  const SearchGraph* graph_;
  int64_t work_ = 0;
  uint64_t seed_ = 0;
  std::vector<int64_t> distance_;  // by node; kUnreached
  std::vector<Arc> via_;           // by which a forwarder is reached, or -1
  std::vector<uint32_t> numberOut_, numberIn_;
  std::vector<Offer> heap_;
  std::vector<Node> forgotten_;
};

}  // namespace tutti::plan
