// The formulas of bound.h by looking at every set of nodes and every partition of the ranks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "src/plan/bound_limits.h"
#include "src/plan/rational.h"

namespace tutti::plan {

inline bool isIn(uint32_t set, int32_t node) { return (set >> node & 1) != 0; }

inline int64_t leaving(const Fabric& fabric, uint32_t set) {
  int64_t sum = 0;
  for (const auto& link : fabric.links) {
    if (isIn(set, link.from) && !isIn(set, link.to)) sum += link.forward;
    if (isIn(set, link.to) && !isIn(set, link.from)) sum += link.backward;
  }
  return sum;
}

inline int64_t weightOf(const std::vector<int64_t>& weights, uint32_t set) {
  int64_t sum = 0;
  for (size_t rank = 0; rank < weights.size(); ++rank) {
    if (isIn(set, static_cast<int32_t>(rank))) sum += weights[rank];
  }
  return sum;
}

// `sinks` as a set.
inline Rational bruteGather(const Fabric& fabric, const std::vector<int64_t>& weights,
                            uint32_t sinks) {
  Rational least = Rational::unlimited();
  const int64_t total = weightOf(weights, (1u << fabric.ranks) - 1);
  for (uint32_t set = 0; set < (1u << fabric.nodes); ++set) {
    const int64_t weight = weightOf(weights, set);
    if ((sinks & ~set) == 0 || weight == 0) continue;
    least =
        std::min(least, makeRational(static_cast<Int128>(leaving(fabric, set)) * total, weight));
  }
  return least;
}

inline Rational bruteBroadcast(const Fabric& fabric, int32_t root) {
  Rational least = Rational::unlimited();
  const uint32_t ranks = (1u << fabric.ranks) - 1;
  for (uint32_t set = 0; set < (1u << fabric.nodes); ++set) {
    if (!isIn(set, root) || (set & ranks) == ranks) continue;
    least = std::min(least, Rational{leaving(fabric, set), 1});
  }
  return least;
}

// d of every set of ranks.
inline std::vector<int64_t> leastLeaving(const Fabric& fabric) {
  std::vector<int64_t> least(size_t{1} << fabric.ranks, INT64_MAX);
  for (uint32_t set = 0; set < (1u << fabric.nodes); ++set) {
    int64_t& of = least[set & ((1u << fabric.ranks) - 1)];
    of = std::min(of, leaving(fabric, set));
  }
  return least;
}

inline Rational brutePartition(const Fabric& fabric) {
  const auto cut = leastLeaving(fabric);
  Rational least = Rational::unlimited();
  std::vector<uint32_t> parts;
  const std::function<void(int32_t)> place = [&](int32_t rank) {
    if (rank == fabric.ranks) {
      if (parts.size() < 2) return;
      int64_t sum = 0;
      for (const uint32_t part : parts) sum += cut[part];
      least = std::min(least, makeRational(sum, 2 * (static_cast<Int128>(parts.size()) - 1)));
      return;
    }
    for (size_t i = 0; i < parts.size(); ++i) {
      parts[i] |= 1u << rank;
      place(rank + 1);
      parts[i] &= ~(1u << rank);
    }
    parts.push_back(1u << rank);
    place(rank + 1);
    parts.pop_back();
  };
  place(0);
  return least;
}

}  // namespace tutti::plan
