#include "src/sim/run.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/base/errors.h"
#include "src/schedule/check.h"

namespace tutti::sim {

Run::Run(const Script& script, const std::vector<ir::Schedule>& schedules, const Options& options,
         FlowNetwork& network)
    : script_(script),
      schedules_(schedules),
      options_(options),
      network_(network),
      slotCount_(static_cast<uint64_t>(options.fifoSlots)),
      lanes_(script.lanes.size()),
      connections_(script.connections.size()),
      slots_(script.connections.size() * slotCount_),
      posts_(schedules.size() * static_cast<size_t>(script.postsPerRank)),
      rankEnds_(schedules.size()) {
  for (size_t rank = 0; rank < schedules.size(); ++rank) {
    if (options.copyCapacity > 0) {
      copyEngines_.push_back(network.addPath(network.addConstraint(options.copyCapacity)));
    }
    if (options.reduceCapacity > 0) {
      reduceEngines_.push_back(network.addPath(network.addConstraint(options.reduceCapacity)));
    }
  }
}

base::Status Run::run() {
  for (size_t index = 0; index < lanes_.size(); ++index) {
    lanes_[index].step = script_.lanes[index].stepBegin;
    ready_.push_back(static_cast<int32_t>(index));
  }
  std::vector<uint64_t> ended;
  do {
    for (const uint64_t name : ended) {
      const auto index = static_cast<int32_t>(name >> 1);
      if ((name & 1) != 0) {
        leave(index);
      } else if (!lane(index).isRunning || --lane(index).pending == 0) {
        makeReady(index);
      }
    }
    // Lanes wake others while they go on.
    for (size_t next = 0; next < ready_.size(); ++next) goOn(ready_[next]);
    ready_.clear();
  } while (network_.advance(ended));
  return stuck();
}

std::span<const Need> Run::needsOf(int32_t index) const {
  const ScriptStep& step = stepOf(index);
  return {script_.needs.data() + step.needBegin, script_.needs.data() + step.needEnd};
}

const ScriptStep& Run::stepOf(int32_t index) const {
  return script_.steps[lanes_[static_cast<size_t>(index)].step];
}

void Run::makeReady(int32_t index) {
  lane(index).mood = Mood::kReady;
  ready_.push_back(index);
}

// As far as the lane comes at this time.
void Run::goOn(int32_t index) {
  LaneState& state = lane(index);
  const ScriptLane& plan = this->plan(index);
  if (state.isRunning) endStep(index);
  while (state.iteration < plan.iterations && plan.stepBegin != plan.stepEnd) {
    if (!settleNeeds(index)) return;
    startStep(index);
    if (state.pending > 0) return;
    endStep(index);
  }
  state.mood = Mood::kDone;
  Time& end = rankEnds_[static_cast<size_t>(plan.rank)];
  end = std::max(end, network_.now());
}

// ---- what a step waits for --------------------------------------------------------------------

// May the step start now? Else something will make the lane ready. What is there stays: only this
// lane takes it.
bool Run::settleNeeds(int32_t index) {
  LaneState& state = lane(index);
  const auto needs = needsOf(index);
  for (; state.need < needs.size(); ++state.need) {
    const Time time = timeOf(index, needs[state.need]);
    if (time == kNever) {
      state.mood = Mood::kBlocked;
      await(index, needs[state.need]);
      return false;
    }
    state.earliest = std::max(state.earliest, time);
  }
  if (state.earliest <= network_.now()) return true;
  state.mood = Mood::kBusy;
  network_.wait(state.earliest - network_.now(), nameOf(index));
  return false;
}

// When a need is met; kNever while that is not known.
Time Run::timeOf(int32_t index, const Need& need) {
  const auto at = static_cast<size_t>(need.at);
  switch (need.kind) {
    case NeedKind::kStep: return hasRun(need, lane(index).iteration) ? 0 : kNever;
    case NeedKind::kPost: {
      const Way& way = wayAt(need.number);
      return later(posts_[at].made, later(way.messageTime, way.latency));
    }
    case NeedKind::kMessage: {
      const ConnectionState& connection = connections_[at];
      if (connection.taken == connection.posted) return kNever;
      return slot(need.at, connection.taken).arrives;
    }
    case NeedKind::kSlot: {
      const ConnectionState& connection = connections_[at];
      return connection.posted < slotCount_ ? 0 : slot(need.at, connection.posted).isFree;
    }
  }
  return kNever;
}

bool Run::hasRun(const Need& need, uint64_t iteration) {
  const LaneState& other = lane(need.at);
  const auto done = static_cast<int32_t>(other.step - plan(need.at).stepBegin);
  return other.iteration > iteration || other.iteration >= plan(need.at).iterations ||
         (other.iteration == iteration && done > need.number);
}

// The lanes at the ends of a connection are known without.
void Run::await(int32_t index, const Need& need) {
  if (need.kind == NeedKind::kStep) lane(need.at).waiters.push_back(index);
  if (need.kind == NeedKind::kPost) {
    posts_[static_cast<size_t>(need.at)].waiters.push_back(index);
  }
}

void Run::wake(std::vector<int32_t>& waiters) {
  for (const int32_t waiter : waiters) makeReady(waiter);
  waiters.clear();
}

// ---- one step ---------------------------------------------------------------------------------

void Run::startStep(int32_t index) {
  LaneState& state = lane(index);
  const ScriptStep& step = stepOf(index);
  state.isRunning = true;
  state.mood = Mood::kBusy;
  state.bytes = lengthOf(index);
  if (step.copied > 0) work(index, copyEngines_, state.bytes * step.copied);
  if (step.combined > 0) work(index, reduceEngines_, state.bytes * step.combined);
  for (uint32_t at = step.accessBegin; at < step.accessEnd; ++at) {
    const Access& access = script_.accesses[at];
    network_.start(access.path, state.bytes, access.delay, nameOf(index));
    ++state.pending;
    ++transfers_;
  }
  if (options_.stepNs == 0) return;
  network_.wait(picoseconds(options_.stepNs), nameOf(index));
  ++state.pending;
}

uint64_t Run::lengthOf(int32_t index) {
  const ScriptStep& step = stepOf(index);
  if (step.length == Length::kBlocks) {
    return script_.bytesOf(step, lane(index).iteration);
  }
  for (const Need& need : needsOf(index)) {
    const auto at = static_cast<size_t>(need.at);
    if (need.kind == NeedKind::kMessage) return slot(need.at, connections_[at].taken).bytes;
    if (need.kind == NeedKind::kPost && step.length == Length::kPost) return posts_[at].bytes;
  }
  return 0;
}

void Run::work(int32_t index, const std::vector<PathIndex>& engines, uint64_t bytes) {
  if (engines.empty()) return;
  network_.start(engines[static_cast<size_t>(plan(index).rank)], bytes, 0, nameOf(index));
  ++lane(index).pending;
}

void Run::endStep(int32_t index) {
  LaneState& state = lane(index);
  const ScriptStep& step = stepOf(index);
  for (const Need& need : needsOf(index)) {
    if (need.kind == NeedKind::kMessage) take(need.at);
    if (need.kind == NeedKind::kSlot) post(need, state.bytes);
  }
  if (step.post >= 0) {
    Post& made = posts_[static_cast<size_t>(step.post)];
    made.made = std::min(made.made, network_.now());
    made.bytes = state.bytes;
    wake(made.waiters);
  }
  state.isRunning = false;
  state.need = 0;
  state.earliest = 0;
  if (++state.step == plan(index).stepEnd) {
    state.step = plan(index).stepBegin;
    ++state.iteration;
  }
  wake(state.waiters);
}

// ---- connections ------------------------------------------------------------------------------

void Run::post(const Need& need, uint64_t bytes) {
  ConnectionState& state = connections_[static_cast<size_t>(need.at)];
  state.prepared = later(std::max(state.prepared, network_.now()), wayAt(need.number).messageTime);
  slot(need.at, state.posted) = {bytes, state.prepared, kNever, kNever, need.number};
  ++state.posted;
  ++transfers_;
  if (state.posted == state.left + 1) send(need.at);
}

// The oldest message that has not left.
void Run::send(int32_t index) {
  const Slot& next = slot(index, connections_[static_cast<size_t>(index)].left);
  const Time delay = std::max<Time>(0, next.prepared - network_.now());
  network_.start(wayAt(next.way).path, next.bytes, delay, nameOfConnection(index));
}

// None overtakes the one before it, on whatever way.
void Run::leave(int32_t index) {
  const Connection& connection = script_.connections[static_cast<size_t>(index)];
  ConnectionState& state = connections_[static_cast<size_t>(index)];
  Slot& message = slot(index, state.left);
  state.arrived = std::max(state.arrived, later(network_.now(), wayAt(message.way).latency));
  message.arrives = state.arrived;
  ++state.left;
  if (state.left < state.posted) send(index);
  if (connection.receiver >= 0) wakeFor(connection.receiver, NeedKind::kMessage, index);
}

void Run::take(int32_t index) {
  ConnectionState& state = connections_[static_cast<size_t>(index)];
  Slot& message = slot(index, state.taken);
  message.isFree = later(network_.now(), wayAt(message.way).latency);
  ++state.taken;
  wakeFor(script_.connections[static_cast<size_t>(index)].sender, NeedKind::kSlot, index);
}

void Run::wakeFor(int32_t index, NeedKind kind, int32_t connection) {
  if (lane(index).mood != Mood::kBlocked) return;
  const Need& need = needsOf(index)[lane(index).need];
  if (need.kind == kind && need.at == connection) makeReady(index);
}

// ---- lanes that are left ----------------------------------------------------------------------

// What a blocked lane waits for, and the lane that should bring it, if there is one.
std::string Run::waitText(int32_t index, std::optional<int32_t>& waitsFor) const {
  const ScriptLane& plan = this->plan(index);
  const LaneState& state = lanes_[static_cast<size_t>(index)];
  const Need& need = needsOf(index)[state.need];
  const auto at = static_cast<size_t>(need.at);
  std::string text;
  int32_t other = -1;
  if (need.kind == NeedKind::kStep) {
    other = need.at;
    text = fmt::format("step {} of lane {}", need.number, this->plan(other).index);
  } else if (need.kind == NeedKind::kPost) {
    other = posterOf(need.at);
    text = fmt::format("post {} of rank {}", need.at % script_.postsPerRank,
                       need.at / script_.postsPerRank);
  } else {
    const Connection& connection = script_.connections[at];
    const bool isSlot = need.kind == NeedKind::kSlot;
    other = isSlot ? connection.receiver : connection.sender;
    text = isSlot ? fmt::format("a free slot to rank {} on channel {}", connection.to,
                                connection.channel)
                  : fmt::format("a message from rank {} on channel {}", connection.from,
                                connection.channel);
  }
  waitsFor.reset();
  if (other >= 0 && lanes_[static_cast<size_t>(other)].mood != Mood::kDone) waitsFor = other;
  const auto& schedule = schedules_[static_cast<size_t>(plan.rank)];
  return fmt::format(
      "{} chunk {} waits for {}",
      schedule::whereIs(schedule, static_cast<size_t>(plan.index), state.step - plan.stepBegin),
      state.iteration, text);
}

// The lane that makes a post; -1: none.
int32_t Run::posterOf(int32_t post) const {
  for (size_t index = 0; index < script_.lanes.size(); ++index) {
    const ScriptLane& lane = script_.lanes[index];
    for (uint32_t step = lane.stepBegin; step < lane.stepEnd; ++step) {
      if (script_.steps[step].post == post) return static_cast<int32_t>(index);
    }
  }
  return -1;
}

// Follows the first lane that is left, to where the chain ends or closes.
base::Status Run::stuck() {
  constexpr size_t kShown = 8;
  std::vector<int32_t> left;
  for (size_t index = 0; index < lanes_.size(); ++index) {
    if (lanes_[index].mood != Mood::kDone) left.push_back(static_cast<int32_t>(index));
  }
  if (left.empty()) return {};
  if (!network_.isIdle()) {
    return {base::Code::kInvalidArgument, base::kErrInvalidArgument,
            "the collective takes more than 100 days on this topology"};
  }
  std::string text = fmt::format("deadlock: {} of {} lanes are left", left.size(), lanes_.size());
  std::vector<int32_t> shown;
  std::optional<int32_t> next = left.front();
  while (next && std::find(shown.begin(), shown.end(), *next) == shown.end()) {
    if (shown.size() == kShown) {
      text += "; and so on";
      break;
    }
    shown.push_back(*next);
    text += fmt::format("; {}", waitText(shown.back(), next));
  }
  return schedule::wrong(std::move(text));
}

}  // namespace tutti::sim
