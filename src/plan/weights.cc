#include "src/plan/weights.h"

#include <algorithm>
#include <map>
#include <utility>

#include "src/plan/index.h"
#include "src/plan/integer_program.h"

namespace tutti::plan {
namespace {

using Slot = SearchGraph::Slot;

// Slots that every tree loads alike, by the one of the least capacity.
struct Row {
  std::vector<int64_t> loads;  // by tree
  int64_t capacity = 0;
  Slot slot = 0;

  Int128 load(const std::vector<Int128>& weights) const {
    Int128 sum = 0;
    for (size_t i = 0; i < loads.size(); ++i) sum += loads[i] * weights[i];
    return sum;
  }
};

std::vector<Row> rowsOf(const SearchGraph& graph, std::span<const Grown> trees) {
  std::vector<std::vector<int64_t>> loads(at(graph.slotCount()));
  for (size_t i = 0; i < trees.size(); ++i) {
    for (const SearchGraph::Arc arc : trees[i].arcs) {
      for (const SearchGraph::Charge& charge : graph.charges(arc)) {
        loads[at(charge.at)].resize(trees.size());
        loads[at(charge.at)][i] += charge.units;
      }
    }
  }
  std::map<std::vector<int64_t>, std::pair<int64_t, Slot>> tightest;
  for (Slot slot = 0; slot < graph.slotCount(); ++slot) {
    if (loads[at(slot)].empty()) continue;
    const std::pair here(graph.capacity(slot), slot);
    const auto [place, isNew] = tightest.try_emplace(std::move(loads[at(slot)]), here);
    place->second = std::min(place->second, here);
  }
  std::vector<Row> rows;
  for (const auto& [load, least] : tightest) rows.push_back({load, least.first, least.second});
  return rows;
}

// Leaves the ratios, nearly, and no more than `bits` bits.
void shorten(std::vector<Int128>& values, int bits) {
  Int128 greatest = *std::max_element(values.begin(), values.end());
  int shift = 0;
  for (; greatest >> bits != 0; greatest >>= 1) ++shift;
  for (Int128& value : values) value >>= shift;
}

// How full the rows are, to a common scale.
std::vector<Int128> usesOf(const std::vector<Row>& rows, const std::vector<Int128>& weights) {
  std::vector<Int128> uses;
  for (const Row& row : rows) uses.push_back((row.load(weights) << 48) / row.capacity);
  return uses;
}

// Most slots are never full: in the program are those that are nearly so, those that become so, and
// for each tree at least its tightest one. Returns whether any came in.
bool admit(const std::vector<Row>& rows, const std::vector<Int128>& uses, Int128 limit,
           std::vector<char>& isIn) {
  bool isNew = false;
  const auto admitOne = [&](size_t row) {
    isNew = isNew || isIn[row] == 0;
    isIn[row] = 1;
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    if (uses[i] > limit) admitOne(i);
  }
  for (size_t tree = 0; tree < rows[0].loads.size(); ++tree) {
    size_t tightest = 0;
    bool isHeld = false;
    for (size_t i = 0; i < rows.size() && !isHeld; ++i) {
      isHeld = isIn[i] != 0 && rows[i].loads[tree] > 0;
      const Int128 here = static_cast<Int128>(rows[i].loads[tree]) * rows[tightest].capacity;
      const Int128 most = static_cast<Int128>(rows[tightest].loads[tree]) * rows[i].capacity;
      if (here > most) tightest = i;
    }
    if (!isHeld) admitOne(tightest);
  }
  return isNew;
}

// The best weights as far as the rows that are in go; sets the prices of their slots.
std::vector<Int128> solve(const std::vector<Row>& rows, const std::vector<char>& isIn,
                          Weights& found) {
  Int128 divisor = 0;
  for (const Row& row : rows) divisor = greatestCommonDivisor(divisor, row.capacity);
  IntegerProgram program(static_cast<int>(rows[0].loads.size()));
  std::vector<Slot> slots;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (isIn[i] == 0) continue;
    program.add(rows[i].loads, static_cast<int64_t>(rows[i].capacity / divisor));
    slots.push_back(rows[i].slot);
  }
  program.solve();
  found.work += program.work();
  std::vector<Int128> prices = program.prices();
  shorten(prices, Weights::kPriceBits);
  std::fill(found.prices.begin(), found.prices.end(), 0);
  for (size_t i = 0; i < slots.size(); ++i) {
    found.prices[at(slots[i])] = static_cast<int64_t>(prices[i]);
  }
  std::vector<Int128> weights = program.variables();
  shorten(weights, 60);
  return weights;
}

}  // namespace

Weights weigh(const SearchGraph& graph, std::span<const Grown> trees) {
  const std::vector<Row> rows = rowsOf(graph, trees);
  std::vector<Int128> weights;
  for (const Grown& tree : trees) weights.push_back(tree.weight);
  Weights best;
  best.prices.assign(at(graph.slotCount()), 0);
  std::vector<Int128> uses = usesOf(rows, weights);
  std::vector<char> isIn(rows.size(), 0);
  Int128 limit = *std::max_element(uses.begin(), uses.end()) * 3 / 4;
  constexpr int kRounds = 4;
  for (int round = 0; round < kRounds && admit(rows, uses, limit, isIn); ++round) {
    weights = solve(rows, isIn, best);
    uses = usesOf(rows, weights);
    limit = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (isIn[i] != 0) limit = std::max(limit, uses[i]);
    }
  }
  Int128 common = 0;
  for (const Int128 weight : weights) common = greatestCommonDivisor(common, weight);
  Int128 sum = 0;
  for (Int128& weight : weights) sum += weight /= std::max<Int128>(1, common);
  for (const Int128 weight : weights) {
    const bool isShort = sum <= Weights::kSum;
    best.weights.push_back(static_cast<int32_t>(isShort ? weight : weight * Weights::kSum / sum));
  }
  return best;
}

}  // namespace tutti::plan
