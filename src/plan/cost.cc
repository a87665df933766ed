#include "src/plan/cost.h"

#include <algorithm>
#include <cmath>

#include "src/ir/schedule.h"

namespace tutti::plan {
namespace {

constexpr double kFlagOverlap = 4;
constexpr double kPostOverlap = 5;
// Of a message's latency, what it costs the processor at one end.
constexpr double kEndsPerMessage = 10;

double nsOf(double bytes, double bytesPerSecond) { return bytes / bytesPerSecond * 1e9; }

double handOverNs(const Machine& machine, double fan, double changesNs) {
  const ir::CostConstants& costs = machine.costs;
  const double more = std::max(0.0, fan - 1);
  if (!machine.isAllMapped) return costs.messageNs * (1 + more / kPostOverlap) + changesNs;
  return costs.signalNs * (1 + more / kFlagOverlap) + changesNs;
}

double peerCopyRate(const Machine& machine, const RankLoad& load) {
  const ir::CostConstants& costs = machine.costs;
  if (load.traffic * machine.ranksPerCore <= costs.cacheBytes) return costs.peerCopyBytesPerSecond;
  if (load.traffic * machine.size <= costs.sharedCacheBytes) {
    return costs.peerCopySharedBytesPerSecond;
  }
  return costs.peerCopyMemoryBytesPerSecond;
}

double workNs(const Machine& machine, const RankLoad& load, double iterations, double chunkBytes) {
  const ir::CostConstants& costs = machine.costs;
  const bool dataFits = load.traffic * machine.ranksPerCore <= costs.cacheBytes;
  const double core = machine.ranksPerCore * (nsOf(load.copied, costs.copyBytesPerSecond) +
                                              nsOf(load.combined, costs.reduceBytesPerSecond) +
                                              nsOf(load.peerCopied, peerCopyRate(machine, load)) +
                                              load.peerCalls * costs.peerCallNs +
                                              nsOf(load.staged, costs.slotBytesPerSecond));
  const double slots = ir::Limits::kFifoSlots * chunkBytes * load.inFlight;
  const bool slotsFit = slots * machine.ranksPerCore <= costs.cacheBytes;
  const double traffic = load.traffic + (slotsFit ? 0 : load.staged);
  const double memory =
      dataFits && slotsFit ? 0 : machine.size * nsOf(traffic, costs.memoryBytesPerSecond);
  const double local = std::max(core, memory);
  if (machine.isAllMapped) return local;
  const double wire = nsOf(load.wire, costs.messageBytesPerSecond);
  return std::max(local, wire) + std::min(local, wire) / iterations;
}

}  // namespace

Machine::Machine(const ir::World& world)
    : size(world.size()),
      isAllMapped(world.isAllMapped()),
      canCopyPeer(world.canCopyPeer),
      ranksPerCore(world.ranksPerCore()),
      costs(world.costs) {}

uint64_t predictNs(const Machine& machine, const RankLoad& load, uint64_t iterations,
                   uint64_t chunkBytes) {
  const auto count = static_cast<double>(iterations);
  const double changes = (std::ceil(machine.ranksPerCore) - 1) * machine.costs.switchNs;
  const double repeats = load.isRepeated ? count : 1;
  const double latency = repeats * load.rounds * handOverNs(machine, load.fan, changes);
  const double steps = count * load.ends * machine.costs.stepNs * machine.ranksPerCore;
  const double endNs =
      machine.isAllMapped ? machine.costs.slotNs : machine.costs.messageNs / kEndsPerMessage;
  const double slots = load.inFlight > 0 ? count * load.ends * endNs * machine.ranksPerCore : 0;
  const double turns =
      load.isRepeated ? 0 : std::floor((count - 1) / ir::Limits::kFifoSlots) * changes;
  const double work = workNs(machine, load, count, static_cast<double>(chunkBytes)) *
                      (1 + (load.depth - 1) / count);
  return static_cast<uint64_t>(std::llround(latency + steps + slots + turns + work));
}

}  // namespace tutti::plan
