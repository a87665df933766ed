#include "src/schedule/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>

#include "src/base/errors.h"

namespace tutti::schedule {
namespace {

using ir::Collective;
using ir::Limits;
using ir::Space;
using ir::StepKind;

bool isPair(Collective collective) {
  return collective == Collective::kSend || collective == Collective::kRecv;
}

bool isData(StepKind kind) { return kind == StepKind::kMove || kind == StepKind::kReduce; }

std::string_view kindName(StepKind kind) {
  switch (kind) {
    case StepKind::kMove: return "move";
    case StepKind::kReduce: return "reduce";
    case StepKind::kExpose: return "expose";
    case StepKind::kAttach: return "attach";
    case StepKind::kSignal: return "signal";
    case StepKind::kWait: return "wait";
    case StepKind::kPass: return "pass";
  }
  return "?";
}

// Checks the steps of one Schedule. Each check gives a text, empty where all is well.
class FormChecker {
 public:
  FormChecker(const ir::Schedule& schedule, std::span<const Layout> layouts)
      : schedule_(schedule), layouts_(layouts) {}

  std::string checkLane(const ir::Lane& lane) const {
    if (lane.channel < 0 || lane.channel >= channels()) return "has no such channel";
    if (lane.chunkBytes % kChunkUnit != 0) return "has chunks that are no multiple of 128 B";
    const auto scratchBlocks = static_cast<uint64_t>(schedule_.scratchBlocks);
    const uint64_t piece = layout().longestChunkBytes(lane);
    if (scratchBlocks * piece > Limits::kScratchBytes) {
      return fmt::format("needs {} B of scratch", scratchBlocks * piece);
    }
    return {};
  }

  std::string checkStep(const ir::Lane& lane, const ir::Step& step) const {
    if (std::string text = checkOrder(step); !text.empty()) return text;
    if (step.kind == StepKind::kPass) {
      const bool isEmpty = step.sources.empty() && step.destinations.empty() && step.peers.empty();
      return isEmpty ? std::string() : std::string("passes, but has operands or peers");
    }
    if (!isData(step.kind)) return checkPost(lane, step);
    if (step.kind == StepKind::kMove && step.sources.size() != 1) return "has not one source";
    if (step.kind == StepKind::kReduce && step.sources.size() < 2) return "has under two sources";
    if (step.destinations.empty()) return "has no destination";
    if (step.isFinal && !ir::isReducing(schedule_.collective)) {
      return "is final in a collective that does not reduce";
    }
    for (const ir::Operand& operand : step.sources) {
      if (std::string text = checkOperand(lane, operand, true); !text.empty()) return text;
    }
    for (const ir::Operand& operand : step.destinations) {
      if (std::string text = checkOperand(lane, operand, false); !text.empty()) return text;
    }
    return checkFifosOnce(lane, step);
  }

 private:
  const Layout& layout() const { return layouts_[static_cast<size_t>(schedule_.rank)]; }
  bool isRank(ir::Rank rank) const { return rank >= 0 && rank < schedule_.size; }
  int channels() const {
    return Limits::kChannels + static_cast<int>(schedule_.narrowBytes.size());
  }

  std::string checkOrder(const ir::Step& step) const {
    if (step.afterLane < 0) return {};
    const auto lane = static_cast<size_t>(step.afterLane);
    if (lane >= schedule_.lanes.size() || step.afterStep < 0 ||
        static_cast<size_t>(step.afterStep) >= schedule_.lanes[lane].steps.size()) {
      return fmt::format("comes after step {} of lane {}, which is not there", step.afterStep,
                         step.afterLane);
    }
    return {};
  }

  std::string checkPost(const ir::Lane& lane, const ir::Step& step) const {
    if (step.post < 0 || step.post >= Limits::kPosts) {
      return fmt::format("uses post {} of {}", step.post, Limits::kPosts);
    }
    if (!hasOneIteration(lane)) return "uses a post in a lane of several iterations";
    const bool usesPeers = step.kind == StepKind::kAttach || step.kind == StepKind::kWait;
    if (usesPeers == step.peers.empty()) return "names peers where it has none, or none at all";
    if (step.peers.size() == 1 && step.peers[0] == ir::kEveryone) return {};
    for (size_t at = 0; at < step.peers.size(); ++at) {
      const ir::Rank peer = step.peers[at];
      const bool isAscending = at == 0 || step.peers[at - 1] < peer;
      if (!isRank(peer) || peer == schedule_.rank || !isAscending) {
        return fmt::format("names peer {} wrongly", peer);
      }
    }
    return {};
  }

  std::string checkOperand(const ir::Lane& lane, const ir::Operand& operand, bool isSource) const {
    switch (operand.space) {
      case Space::kFifo: return checkFifo(lane, operand);
      case Space::kBoard: return checkBoard(lane, operand, isSource);
      default: return checkBlocks(lane, operand, isSource);
    }
  }

  std::string checkFifo(const ir::Lane& lane, const ir::Operand& operand) const {
    if (!isRank(operand.rank) || operand.rank == schedule_.rank) {
      return fmt::format("uses a FIFO with rank {}", operand.rank);
    }
    const int channel = channelOf(operand, lane);
    if (channel >= channels()) return fmt::format("uses channel {}", channel);
    if (channel == 0 && !schedule_.narrowBytes.empty()) return "uses channel 0, which is cut up";
    if ((channel == Limits::kSendRecvChannel) != isPair(schedule_.collective)) {
      return fmt::format("uses channel {}, which {} for send and recv", channel,
                         isPair(schedule_.collective) ? "is not" : "is kept");
    }
    return operand.blocks == 1 ? std::string() : std::string("takes several messages as one");
  }

  std::string checkBoard(const ir::Lane& lane, const ir::Operand& operand, bool isSource) const {
    if (operand.block < 0 || operand.block >= Limits::kPosts || operand.blocks != 1) {
      return fmt::format("uses post {} of {}", operand.block, Limits::kPosts);
    }
    if (!hasOneIteration(lane)) return "uses a post in a lane of several iterations";
    if (!isSource && operand.rank != ir::kEveryone) return "posts to one rank only";
    if (isSource && (!isRank(operand.rank) || operand.rank == schedule_.rank)) {
      return fmt::format("reads a post of rank {}", operand.rank);
    }
    return {};
  }

  std::string checkBlocks(const ir::Lane& lane, const ir::Operand& operand, bool isSource) const {
    const std::string_view space = operand.space == Space::kInput    ? "input"
                                   : operand.space == Space::kOutput ? "output"
                                                                     : "scratch";
    if (!isRank(operand.rank) ||
        (operand.space == Space::kScratch && operand.rank != schedule_.rank)) {
      return fmt::format("uses {} of rank {}", space, operand.rank);
    }
    if (!isSource && operand.space == Space::kInput) return "writes to an input";
    const int count = layouts_[static_cast<size_t>(operand.rank)].blockCount(operand.space, lane);
    if (operand.block < 0 || operand.blocks < 1 || operand.block > count - operand.blocks) {
      return fmt::format("uses {} blocks from {} of {} of rank {}, which has {}", operand.blocks,
                         operand.block, space, operand.rank, count);
    }
    if (operand.like < 0) return {};
    if (operand.space != Space::kScratch ||
        operand.like > layout().likeCount(lane) - operand.blocks) {
      return fmt::format("uses {} blocks of {} as long as block {} and what follows it",
                         operand.blocks, space, operand.like);
    }
    return {};
  }

  // A step that used one FIFO twice would mean the same message.
  std::string checkFifosOnce(const ir::Lane& lane, const ir::Step& step) const {
    for (const auto* operands : {&step.sources, &step.destinations}) {
      std::set<std::pair<ir::Rank, int>> seen;
      for (const ir::Operand& operand : *operands) {
        if (operand.space != Space::kFifo) continue;
        if (!seen.insert({operand.rank, channelOf(operand, lane)}).second) {
          return fmt::format("uses the FIFO with rank {} twice", operand.rank);
        }
      }
    }
    return {};
  }

  bool hasOneIteration(const ir::Lane& lane) const { return layout().iterations(lane) == 1; }

  const ir::Schedule& schedule_;
  std::span<const Layout> layouts_;
};

// A scratch block belongs to one lane; so does either end of a FIFO.
base::Status checkOwners(const ir::Schedule& schedule) {
  std::map<int, size_t> scratchOwners;
  std::map<std::tuple<bool, ir::Rank, int>, size_t> fifoOwners;
  for (size_t index = 0; index < schedule.lanes.size(); ++index) {
    const ir::Lane& lane = schedule.lanes[index];
    for (size_t at = 0; at < lane.steps.size(); ++at) {
      for (const bool isSource : {true, false}) {
        const auto& operands = isSource ? lane.steps[at].sources : lane.steps[at].destinations;
        for (const ir::Operand& operand : operands) {
          bool isOwn = true;
          if (operand.space == Space::kFifo) {
            const auto key = std::tuple(isSource, operand.rank, channelOf(operand, lane));
            isOwn = fifoOwners.try_emplace(key, index).first->second == index;
          }
          for (int block = 0; block < operand.blocks && operand.space == Space::kScratch; ++block) {
            const auto owner = scratchOwners.try_emplace(operand.block + block, index).first;
            isOwn = isOwn && owner->second == index;
          }
          if (isOwn) continue;
          return wrong(fmt::format("{}: uses a FIFO or scratch block of another lane",
                                   whereIs(schedule, index, at)));
        }
      }
    }
  }
  return {};
}

base::Status checkSchedule(const ir::Schedule& schedule, std::span<const Layout> layouts) {
  const FormChecker checker(schedule, layouts);
  bool usesPeerMemory = false;
  for (size_t index = 0; index < schedule.lanes.size(); ++index) {
    const ir::Lane& lane = schedule.lanes[index];
    if (const std::string text = checker.checkLane(lane); !text.empty()) {
      return wrong(fmt::format("rank {} lane {} {}", schedule.rank, index, text));
    }
    for (size_t at = 0; at < lane.steps.size(); ++at) {
      const ir::Step& step = lane.steps[at];
      const std::string text = checker.checkStep(lane, step);
      if (!text.empty()) {
        return wrong(fmt::format("{}: {}", whereIs(schedule, index, at), text));
      }
      if (step.kind == StepKind::kExpose || step.kind == StepKind::kAttach) usesPeerMemory = true;
    }
  }
  if (usesPeerMemory != schedule.needsPeerMemory) {
    return wrong(fmt::format("rank {} {} peer memory and says otherwise", schedule.rank,
                             usesPeerMemory ? "uses" : "does not use"));
  }
  return checkOwners(schedule);
}

// All that expose must be seen by all, or ranks would decide differently on the fallback.
base::Status checkExposures(std::span<const ir::Schedule> ranks) {
  std::set<ir::Rank> exposing;
  std::set<std::pair<ir::Rank, ir::Rank>> attached;
  for (const ir::Schedule& schedule : ranks) {
    for (const ir::Lane& lane : schedule.lanes) {
      for (const ir::Step& step : lane.steps) {
        if (step.kind == StepKind::kExpose) exposing.insert(schedule.rank);
        if (step.kind != StepKind::kAttach) continue;
        for (const ir::Rank peer : peersOf(step, schedule)) attached.insert({schedule.rank, peer});
      }
    }
  }
  for (const ir::Rank owner : exposing) {
    for (const ir::Schedule& schedule : ranks) {
      if (schedule.rank == owner || attached.count({schedule.rank, owner}) > 0) continue;
      return wrong(fmt::format("rank {} does not attach to rank {}, which exposes its buffers",
                               schedule.rank, owner));
    }
  }
  return {};
}

// What layouts rely on.
std::string checkSlices(const ir::Schedule& schedule) {
  const auto count = static_cast<int>(schedule.sliceWeights.size());
  for (const ir::Lane& lane : schedule.lanes) {
    if (lane.blocks < 1) return "a lane has no blocks";
    if (lane.slice >= count)
      return fmt::format("a lane works on slice {} of {}", lane.slice, count);
    if (lane.slice < 0 && schedule.sliceChunks.empty()) return "a lane has no slice";
    for (const ir::Step& step : lane.steps) {
      const bool isOwn = step.slice != -1 || step.slices != 1;
      const bool isInRange =
          step.slice >= 0 && step.slices >= 1 && step.slice <= count - step.slices;
      if (lane.slice < 0 ? isInRange : !isOwn) continue;
      return fmt::format("a step works on slices {} to {} of {}, its lane on {}", step.slice,
                         step.slice + step.slices - 1, count, lane.slice);
    }
  }
  return {};
}

bool areChunks(const std::vector<uint64_t>& chunks) {
  return std::all_of(chunks.begin(), chunks.end(),
                     [](uint64_t bytes) { return bytes > 0 && bytes % kChunkUnit == 0; });
}

base::Status checkHead(const ir::Schedule& schedule, const ir::Schedule& first,
                       const ir::Call& call, size_t index, size_t size) {
  const bool isSame = isPair(call.collective)
                          ? isPair(schedule.collective)
                          : schedule.collective == call.collective && schedule.root == first.root;
  const bool isRooted = !ir::hasRoot(call.collective) || schedule.root == call.root;
  if (!isSame || !isRooted || schedule.size != static_cast<int>(size) ||
      schedule.rank != static_cast<ir::Rank>(index)) {
    return wrong(fmt::format("the schedule of rank {} is {} of rank {} of {} with root {}", index,
                             ir::name(schedule.collective), schedule.rank, schedule.size,
                             schedule.root));
  }
  const auto& weights = schedule.sliceWeights;
  const bool isPositive =
      std::all_of(weights.begin(), weights.end(), [](int32_t weight) { return weight > 0; });
  const auto& chunks = schedule.sliceChunks;
  if (weights.empty() || !isPositive || weights != first.sliceWeights ||
      schedule.scratchBlocks < 0 || chunks != first.sliceChunks || !areChunks(chunks) ||
      (!chunks.empty() && chunks.size() != weights.size())) {
    return wrong(fmt::format("rank {} has slices or scratch that can not be", index));
  }
  const auto& narrow = schedule.narrowBytes;
  if (narrow != first.narrowBytes || !areChunks(narrow) ||
      narrow.size() > static_cast<size_t>(Limits::kNarrowChannels) ||
      ir::narrowOffset(narrow, narrow.size()) > Limits::kFifoSlotBytes) {
    return wrong(fmt::format("rank {} has narrow channels that can not be", index));
  }
  if (const std::string text = checkSlices(schedule); !text.empty()) {
    return wrong(fmt::format("rank {}: {}", index, text));
  }
  return {};
}

}  // namespace

base::Status defect(std::string text) {
  return {base::Code::kInternalError, base::kErrInternal, std::move(text)};
}

base::Status wrong(std::string text) {
  return {base::Code::kInternalError, base::kErrInternal, "schedule: " + std::move(text)};
}

std::string whereIs(const ir::Schedule& schedule, size_t lane, size_t step) {
  return fmt::format("rank {} ({}) lane {} step {} ({})", schedule.rank, schedule.algorithm, lane,
                     step, kindName(schedule.lanes[lane].steps[step].kind));
}

std::vector<ir::Rank> peersOf(const ir::Step& step, const ir::Schedule& schedule) {
  if (step.peers.size() != 1 || step.peers[0] != ir::kEveryone) return step.peers;
  std::vector<ir::Rank> peers;
  for (ir::Rank rank = 0; rank < schedule.size; ++rank) {
    if (rank != schedule.rank) peers.push_back(rank);
  }
  return peers;
}

base::Status checkForm(std::span<const ir::Schedule> ranks, const ir::Call& call,
                       std::span<const Layout> layouts) {
  for (size_t index = 0; index < ranks.size(); ++index) {
    TUTTI_RETURN_IF_ERROR(checkHead(ranks[index], ranks[0], call, index, ranks.size()));
  }
  // Without layouts only heads can be checked (layouts need sound heads).
  if (layouts.empty()) return {};
  for (const ir::Schedule& schedule : ranks) {
    TUTTI_RETURN_IF_ERROR(checkSchedule(schedule, layouts));
  }
  return checkExposures(ranks);
}

}  // namespace tutti::schedule
