#include <numeric>

#include "src/plan/bound_limits.h"
#include "src/plan/index.h"

namespace tutti::plan {
namespace {

// The greatest rate x = P / Q at which every sink can receive x w_v from every rank v. A flow from
// a source that gives each rank P w_v, over links of Q times their capacity, finds a cut that is
// too small for x; the x that just fits through that cut is smaller, and no smaller than the answer
// (Dinkelbach). x only falls, so what one sink allows, it allows from then on: later cuts have that
// sink on the source's side, and flows from it cost nothing.
class GatherSearch {
 public:
  GatherSearch(const Fabric& fabric, std::span<const int64_t> weights)
      : fabric_(fabric),
        weights_(weights),
        total_(std::accumulate(weights.begin(), weights.end(), int64_t{0})),
        links_(static_cast<int32_t>(fabric.links.size())),
        network_(makeNetwork(fabric)),
        isSettled_(at(fabric.ranks), 0),
        isInside_(at(fabric.ranks), 0) {}

  // By what enters a sink alone. False if nothing has to.
  bool start(std::span<const int32_t> sinks) {
    std::vector<Int128> enters(at(fabric_.nodes), 0);
    for (const auto& link : fabric_.links) {
      enters[at(link.to)] += link.forward;
      enters[at(link.from)] += link.backward;
    }
    int32_t least = -1;
    for (const int32_t sink : sinks) {
      const Int128 others = total_ - weights_[at(sink)];
      if (others == 0 || enters[at(sink)] * den_ >= num_ * others) continue;
      num_ = enters[at(sink)];
      den_ = others;
      least = sink;
    }
    if (least < 0) return false;
    for (char& each : isInside_) each = 1;
    isInside_[at(least)] = 0;
    rescale();
    return true;
  }

  void visit(int32_t sink) {
    while (network_.maxFlow(fabric_.nodes, sink, num_ * total_) < num_ * total_) narrow();
    isSettled_[at(sink)] = 1;
    network_.setCapacity(links_ + sink, FlowNetwork<Int128>::kUnlimited, 0);
  }

  Limit limit() const {
    return {.value = makeRational(num_ * total_, den_), .parts = split(isInside_)};
  }

 private:
  // The fabric's links, then an arc from the source, the last node, to each rank.
  static FlowNetwork<Int128> makeNetwork(const Fabric& fabric) {
    std::vector<ArcPair<Int128>> pairs;
    for (const auto& link : fabric.links) pairs.push_back({link.from, link.to});
    for (int32_t rank = 0; rank < fabric.ranks; ++rank) pairs.push_back({fabric.nodes, rank});
    return FlowNetwork<Int128>(fabric.nodes + 1, pairs);
  }

  void narrow() {
    num_ = 0;
    den_ = 0;
    for (const auto& link : fabric_.links) {
      const bool isFromInside = !network_.reachesSink(link.from);
      if (isFromInside != network_.reachesSink(link.to)) continue;
      num_ += isFromInside ? link.forward : link.backward;
    }
    for (int32_t rank = 0; rank < fabric_.ranks; ++rank) {
      isInside_[at(rank)] = network_.reachesSink(rank) ? 0 : 1;
      if (isInside_[at(rank)] != 0) den_ += weights_[at(rank)];
    }
    rescale();
  }

  void rescale() {
    const Int128 divisor = greatestCommonDivisor(num_, den_);
    num_ /= divisor;
    den_ /= divisor;
    for (int32_t i = 0; i < links_; ++i) {
      const auto& link = fabric_.links[at(i)];
      network_.setCapacity(i, den_ * link.forward, den_ * link.backward);
    }
    for (int32_t rank = 0; rank < fabric_.ranks; ++rank) {
      const bool isSettled = isSettled_[at(rank)] != 0;
      network_.setCapacity(links_ + rank,
                           isSettled ? FlowNetwork<Int128>::kUnlimited : num_ * weights_[at(rank)],
                           0);
    }
  }

  const Fabric& fabric_;
  std::span<const int64_t> weights_;
  Int128 total_;
  int32_t links_;
  FlowNetwork<Int128> network_;
  Int128 num_ = 1;  // P; 1 / 0 at first
  Int128 den_ = 0;  // Q
  std::vector<char> isSettled_;
  std::vector<char> isInside_;  // the source's side of the cut that x just fits through
};

}  // namespace

Limit gatherLimit(const Fabric& fabric, std::span<const int64_t> weights,
                  std::span<const int32_t> sinks) {
  GatherSearch search(fabric, weights);
  if (!search.start(sinks)) return {};
  for (const int32_t i : spreadOrder(static_cast<int32_t>(sinks.size())))
    search.visit(sinks[at(i)]);
  return search.limit();
}

}  // namespace tutti::plan
