#include "src/plan/spanning_flows.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

namespace tutti::plan {
namespace {

// What a batch can send into its ranks: all, always.
constexpr int32_t kPlenty = 1 << 29;

}  // namespace

SpanningFlows::SpanningFlows(std::vector<int32_t> supply, int nodes)
    : ranks_(static_cast<int>(supply.size())),
      nodes_(nodes),
      supply_(std::move(supply)),
      words_((static_cast<size_t>(nodes) + 63) / 64),
      capacity_(static_cast<size_t>(nodes) * static_cast<size_t>(nodes), 0),
      batches_(static_cast<size_t>(nodes)),
      seen_(words_),
      before_(static_cast<size_t>(nodes)) {}

void SpanningFlows::addCapacity(int from, int to, int32_t units) {
  capacity_[at(from, to)] += units;
}

bool SpanningFlows::start() {
  residual_.assign(capacity_.size() * static_cast<size_t>(ranks_), 0);
  open_.assign(static_cast<size_t>(ranks_) * static_cast<size_t>(nodes_) * words_, 0);
  for (int flow = 0; flow < ranks_; ++flow) {
    for (int from = 0; from < nodes_; ++from) {
      for (int to = 0; to < nodes_; ++to) {
        if (capacity(from, to) != 0) change(flow, from, to, capacity(from, to));
      }
    }
    for (int rank = 0; rank < ranks_; ++rank) {
      const int32_t units = supply_[static_cast<size_t>(rank)];
      if (rank != flow && push(flow, rank, flow, units) < units) return false;
    }
  }
  return true;
}

void SpanningFlows::change(int flow, int from, int to, int32_t by) {
  if (isTrial_) tried_.push_back({from, to, by});
  const int32_t left = residual_[at(flow, from, to)] += by;
  const size_t row =
      (static_cast<size_t>(flow) * static_cast<size_t>(nodes_) + static_cast<size_t>(from)) *
      words_;
  uint64_t& word = open_[row + static_cast<size_t>(to) / 64];
  const uint64_t bit = uint64_t{1} << (to % 64);
  word = left > 0 ? word | bit : word & ~bit;
}

// units below 0 take flow away.
void SpanningFlows::send(int flow, int from, int to, int32_t units) {
  change(flow, from, to, -units);
  change(flow, to, from, units);
}

// Sends up to `units` more from one node to another, along shortest paths. Returns how many.
int32_t SpanningFlows::push(int flow, int from, int to, int32_t units) {
  int32_t sent = 0;
  while (sent < units && findPath(flow, from, to)) {
    int32_t least = units - sent;
    for (int node = to; node != from; node = before_[static_cast<size_t>(node)]) {
      least = std::min(least, residual(flow, before_[static_cast<size_t>(node)], node));
    }
    for (int node = to; node != from; node = before_[static_cast<size_t>(node)]) {
      send(flow, before_[static_cast<size_t>(node)], node, least);
    }
    sent += least;
  }
  return sent;
}

bool SpanningFlows::findPath(int flow, int from, int to) {
  std::fill(seen_.begin(), seen_.end(), 0);
  seen_[static_cast<size_t>(from) / 64] |= uint64_t{1} << (from % 64);
  queue_.assign(1, from);
  for (size_t i = 0; i < queue_.size(); ++i) {
    const int node = queue_[i];
    ++work_;
    const uint64_t* row = &open_[(static_cast<size_t>(flow) * static_cast<size_t>(nodes_) +
                                  static_cast<size_t>(node)) *
                                 words_];
    for (size_t word = 0; word < words_; ++word) {
      uint64_t found = row[word] & ~seen_[word];
      seen_[word] |= found;
      for (; found != 0; found &= found - 1) {
        const int next = static_cast<int>(word) * 64 + std::countr_zero(found);
        before_[static_cast<size_t>(next)] = node;
        if (next == to) return true;
        queue_.push_back(next);
      }
    }
  }
  return false;
}

// After the capacity of an arc fell: what flows over it beyond is sent another way. Returns how
// much finds none; that much more capacity would mend the flow.
int32_t SpanningFlows::detour(int flow, int from, int to) {
  const int32_t over = -residual(flow, from, to);
  if (over <= 0) return 0;
  send(flow, from, to, -over);
  const int32_t lacking = over - push(flow, from, to, over);
  if (lacking > 0) send(flow, from, to, lacking);
  return lacking;
}

int32_t SpanningFlows::remove(int from, int to, int32_t most) {
  const int32_t units = std::min(most, capacity(from, to));
  int32_t worst = 0;
  int changed = 0;
  for (; changed < ranks_ && worst < units; ++changed) {
    change(changed, from, to, -units);
    worst = std::max(worst, detour(changed, from, to));
  }
  for (int flow = 0; flow < changed && worst > 0; ++flow) change(flow, from, to, worst);
  capacity_[at(from, to)] -= units - worst;
  return units - worst;
}

int32_t SpanningFlows::split(int from, int via, int to, int32_t most) {
  const int32_t units = std::min({most, capacity(from, via), capacity(via, to)});
  if (units <= 0) return 0;
  // A cut that loses by this loses each unit once: what one flow lacks is what all must give back.
  std::vector<int32_t> missing;
  int32_t worst = 0;
  for (int flow = 0; flow < ranks_ && worst < units; ++flow) {
    missing.push_back(takeSplit(flow, from, via, to, units));
    worst = std::max(worst, missing.back());
  }
  for (size_t flow = 0; flow < missing.size() && worst > 0; ++flow) {
    giveBack(static_cast<int>(flow), from, via, to, worst);
  }
  const int32_t taken = units - worst;
  capacity_[at(from, via)] -= taken;
  capacity_[at(via, to)] -= taken;
  if (from != to) capacity_[at(from, to)] += taken;
  return taken;
}

// Returns how much of the flow is then missing; it lacks on the way from -> via -> to.
int32_t SpanningFlows::takeSplit(int flow, int from, int via, int to, int32_t units) {
  change(flow, from, via, -units);
  change(flow, via, to, -units);
  if (from != to) change(flow, from, to, units);
  const int32_t through =
      std::max(0, std::min(-residual(flow, from, via), -residual(flow, via, to)));
  if (through > 0) {
    send(flow, from, via, -through);
    send(flow, via, to, -through);
    if (from != to) send(flow, from, to, through);
  }
  // No more than one of the two is over now.
  return detour(flow, from, via) + detour(flow, via, to);
}

void SpanningFlows::giveBack(int flow, int from, int via, int to, int32_t units) {
  change(flow, from, via, units);
  change(flow, via, to, units);
  if (from == to) return;
  change(flow, from, to, -units);
  const int32_t lacking = detour(flow, from, to);
  assert(lacking == 0);
  (void)lacking;
}

void SpanningFlows::open(int batch, int root, int32_t units) {
  batches_[static_cast<size_t>(batch)] = {units, {root}};
  for (int flow = 0; flow < ranks_; ++flow) {
    change(flow, batch, root, kPlenty);
    change(flow, root, batch, units);
  }
}

// What the flow to `to` would lack if `wanted` trees of the batch used from -> to. Every cut that
// could lack something then has `to` on its far side, so that no other flow lacks more.
int32_t SpanningFlows::tryExtend(int batch, int from, int to, int32_t wanted) {
  if (residual(to, from, to) >= wanted) return 0;
  isTrial_ = true;
  change(to, batch, to, kPlenty);
  change(to, from, to, -wanted);
  const int32_t lacking = detour(to, from, to);
  isTrial_ = false;
  for (; !tried_.empty(); tried_.pop_back()) {
    change(to, tried_.back().from, tried_.back().to, -tried_.back().by);
  }
  return lacking;
}

int32_t SpanningFlows::extend(int batch, int rest, int from, int to) {
  Batch& grown = batches_[static_cast<size_t>(batch)];
  const int32_t wanted = std::min(grown.units, capacity(from, to));
  if (wanted <= 0) return 0;
  const int32_t taken = wanted - tryExtend(batch, from, to, wanted);
  if (taken == 0) return 0;
  const int32_t others = grown.units - taken;
  if (others > 0) batches_[static_cast<size_t>(rest)] = {others, grown.ranks};
  for (int flow = 0; flow < ranks_; ++flow) {
    int32_t left = others;
    for (const int rank : grown.ranks) {
      if (others == 0) break;
      const int32_t moved = std::min(left, residual(flow, rank, batch));
      left -= moved;
      change(flow, rank, batch, -moved);
      change(flow, rank, rest, moved);
      change(flow, rest, rank, kPlenty);
    }
    change(flow, batch, to, kPlenty);
    change(flow, from, to, -taken);
    const int32_t missing = detour(flow, from, to);
    assert(missing == 0);
    (void)missing;
  }
  grown.units = taken;
  grown.ranks.push_back(to);
  capacity_[at(from, to)] -= taken;
  return taken;
}

void SpanningFlows::close(int batch) {
  const std::vector<int>& ranks = batches_[static_cast<size_t>(batch)].ranks;
  std::vector<int32_t> entering(ranks.size());
  for (int flow = 0; flow < ranks_; ++flow) {
    for (size_t i = 0; i < ranks.size(); ++i) {
      entering[i] = residual(flow, ranks[i], batch);
      change(flow, ranks[i], batch, -entering[i]);
      change(flow, batch, ranks[i], -residual(flow, batch, ranks[i]));
    }
    // What no longer enters must not arrive either.
    for (size_t i = 0; i < ranks.size(); ++i) {
      if (ranks[i] != flow) push(flow, flow, ranks[i], entering[i]);
    }
  }
  batches_[static_cast<size_t>(batch)] = {};
}

}  // namespace tutti::plan
