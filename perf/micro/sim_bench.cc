// The simulator at the size of a cluster: an all_reduce over 16 trees in 64 chunks each. Random
// trees at one switch are the hard case: every rank meets every other, and all links are one
// component.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <vector>

#include "src/sim/simulate.h"
#include "tests/unit/sim/tree_schedules.h"

namespace {

namespace sim = tutti::sim;
using tutti::topology::kGigabyte;

constexpr int kTrees = 16;
constexpr uint64_t kChunks = 64;
constexpr uint64_t kChunkBytes = 65536;

void simulate(benchmark::State& state, const tutti::topology::Topology& topology,
              const std::vector<sim::Parents>& trees) {
  const auto schedules = sim::lowerTrees(trees, kChunkBytes);
  tutti::ir::Call call;
  call.count = kTrees * kChunks * kChunkBytes / 4;
  uint64_t transfers = 0;
  for (auto _ : state) {
    const auto outcome = sim::simulate(topology, schedules, call);
    if (!outcome.isOk()) return state.SkipWithError(outcome.status().toString().c_str());
    transfers += outcome->transfers;
    state.counters["algbw GB/s"] = outcome->algorithmGbPerS;
  }
  state.SetItemsProcessed(static_cast<int64_t>(transfers));
}

void star(benchmark::State& state) {
  const auto ranks = static_cast<int>(state.range(0));
  std::mt19937_64 random(1);
  std::vector<sim::Parents> trees;
  for (int tree = 0; tree < kTrees; ++tree) trees.push_back(sim::randomTree(ranks, random));
  simulate(state, sim::makeStar(ranks, 50 * kGigabyte, 1000), trees);
}

void boxes(benchmark::State& state) {
  const auto boxes = static_cast<int>(state.range(0)) / 8;
  std::mt19937_64 random(1);
  std::vector<sim::Parents> trees;
  for (int tree = 0; tree < kTrees; ++tree) {
    trees.push_back(sim::boxTree(boxes, tree % 8, random));
  }
  simulate(state, sim::makeBoxes(boxes, 450 * kGigabyte, 50 * kGigabyte, 25 * kGigabyte), trees);
}

BENCHMARK(star)->Arg(64)->Arg(256)->Arg(1024)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(boxes)->Arg(64)->Arg(256)->Arg(1024)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
