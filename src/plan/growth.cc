#include "src/plan/growth.h"

#include <array>
#include <limits>

#include "src/base/hash.h"
#include "src/plan/index.h"

namespace tutti::plan {
namespace {

constexpr int64_t kUnreached = std::numeric_limits<int64_t>::max();

constexpr int kStepBits = 8;       // 2^8 steps a doubling
constexpr int kMantissaBits = 30;  // of a power of two
constexpr int64_t kLeastExponent = -30;
constexpr int64_t kMostExponent = 10;
constexpr int64_t kMostBeyond = 256;  // doublings that count
// The most that one tree adds to the use of a slot; beyond, a slot is useless anyhow.
constexpr int64_t kMostUse = Prices::kFull * 4;
// A path never starts farther than this, so that a sum of prices fits.
constexpr int64_t kFarthest = int64_t{1} << 60;

// Newton's method on integers, rounded down.
constexpr uint64_t squareRoot(uint64_t value) {
  uint64_t root = uint64_t{1} << 32;
  while (true) {
    const uint64_t next = (root + value / root) / 2;
    if (next >= root) return root;
    root = next;
  }
}

// 2^(i / 256) in kMantissaBits: products of the roots 2^(1/2), 2^(1/4) ... 2^(1/256).
constexpr auto makePowers() {
  std::array<uint64_t, kStepBits> roots = {};
  uint64_t power = uint64_t{2} << kMantissaBits;
  for (auto& root : roots) root = power = squareRoot(power << kMantissaBits);
  std::array<int64_t, size_t{1} << kStepBits> powers = {};
  for (size_t i = 0; i < powers.size(); ++i) {
    uint64_t product = uint64_t{1} << kMantissaBits;
    for (size_t bit = 0; bit < roots.size(); ++bit) {
      const bool isSet = (i >> (roots.size() - 1 - bit) & 1) != 0;
      if (isSet) product = product * roots[bit] >> kMantissaBits;
    }
    powers[i] = static_cast<int64_t>(product);
  }
  return powers;
}
constexpr auto kPowers = makePowers();

}  // namespace

Prices::Prices(const SearchGraph& graph, Rational unit)
    : graph_(&graph),
      load_(at(graph.slotCount())),
      slotPrices_(load_.size()),
      prices_(at(graph.arcCount())) {
  for (Slot slot = 0; slot < graph.slotCount(); ++slot) {
    // Rounded up: what seems to fit fits.
    const Int128 use = (static_cast<Int128>(unit.num) << kUseBits) /
                           (static_cast<Int128>(unit.den) * graph.capacity(slot)) +
                       1;
    perUnit_.push_back(static_cast<int64_t>(std::min<Int128>(use, kMostUse)));
  }
}

void Prices::setTerms(int32_t weight, int32_t steepness, int64_t level) {
  isFixed_ = false;
  weight_ = weight;
  steepness_ = steepness;
  level_ = level;
  for (Slot slot = 0; slot < graph_->slotCount(); ++slot) slotPrices_[at(slot)] = priceOf(slot);
  sumPrices();
}

void Prices::setPrices(std::span<const int64_t> slots) {
  isFixed_ = true;
  slotPrices_.assign(slots.begin(), slots.end());
  sumPrices();
}

void Prices::sumPrices() {
  std::fill(prices_.begin(), prices_.end(), 0);
  for (Slot slot = 0; slot < graph_->slotCount(); ++slot) {
    for (const SearchGraph::Charge& charger : graph_->chargers(slot)) {
      int64_t& sum = prices_[at(charger.at)];
      sum = std::min(kDearest, sum + slotPrices_[at(slot)] * charger.units);
    }
  }
}

int64_t Prices::priceOf(Slot slot) const {
  constexpr int64_t kFractions = (1 << kStepBits) - 1;
  const int64_t added = std::min(perUnit_[at(slot)] * weight_, kMostUse);
  const int64_t doubling = kFull / steepness_;
  const int64_t above = use(slot) + added - level_;
  const int64_t within = std::clamp(above, kLeastExponent * doubling, kMostExponent * doubling);
  const int64_t steps = within * steepness_ >> (kUseBits - kStepBits);
  // added * 2^(steps / 256), with a slot that is filled alone at kPar.
  constexpr int64_t kScale = kMantissaBits + kUseBits - kParBits;
  const int64_t price = added * kPowers[at(steps & kFractions)] >> (kScale - (steps >> kStepBits));
  const int64_t beyond = std::min(kMostBeyond, (above - within) / doubling);
  return std::clamp<int64_t>(price + price / 4 * std::max<int64_t>(0, beyond), 1, kDearest);
}

void Prices::load(std::span<const Arc> arcs, int64_t weight) {
  for (const Arc arc : arcs) {
    for (const SearchGraph::Charge& charge : graph_->charges(arc)) {
      load_[at(charge.at)] += weight * charge.units;
    }
  }
}

int64_t Prices::fullest() const {
  int64_t fullest = 0;
  for (Slot slot = 0; slot < graph_->slotCount(); ++slot) fullest = std::max(fullest, use(slot));
  return fullest;
}

Grower::Grower(const SearchGraph& graph)
    : graph_(&graph),
      distance_(at(graph.nodeCount())),
      via_(distance_.size()),
      numberOut_(distance_.size()),
      numberIn_(distance_.size()) {}

void Grower::grow(Prices& prices, int64_t hop, uint64_t seed, Grown& tree) {
  seed_ = seed;
  work_ += graph_->slotCount() + graph_->nodeCount();
  start(prices, tree);
  int missing = graph_->rankCount() - 1;
  while (missing > 0 && !heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end());
    const Offer offer = heap_.back();
    heap_.pop_back();
    const Node from = graph_->from(offer.arc);
    const Node to = graph_->to(offer.arc);
    if (offer.number != (offer.isInward ? numberIn_[at(to)] : numberOut_[at(from)])) continue;
    const int64_t distance = distance_[at(from)];
    const bool isGood = distance != kUnreached &&
                        distance + prices.price(offer.arc) == offer.price &&
                        isNews(offer.arc, offer.price);
    if (isGood && graph_->rankAt(to) >= 0) {
      join(prices, offer.arc, hop, tree);
      --missing;
    } else if (isGood) {
      distance_[at(to)] = offer.price;
      via_[at(to)] = offer.arc;
      ++numberIn_[at(to)];
      offerOut(prices, to);
    }
    // Taken or outdated, the next best takes its place.
    if (!offer.isInward && distance_[at(from)] != kUnreached) offerOut(prices, from);
    if (offer.isInward && distance_[at(to)] == kUnreached) offerIn(prices, to);
  }
}

void Grower::start(const Prices& prices, Grown& tree) {
  const size_t ranks = at(graph_->rankCount());
  tree.parents.assign(ranks, -1);
  tree.delays.assign(ranks, 0);
  tree.first.assign(ranks, 0);
  tree.count.assign(ranks, 0);
  tree.arcs.clear();
  heap_.clear();
  std::fill(distance_.begin(), distance_.end(), kUnreached);
  std::fill(via_.begin(), via_.end(), -1);
  distance_[at(graph_->nodeOf(tree.root))] = 0;
  offerOut(prices, graph_->nodeOf(tree.root));
}

// Does the arc reach for that price a rank outside the tree, or a forwarder that was farther?
bool Grower::isNews(Arc arc, int64_t price) const {
  const Node end = graph_->to(arc);
  const int64_t known = distance_[at(end)];
  return known == kUnreached || (price < known && graph_->rankAt(end) < 0);
}

void Grower::push(int64_t price, Arc arc, bool isInward, uint32_t number) {
  const auto tie = static_cast<uint32_t>(base::mix64(seed_ ^ static_cast<uint64_t>(arc)));
  heap_.push_back({price, tie, number, arc, isInward});
  std::push_heap(heap_.begin(), heap_.end());
}

// Starts at an arc that the seed chooses: the first of equal ones wins.
void Grower::offerOut(const Prices& prices, Node node) {
  const Arc first = graph_->outFirst(node);
  const Arc end = graph_->outFirst(node + 1);
  const uint32_t number = ++numberOut_[at(node)];
  work_ += 4 + end - first;
  if (first == end) return;
  const auto turn = static_cast<Arc>(seed_ % static_cast<uint64_t>(end - first));
  const int64_t distance = distance_[at(node)];
  int64_t best = kUnreached;
  Arc bestArc = -1;
  const auto look = [&](Arc begin, Arc last) {
    for (Arc arc = begin; arc < last; ++arc) {
      const int64_t price = distance + prices.price(arc);
      if (price >= best || !isNews(arc, price)) continue;
      best = price;
      bestArc = arc;
    }
  };
  look(first + turn, end);
  look(first, first + turn);
  if (bestArc >= 0) push(best, bestArc, false, number);
}

void Grower::offerIn(const Prices& prices, Node node) {
  const std::span<const Arc> arcs = graph_->in(node);
  const uint32_t number = ++numberIn_[at(node)];
  work_ += 4 + static_cast<int64_t>(arcs.size());
  int64_t best = kUnreached;
  Arc bestArc = -1;
  for (const Arc arc : arcs) {
    const int64_t distance = distance_[at(graph_->from(arc))];
    if (distance == kUnreached || distance + prices.price(arc) >= best) continue;
    best = distance + prices.price(arc);
    bestArc = arc;
  }
  if (bestArc >= 0) push(best, bestArc, true, number);
}

// Adds the rank at the end of `last`, with the path by which it was reached.
void Grower::join(Prices& prices, Arc last, int64_t hop, Grown& tree) {
  const Node node = graph_->to(last);
  const ir::Rank rank = graph_->rankAt(node);
  const auto first = static_cast<std::ptrdiff_t>(tree.arcs.size());
  int64_t delay = Grown::kHopNs;
  Arc arc = last;
  for (;; arc = via_[at(graph_->from(arc))]) {
    tree.arcs.push_back(arc);
    delay += graph_->latencyNs(arc);
    if (graph_->rankAt(graph_->from(arc)) >= 0) break;
  }
  std::reverse(tree.arcs.begin() + first, tree.arcs.end());
  const ir::Rank parent = graph_->rankAt(graph_->from(arc));
  tree.parents[at(rank)] = parent;
  tree.delays[at(rank)] = delay += tree.delays[at(parent)];
  tree.first[at(rank)] = static_cast<int32_t>(first);
  tree.count[at(rank)] = static_cast<int32_t>(tree.arcs.size()) - tree.first[at(rank)];

  forgotten_.clear();
  for (const Arc passed : tree.arcsTo(rank)) {
    prices.charge(passed, [&](Arc dearer) {
      ++work_;
      if (via_[at(graph_->to(dearer))] == dearer) forget(graph_->to(dearer));
    });
  }
  for (const Node forwarder : forgotten_) offerIn(prices, forwarder);
  distance_[at(node)] = static_cast<int64_t>(
      std::min<Int128>(kFarthest, static_cast<Int128>(hop) * delay / Grown::kHopNs));
  offerOut(prices, node);
}

void Grower::forget(Node node) {
  via_[at(node)] = -1;
  distance_[at(node)] = kUnreached;
  ++numberOut_[at(node)];
  forgotten_.push_back(node);
  for (Arc arc = graph_->outFirst(node); arc < graph_->outFirst(node + 1); ++arc) {
    ++work_;
    if (via_[at(graph_->to(arc))] == arc) forget(graph_->to(arc));
  }
}

}  // namespace tutti::plan
