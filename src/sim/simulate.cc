#include "src/sim/simulate.h"

#include <algorithm>
#include <numeric>

#include "src/sim/flow_network.h"
#include "src/sim/run.h"
#include "src/sim/script.h"

namespace tutti::sim {
namespace {

int64_t nanoseconds(Time time) { return (time + 500) / 1000; }

// `bytes` over what a capacity in kB/s could have carried.
double useOf(uint64_t bytes, int64_t capacity, Time time) {
  if (time == 0) return 0;
  const double seconds = static_cast<double>(time) * 1e-12;
  return static_cast<double>(bytes) / (static_cast<double>(capacity) * 1e3 * seconds);
}

void describeLoad(const topology::Topology& topology, const FlowNetwork& network, Time time,
                  Outcome& outcome) {
  outcome.linkBytes = network.bytesOfLinks();
  outcome.resourceBytes = network.bytesOfResources();
  for (size_t index = 0; index < topology.links.size(); ++index) {
    outcome.linkUse.push_back(
        useOf(outcome.linkBytes[index], topology.links[index].capacity, time));
    if (outcome.linkBytes[index] > 0) {
      outcome.busiest.push_back(static_cast<topology::LinkIndex>(index));
    }
  }
  for (size_t index = 0; index < topology.resources.size(); ++index) {
    outcome.resourceUse.push_back(
        useOf(outcome.resourceBytes[index], topology.resources[index].capacity, time));
  }
  std::stable_sort(outcome.busiest.begin(), outcome.busiest.end(), [&](auto a, auto b) {
    return outcome.linkUse[static_cast<size_t>(a)] > outcome.linkUse[static_cast<size_t>(b)];
  });
}

}  // namespace

base::Result<Outcome> simulate(const topology::Topology& topology,
                               const std::vector<ir::Schedule>& schedules, const ir::Call& call,
                               const Options& options) {
  TUTTI_RETURN_IF_ERROR(topology::check(topology));
  FlowNetwork network(topology, options.toleranceBits);
  TUTTI_ASSIGN_OR_RETURN(const Script script,
                         writeScript(topology, schedules, call, options, network));
  Run run(script, schedules, options, network);
  TUTTI_RETURN_IF_ERROR(run.run());

  Outcome outcome;
  Time end = 0;
  for (const Time time : run.rankEnds()) {
    outcome.rankNs.push_back(nanoseconds(time));
    end = std::max(end, time);
  }
  outcome.ns = nanoseconds(end);
  const auto bytes = ir::planBytes(call, static_cast<int>(schedules.size()));
  if (end > 0)
    outcome.algorithmGbPerS = static_cast<double>(bytes) * 1e3 / static_cast<double>(end);
  outcome.transfers = run.transfers();
  describeLoad(topology, network, end, outcome);
  return outcome;
}

}  // namespace tutti::sim
