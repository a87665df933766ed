#include "src/sim/script.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "src/schedule/check.h"
#include "topology/routes.h"

namespace tutti::sim {
namespace {

using ir::Operand;
using ir::Rank;
using ir::Space;
using ir::StepKind;
using schedule::Layout;
using schedule::wrong;

bool isBlock(Space space) {
  return space == Space::kInput || space == Space::kOutput || space == Space::kScratch;
}

uint32_t sizeOf(const auto& list) { return static_cast<uint32_t>(list.size()); }

class Writer {
 public:
  Writer(const topology::Topology& topology, const std::vector<ir::Schedule>& schedules,
         const ir::Call& call, const Options& options, topology::RouteTable routes,
         FlowNetwork& network)
      : topology_(topology),
        schedules_(schedules),
        call_(call),
        options_(options),
        routes_(std::move(routes)),
        network_(network),
        counts_(schedule::blockCounts(call, static_cast<int>(schedules.size()), options.counts)) {}

  base::Result<Script> write();

 private:
  void notePosts(const ir::Schedule& schedule);
  base::Status addLane(const ir::Schedule& schedule, size_t index, uint64_t iterations);
  base::Status addStep(const ir::Step& step);
  base::Status addSource(const Operand& from);
  base::Status addDestination(const Operand& to, Time read, ScriptStep& step);
  base::Status needPost(Rank owner, int number);
  base::Status needConnection(Rank from, Rank to, const Operand& operand, bool isSender);
  base::Result<int32_t> wayOf(Rank from, Rank to, int channel);
  void chooseLength(const ir::Step& step, ScriptStep& added);
  void countWork(const ir::Step& step, ScriptStep& added) const;
  int32_t postOf(Rank rank, int number) const { return rank * script_.postsPerRank + number; }
  const Way& wayAt(int32_t index) const { return script_.ways[static_cast<size_t>(index)]; }

  const topology::Topology& topology_;
  const std::vector<ir::Schedule>& schedules_;
  const ir::Call& call_;
  const Options& options_;
  topology::RouteTable routes_;
  FlowNetwork& network_;
  std::vector<uint64_t> counts_;
  Script script_;
  std::vector<ir::Schedule> heads_;  // without lanes and chunks: what layouts_ belong to
  std::vector<Layout> layouts_;      // so blocks are whole
  std::unordered_map<uint64_t, int32_t> connectionOf_;
  std::vector<uint32_t> lastSteps_;  // that used either end of each connection
  std::map<std::vector<topology::LinkIndex>, int32_t> wayOfLinks_;
  // What is being written.
  const ir::Schedule* schedule_ = nullptr;
  ir::Lane lane_;  // without steps and chunks
  ir::Part part_;
  int32_t block_ = -1;
  int32_t firstLane_ = 0;
};

base::Result<Script> Writer::write() {
  for (const ir::Schedule& schedule : schedules_) {
    ir::Schedule& head = heads_.emplace_back();
    head.collective = schedule.collective;
    head.rank = schedule.rank;
    head.size = schedule.size;
    head.root = schedule.root;
    head.sliceWeights = schedule.sliceWeights;
    head.sliceChunks.assign(schedule.sliceWeights.size(), 0);
    head.scratchBlocks = schedule.scratchBlocks;
    notePosts(schedule);
  }
  for (const ir::Schedule& head : heads_) layouts_.emplace_back(call_, head, counts_, false);
  for (const ir::Schedule& schedule : schedules_) {
    const Layout cut(call_, schedule, counts_, false);
    firstLane_ = static_cast<int32_t>(script_.lanes.size());
    for (size_t index = 0; index < schedule.lanes.size(); ++index) {
      const uint64_t iterations = cut.iterations(schedule.lanes[index]);
      TUTTI_RETURN_IF_ERROR(addLane(schedule, index, iterations));
    }
  }
  return std::move(script_);
}

void Writer::notePosts(const ir::Schedule& schedule) {
  int most = 0;
  for (const ir::Lane& lane : schedule.lanes) {
    for (const ir::Step& step : lane.steps) {
      most = std::max(most, step.post);
      for (const auto* operands : {&step.sources, &step.destinations}) {
        for (const Operand& operand : *operands) {
          if (operand.space == Space::kBoard) most = std::max(most, operand.block);
        }
      }
    }
  }
  script_.postsPerRank = std::clamp(most + 1, script_.postsPerRank, kMostPosts);
}

base::Status Writer::addLane(const ir::Schedule& schedule, size_t index, uint64_t iterations) {
  const ir::Lane& lane = schedule.lanes[index];
  schedule_ = &schedule;
  lane_ = {.channel = lane.channel, .slice = lane.slice, .blocks = lane.blocks};
  ScriptLane added{.rank = schedule.rank,
                   .index = static_cast<int32_t>(index),
                   .stepBegin = sizeOf(script_.steps),
                   .iterations = iterations};
  for (size_t at = 0; at < lane.steps.size(); ++at) {
    const auto where = [&] { return schedule::whereIs(schedule, index, at); };
    const std::string fault = faultOfStep(schedule, lane_, lane.steps[at], layouts_);
    if (!fault.empty()) return wrong(fmt::format("{}: {}", where(), fault));
    part_ = ir::partOf(schedule, lane, lane.steps[at]);
    const base::Status status = addStep(lane.steps[at]);
    if (!status.isOk()) return status.withContext(where());
  }
  added.stepEnd = sizeOf(script_.steps);
  script_.lanes.push_back(added);
  return {};
}

base::Status Writer::addStep(const ir::Step& step) {
  ScriptStep added;
  added.chunkBytes = part_.chunkBytes;
  added.needBegin = sizeOf(script_.needs);
  added.accessBegin = sizeOf(script_.accesses);
  chooseLength(step, added);
  countWork(step, added);
  if (step.afterLane >= 0) {
    script_.needs.push_back({NeedKind::kStep, firstLane_ + step.afterLane, step.afterStep});
  }
  const bool makesPost = step.kind == StepKind::kExpose || step.kind == StepKind::kSignal;
  if (makesPost) added.post = postOf(schedule_->rank, step.post);
  if (step.kind == StepKind::kAttach || step.kind == StepKind::kWait) {
    for (const Rank peer : schedule::peersOf(step, *schedule_)) {
      TUTTI_RETURN_IF_ERROR(needPost(peer, step.post));
    }
  }
  for (const Operand& from : step.sources) TUTTI_RETURN_IF_ERROR(addSource(from));
  // What is written was read before.
  Time read = 0;
  for (size_t at = added.accessBegin; at < script_.accesses.size(); ++at) {
    read = std::max(read, script_.accesses[at].delay);
  }
  for (const Operand& to : step.destinations) {
    TUTTI_RETURN_IF_ERROR(addDestination(to, read, added));
  }
  added.needEnd = sizeOf(script_.needs);
  added.accessEnd = sizeOf(script_.accesses);
  script_.steps.push_back(added);
  return {};
}

base::Status Writer::addSource(const Operand& from) {
  const Rank self = schedule_->rank;
  if (from.space == Space::kFifo) return needConnection(from.rank, self, from, false);
  if (from.space == Space::kBoard) {
    TUTTI_RETURN_IF_ERROR(needPost(from.rank, from.block));
    script_.accesses.push_back({wayAt(script_.needs.back().number).path, 0});
  } else if (from.rank != self) {
    TUTTI_ASSIGN_OR_RETURN(const int32_t there, wayOf(self, from.rank, lane_.channel));
    TUTTI_ASSIGN_OR_RETURN(const int32_t back, wayOf(from.rank, self, lane_.channel));
    const Time delay = later(wayAt(there).latency, wayAt(back).latency);
    script_.accesses.push_back({wayAt(back).path, later(wayAt(there).messageTime, delay)});
  }
  return {};
}

base::Status Writer::addDestination(const Operand& to, Time read, ScriptStep& step) {
  const Rank self = schedule_->rank;
  if (to.space == Space::kFifo) return needConnection(self, to.rank, to, true);
  if (to.space == Space::kBoard) {
    step.post = postOf(self, to.block);
  } else if (to.rank != self) {
    TUTTI_ASSIGN_OR_RETURN(const int32_t way, wayOf(self, to.rank, lane_.channel));
    const Time delay = later(wayAt(way).messageTime, wayAt(way).latency);
    script_.accesses.push_back({wayAt(way).path, later(read, delay)});
  }
  return {};
}

base::Status Writer::needPost(Rank owner, int number) {
  TUTTI_ASSIGN_OR_RETURN(const int32_t way, wayOf(owner, schedule_->rank, lane_.channel));
  script_.needs.push_back({NeedKind::kPost, postOf(owner, number), way});
  return {};
}

// Either end of a connection belongs to one lane, and a step uses it once.
base::Status Writer::needConnection(Rank from, Rank to, const Operand& operand, bool isSender) {
  const int channel = schedule::channelOf(operand, lane_);
  const uint64_t key = (static_cast<uint64_t>(from) << 40) + (static_cast<uint64_t>(to) << 16) +
                       static_cast<uint64_t>(channel);
  const auto [found, isNew] =
      connectionOf_.try_emplace(key, static_cast<int32_t>(script_.connections.size()));
  if (isNew) {
    script_.connections.push_back({.from = from, .to = to, .channel = channel});
    lastSteps_.resize(lastSteps_.size() + 2, UINT32_MAX);
  }
  Connection& connection = script_.connections[static_cast<size_t>(found->second)];
  int32_t& owner = isSender ? connection.sender : connection.receiver;
  uint32_t& lastStep = lastSteps_[2 * static_cast<size_t>(found->second) + (isSender ? 1 : 0)];
  const auto self = static_cast<int32_t>(script_.lanes.size());
  if (owner >= 0 && owner != self) return wrong("uses a FIFO of another lane");
  if (lastStep == script_.steps.size()) return wrong("uses a FIFO twice");
  owner = self;
  lastStep = sizeOf(script_.steps);
  Need need{isSender ? NeedKind::kSlot : NeedKind::kMessage, found->second};
  if (isSender) {
    TUTTI_ASSIGN_OR_RETURN(need.number, wayOf(from, to, channel));
  }
  script_.needs.push_back(need);
  return {};
}

base::Result<int32_t> Writer::wayOf(Rank from, Rank to, int channel) {
  TUTTI_ASSIGN_OR_RETURN(auto links, routes_.find(from, to, channel, part_.slice, block_));
  const auto [found, isNew] =
      wayOfLinks_.try_emplace(std::move(links), static_cast<int32_t>(script_.ways.size()));
  if (!isNew) return found->second;
  Way way;
  int64_t cap = 0;
  int64_t messageNs = 0;
  for (const topology::LinkIndex index : found->first) {
    const topology::Link& link = topology_.links[static_cast<size_t>(index)];
    const auto kind = static_cast<size_t>(link.kind);
    messageNs = std::max(messageNs, options_.messageNs[kind]);
    const int64_t most = options_.flowCapacity[kind];
    if (most > 0 && (cap == 0 || most < cap)) cap = most;
    way.latency = later(way.latency, picoseconds(link.latencyNs));
  }
  way.messageTime = picoseconds(messageNs);
  way.path = network_.addPath(found->first, cap);
  script_.ways.push_back(way);
  return found->second;
}

// Blocks of a user's buffer are exact, scratch may be longer than what it holds. The block says
// for whose tree the step works, where ranks have blocks of their own.
void Writer::chooseLength(const ir::Step& step, ScriptStep& added) {
  const Operand* blocks = nullptr;
  for (const auto* operands : {&step.sources, &step.destinations}) {
    for (const Operand& operand : *operands) {
      const bool isBetter = blocks == nullptr || blocks->space == Space::kScratch;
      if (isBlock(operand.space) && isBetter) blocks = &operand;
    }
  }
  const bool isExact = blocks != nullptr && blocks->space != Space::kScratch;
  for (const Operand& from : step.sources) {
    if (isExact || isBlock(from.space)) continue;
    added.length = from.space == Space::kFifo ? Length::kMessage : Length::kPost;
  }
  const Layout& own = layouts_[static_cast<size_t>(schedule_->rank)];
  block_ = -1;
  if (blocks != nullptr && !counts_.empty()) {
    const bool isRow = isExact && own.blockCount(blocks->space, lane_) > 1;
    block_ = isRow ? blocks->block : (isExact ? schedule_->rank : blocks->like);
  }
  added.lengthBegin = sizeOf(script_.lengths);
  if (added.length == Length::kBlocks && blocks != nullptr) {
    const Layout& layout = layouts_[static_cast<size_t>(blocks->rank)];
    const uint64_t elementBytes = ir::sizeOf(call_.type);
    for (const auto& extent : layout.locate(*blocks, lane_, step, 0)) {
      script_.lengths.push_back(static_cast<uint64_t>(extent.length) * elementBytes);
    }
  }
  added.lengthEnd = sizeOf(script_.lengths);
}

void Writer::countWork(const ir::Step& step, ScriptStep& added) const {
  const auto isMine = [this](const Operand& operand) {
    return isBlock(operand.space) && operand.rank == schedule_->rank;
  };
  const auto stored = std::count_if(step.destinations.begin(), step.destinations.end(), isMine);
  if (step.kind == StepKind::kMove) added.copied = static_cast<uint16_t>(stored);
  if (step.kind == StepKind::kReduce) added.combined = static_cast<uint16_t>(step.sources.size());
}

}  // namespace

uint64_t Script::bytesOf(const ScriptStep& step, uint64_t iteration) const {
  uint64_t bytes = 0;
  for (uint32_t at = step.lengthBegin; at < step.lengthEnd; ++at) {
    if (step.chunkBytes == 0) {
      bytes += lengths[at];
    } else if (lengths[at] / step.chunkBytes >= iteration) {
      bytes += std::min(step.chunkBytes, lengths[at] - iteration * step.chunkBytes);
    }
  }
  return bytes;
}

base::Result<Script> writeScript(const topology::Topology& topology,
                                 const std::vector<ir::Schedule>& schedules, const ir::Call& call,
                                 const Options& options, FlowNetwork& network) {
  TUTTI_RETURN_IF_ERROR(checkQuestion(topology, schedules, call, options));
  TUTTI_RETURN_IF_ERROR(checkHeads(schedules, call));
  TUTTI_ASSIGN_OR_RETURN(topology::RouteTable routes,
                         topology::RouteTable::make(topology, options.routes));
  return Writer(topology, schedules, call, options, std::move(routes), network).write();
}

}  // namespace tutti::sim
