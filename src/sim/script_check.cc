#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "src/base/errors.h"
#include "src/schedule/check.h"
#include "src/sim/script.h"

namespace tutti::sim {
namespace {

using ir::Operand;
using ir::Space;
using schedule::Layout;
using schedule::wrong;

constexpr uint64_t kChunkUnit = 128;

base::Status invalid(std::string text) {
  return {base::Code::kInvalidArgument, base::kErrInvalidArgument, std::move(text)};
}

bool isRank(ir::Rank rank, const ir::Schedule& schedule) {
  return rank >= 0 && rank < schedule.size;
}

bool isUneven(ir::Collective collective) {
  return collective == ir::Collective::kAllGatherV || collective == ir::Collective::kReduceScatterV;
}

bool isPair(ir::Collective collective) {
  return collective == ir::Collective::kSend || collective == ir::Collective::kRecv;
}

base::Status checkOptions(const Options& options) {
  if (options.fifoSlots < 1 || options.toleranceBits < 1 || options.toleranceBits > 40) {
    return invalid(fmt::format("{} slots, {} bits of tolerance: slots are 1 or more, bits 1 to 40",
                               options.fifoSlots, options.toleranceBits));
  }
  const auto isOutOfRange = [](int64_t value) {
    return value < 0 || value > topology::kMostCapacity;
  };
  if (std::any_of(options.messageNs.begin(), options.messageNs.end(), isOutOfRange) ||
      std::any_of(options.flowCapacity.begin(), options.flowCapacity.end(), isOutOfRange) ||
      isOutOfRange(options.copyCapacity) || isOutOfRange(options.reduceCapacity) ||
      isOutOfRange(options.stepNs)) {
    return invalid("a time or capacity of the simulator's options is negative or too large");
  }
  return {};
}

std::string faultOfSlices(const ir::Schedule& schedule) {
  const auto slices = static_cast<int>(schedule.sliceWeights.size());
  for (const ir::Lane& lane : schedule.lanes) {
    if (lane.slice >= slices || lane.slice < -1) {
      return fmt::format("a lane works on slice {} of {}", lane.slice, slices);
    }
    if (lane.slice < 0 && schedule.sliceChunks.empty()) return "a lane has no slice";
    for (const ir::Step& step : lane.steps) {
      const bool isInRange =
          step.slice >= 0 && step.slices >= 1 && step.slice <= slices - step.slices;
      if (lane.slice >= 0 || isInRange) continue;
      return fmt::format("a step works on {} slices from {} of {}", step.slices, step.slice,
                         slices);
    }
  }
  return {};
}

std::string faultOfSchedule(const ir::Schedule& schedule) {
  const auto isPositive = [](int32_t weight) { return weight > 0; };
  const auto isChunk = [](uint64_t bytes) { return bytes % kChunkUnit == 0; };
  const auto& weights = schedule.sliceWeights;
  const auto& chunks = schedule.sliceChunks;
  if (weights.empty() || !std::all_of(weights.begin(), weights.end(), isPositive)) {
    return "its slices have no weights";
  }
  if (!chunks.empty() && chunks.size() != weights.size()) return "not every slice has its chunk";
  const bool areChunks = std::all_of(chunks.begin(), chunks.end(),
                                     [&](uint64_t bytes) { return bytes > 0 && isChunk(bytes); });
  if (!areChunks) return "a slice's chunk is no multiple of 128 B";
  if (schedule.scratchBlocks < 0) return "it has less than no scratch";
  for (const ir::Lane& lane : schedule.lanes) {
    if (lane.channel < 0 || lane.channel >= kMostChannels) return "a lane has no such channel";
    if (lane.blocks < 1) return "a lane has no blocks";
    if (!isChunk(lane.chunkBytes)) return "a chunk is no multiple of 128 B";
  }
  return faultOfSlices(schedule);
}

std::string faultOfBlocks(const ir::Schedule& schedule, const ir::Lane& lane,
                          const Operand& operand, const std::vector<Layout>& layouts) {
  const Layout& layout = layouts[static_cast<size_t>(operand.rank)];
  const int count = layout.blockCount(operand.space, lane);
  const bool isScratch = operand.space == Space::kScratch;
  if (operand.block < 0 || operand.blocks < 1 || operand.block > count - operand.blocks ||
      (isScratch && operand.rank != schedule.rank)) {
    return fmt::format("uses {} blocks from {} of rank {}, which has {}", operand.blocks,
                       operand.block, operand.rank, count);
  }
  if (isScratch && operand.like > layout.likeCount(lane) - operand.blocks) {
    return fmt::format("has scratch as long as block {}", operand.like);
  }
  return {};
}

std::string faultOfOperand(const ir::Schedule& schedule, const ir::Lane& lane,
                           const Operand& operand, const std::vector<Layout>& layouts) {
  const bool isEveryone = operand.space == Space::kBoard && operand.rank == ir::kEveryone;
  if (!isEveryone && !isRank(operand.rank, schedule)) {
    return fmt::format("names rank {} of {}", operand.rank, schedule.size);
  }
  switch (operand.space) {
    case Space::kFifo: {
      const int channel = schedule::channelOf(operand, lane);
      if (operand.rank == schedule.rank) return "sends to itself";
      return channel < kMostChannels ? "" : fmt::format("uses channel {}", channel);
    }
    case Space::kBoard:
      if (operand.rank == schedule.rank) return "reads its own post";
      return operand.block >= 0 && operand.block < kMostPosts ? "" : "has no such post";
    default: return faultOfBlocks(schedule, lane, operand, layouts);
  }
}

}  // namespace

base::Status checkQuestion(const topology::Topology& topology,
                           const std::vector<ir::Schedule>& schedules, const ir::Call& call,
                           const Options& options) {
  const size_t ranks = topology.ranks().size();
  if (schedules.size() != ranks) {
    return invalid(
        fmt::format("there are {} schedules for the {} ranks of the topology: give one for each",
                    schedules.size(), ranks));
  }
  if (ir::sizeOf(call.type) == 0) return invalid("the call's type is none that exists");
  TUTTI_RETURN_IF_ERROR(checkOptions(options));
  const uint64_t sum = std::accumulate(options.counts.begin(), options.counts.end(), uint64_t{0});
  if (isUneven(call.collective) && (options.counts.size() != ranks || sum != call.count)) {
    return invalid(fmt::format("{} counts of {} elements for {} ranks and {} elements",
                               options.counts.size(), sum, ranks, call.count));
  }
  return {};
}

base::Status checkHeads(const std::vector<ir::Schedule>& schedules, const ir::Call& call) {
  for (size_t index = 0; index < schedules.size(); ++index) {
    const ir::Schedule& schedule = schedules[index];
    const bool isSame = isPair(call.collective) ? isPair(schedule.collective)
                                                : schedule.collective == call.collective;
    if (!isSame || static_cast<size_t>(schedule.rank) != index ||
        static_cast<size_t>(schedule.size) != schedules.size()) {
      return wrong(fmt::format("the schedule of rank {} is {} of rank {} of {}", index,
                               ir::name(schedule.collective), schedule.rank, schedule.size));
    }
    const std::string fault = faultOfSchedule(schedule);
    if (!fault.empty()) return wrong(fmt::format("rank {}: {}", index, fault));
    if (schedule.sliceWeights != schedules[0].sliceWeights) {
      return wrong(fmt::format("ranks 0 and {} have different slices", index));
    }
  }
  return {};
}

std::string faultOfStep(const ir::Schedule& schedule, const ir::Lane& lane, const ir::Step& step,
                        const std::vector<Layout>& layouts) {
  for (const auto* operands : {&step.sources, &step.destinations}) {
    for (const Operand& operand : *operands) {
      std::string fault = faultOfOperand(schedule, lane, operand, layouts);
      if (!fault.empty()) return fault;
    }
  }
  for (const ir::Rank peer : step.peers) {
    if (peer == ir::kEveryone && step.peers.size() == 1) continue;
    if (!isRank(peer, schedule) || peer == schedule.rank) return fmt::format("names peer {}", peer);
  }
  if (step.post < 0 || step.post >= kMostPosts) return "has no such post";
  if (step.afterLane < 0) return {};
  const auto target = static_cast<size_t>(step.afterLane);
  const bool isThere = target < schedule.lanes.size() && step.afterStep >= 0 &&
                       static_cast<size_t>(step.afterStep) < schedule.lanes[target].steps.size();
  return isThere ? "" : "comes after a step that is not there";
}

}  // namespace tutti::sim
