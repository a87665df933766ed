#include "src/schedule/replay.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace tutti::schedule {
namespace {

using ir::Limits;
using ir::Space;
using ir::StepKind;

bool isBlock(Space space) {
  return space == Space::kInput || space == Space::kOutput || space == Space::kScratch;
}

}  // namespace

Replay::Replay(std::span<const ir::Schedule> ranks, const ir::Call& call,
               std::span<const Layout> layouts)
    : ranks_(ranks),
      call_(call),
      layouts_(layouts),
      expressions_(static_cast<int>(ranks.size())),
      posts_(ranks.size() * Limits::kPosts),
      exposures_(ranks.size()) {
  for (const ir::Schedule& schedule : ranks_) addLanes(schedule);
  for (LaneState& lane : lanes_) lane.clock.resize(lanes_.size());
  fillInputs();
}

void Replay::addLanes(const ir::Schedule& schedule) {
  const Layout& layout = layouts_[static_cast<size_t>(schedule.rank)];
  memories_.emplace_back(layout.elements());
  firstLanes_.push_back(lanes_.size());
  for (size_t index = 0; index < schedule.lanes.size(); ++index) {
    const ir::Lane& lane = schedule.lanes[index];
    lanes_.push_back({.schedule = &schedule,
                      .lane = &lane,
                      .index = index,
                      .iterations = layout.iterations(lane)});
    for (const ir::Step& step : lane.steps) {
      if (step.afterLane < 0) continue;
      const size_t target = firstLanes_.back() + static_cast<size_t>(step.afterLane);
      isMarked_[{target, static_cast<size_t>(step.afterStep)}] = true;
    }
  }
}

void Replay::fillInputs() {
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    const Extent& input = layouts_[rank].input();
    const auto self = static_cast<ir::Rank>(rank);
    const ExpressionId content =
        ir::isReducing(call_.collective) ? expressions_.raw(self) : expressions_.contribution(self);
    memories_[rank].fill(input.begin, {{input.length, content, 0}});
  }
}

size_t Replay::waiting(ir::Rank from, ir::Rank to, int channel) const {
  const auto fifo = fifos_.find({from, to, channel});
  return fifo == fifos_.end() ? 0 : fifo->second.size();
}

Replay::Post& Replay::post(ir::Rank rank, int number) {
  return posts_[static_cast<size_t>(rank) * Limits::kPosts + static_cast<size_t>(number)];
}

const Replay::Post& Replay::post(ir::Rank rank, int number) const {
  return posts_[static_cast<size_t>(rank) * Limits::kPosts + static_cast<size_t>(number)];
}

std::string Replay::where(const LaneState& lane) const {
  return fmt::format("{} chunk {}", whereIs(*lane.schedule, lane.index, lane.step), lane.iteration);
}

std::string Replay::name(const Moment& moment) const {
  const LaneState& lane = lanes_[static_cast<size_t>(moment.lane)];
  const auto done = static_cast<size_t>(moment.step - 1);
  const size_t steps = lane.lane->steps.size();
  return fmt::format("{} chunk {}", whereIs(*lane.schedule, lane.index, done % steps),
                     done / steps);
}

// ---- taking turns -----------------------------------------------------------------------------

bool Replay::hasRun(size_t lane, int32_t step, uint64_t iteration) const {
  const LaneState& other = lanes_[lane];
  return other.isDone() || other.iteration > iteration ||
         (other.iteration == iteration && other.step > static_cast<size_t>(step));
}

Replay::Awaited Replay::waitsFor(const LaneState& lane) const {
  const ir::Step& step = stepOf(lane);
  const ir::Rank self = lane.schedule->rank;
  const size_t first = firstLanes_[static_cast<size_t>(self)];
  if (step.afterLane >= 0 &&
      !hasRun(first + static_cast<size_t>(step.afterLane), step.afterStep, lane.iteration)) {
    return {Lack::kStep, step.afterStep, step.afterLane};
  }
  if (step.kind == StepKind::kAttach || step.kind == StepKind::kWait) {
    for (const ir::Rank peer : peersOf(step, *lane.schedule)) {
      if (!post(peer, step.post).isMade) return {Lack::kPost, step.post, peer};
    }
  }
  for (const ir::Operand& from : step.sources) {
    if (from.space == Space::kBoard && !post(from.rank, from.block).isMade) {
      return {Lack::kPost, from.block, from.rank};
    }
    if (from.space != Space::kFifo) continue;
    const int channel = channelOf(from, *lane.lane);
    if (waiting(from.rank, self, channel) == 0) {
      return {Lack::kMessage, channel, from.rank};
    }
  }
  for (const ir::Operand& to : step.destinations) {
    if (to.space != Space::kFifo) continue;
    const int channel = channelOf(to, *lane.lane);
    if (waiting(self, to.rank, channel) >= Limits::kFifoSlots) {
      return {Lack::kSlot, channel, to.rank};
    }
  }
  return {};
}

std::string Replay::describe(const Awaited& awaited) {
  switch (awaited.lack) {
    case Lack::kNone: return "for nothing";
    case Lack::kStep: return fmt::format("for step {} of lane {}", awaited.number, awaited.of);
    case Lack::kPost: return fmt::format("for post {} of rank {}", awaited.number, awaited.of);
    case Lack::kMessage:
      return fmt::format("for a message from rank {} on channel {}", awaited.of, awaited.number);
    case Lack::kSlot:
      return fmt::format("for a free slot to rank {} on channel {}", awaited.of, awaited.number);
  }
  return {};
}

std::optional<base::Status> Replay::takeTurn(size_t lane) {
  LaneState& state = lanes_[lane];
  if (state.isDone() || waitsFor(state).lack != Lack::kNone) return std::nullopt;
  return runStep(lane);
}

base::Status Replay::run(Turns turns, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<size_t> order(lanes_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (turns == Turns::kLastFirst) std::reverse(order.begin(), order.end());
  bool isProgressing = true;
  while (isProgressing) {
    isProgressing = false;
    if (turns == Turns::kRandom) std::shuffle(order.begin(), order.end(), random);
    for (const size_t lane : order) {
      // In turn: one step each. Otherwise as far as a lane comes, or a random number of steps.
      uint64_t limit = turns == Turns::kInTurn ? 1 : UINT64_MAX;
      if (turns == Turns::kRandom) limit = 1 + random() % 8;
      while (limit-- > 0) {
        const auto result = takeTurn(lane);
        if (!result) break;
        TUTTI_RETURN_IF_ERROR(*result);
        isProgressing = true;
      }
    }
  }
  return deadlock();
}

base::Status Replay::deadlock() const {
  for (const LaneState& lane : lanes_) {
    if (lane.isDone()) continue;
    return wrong(fmt::format("{}: waits for ever {}", where(lane), describe(waitsFor(lane))));
  }
  return {};
}

// ---- one step ---------------------------------------------------------------------------------

base::Status Replay::runStep(size_t lane) {
  LaneState& state = lanes_[lane];
  const ir::Step& step = stepOf(state);
  ++state.clock[lane];
  if (step.afterLane >= 0) {
    const size_t target = firstLanes_[static_cast<size_t>(state.schedule->rank)] +
                          static_cast<size_t>(step.afterLane);
    const auto mark = marks_.find({target, static_cast<size_t>(step.afterStep), state.iteration});
    join(state.clock, mark != marks_.end() ? mark->second : lanes_[target].clock);
  }
  const bool isData = step.kind == StepKind::kMove || step.kind == StepKind::kReduce;
  std::string text;
  if (step.kind != StepKind::kPass) text = isData ? runData(lane) : runPost(lane);
  if (!text.empty()) return wrong(fmt::format("{}: {}", where(state), text));
  finishStep(lane);
  return {};
}

void Replay::finishStep(size_t lane) {
  LaneState& state = lanes_[lane];
  if (isMarked_.count({lane, state.step}) > 0) {
    marks_[{lane, state.step, state.iteration}] = state.clock;
  }
  if (++state.step < state.lane->steps.size()) return;
  state.step = 0;
  // Scratch does not outlive the iteration.
  for (const ir::Step& step : state.lane->steps) {
    for (const ir::Operand& operand : step.destinations) {
      if (operand.space != Space::kScratch) continue;
      for (const Extent& extent : locate(state, step, operand)) {
        memories_[static_cast<size_t>(operand.rank)].fill(extent.begin,
                                                          {{extent.length, kNothing, 0}});
      }
    }
  }
  ++state.iteration;
}

std::string Replay::runPost(size_t lane) {
  LaneState& state = lanes_[lane];
  const ir::Step& step = stepOf(state);
  const ir::Rank self = state.schedule->rank;
  if (step.kind == StepKind::kExpose || step.kind == StepKind::kSignal) {
    Post& made = post(self, step.post);
    if (made.isMade) return fmt::format("makes post {} a second time", step.post);
    made.isMade = true;
    made.kind = step.kind;
    made.message.clock = std::make_shared<const Clock>(state.clock);
    if (step.kind == StepKind::kExpose) {
      exposures_[static_cast<size_t>(self)] = {static_cast<int32_t>(lane), state.clock[lane]};
    }
    return {};
  }
  const bool isAttach = step.kind == StepKind::kAttach;
  for (const ir::Rank peer : peersOf(step, *state.schedule)) {
    const Post& awaited = post(peer, step.post);
    if (awaited.kind != (isAttach ? StepKind::kExpose : StepKind::kSignal)) {
      return fmt::format("takes post {} of rank {} for what it is not", step.post, peer);
    }
    join(state.clock, *awaited.message.clock);
    if (isAttach) attached_[{self, peer}] = {static_cast<int32_t>(lane), state.clock[lane]};
  }
  return {};
}

std::string Replay::runData(size_t lane) {
  std::vector<Value> values(stepOf(lanes_[lane]).sources.size());
  Value result;
  std::string text = takeMessages(lane, values);
  if (text.empty()) text = readBlocks(lane, values);
  if (text.empty()) text = combine(lane, values, result);
  if (text.empty()) text = checkOverlap(lane);
  if (text.empty()) text = writeBlocks(lane, result);
  if (text.empty()) text = sendMessages(lane, result);
  return text;
}

std::vector<Extent> Replay::locate(const LaneState& lane, const ir::Step& step,
                                   const ir::Operand& operand) const {
  return layouts_[static_cast<size_t>(operand.rank)].locate(operand, *lane.lane, step,
                                                            lane.iteration);
}

// Messages and posts come first: what they carry happened before all else that the step does.
std::string Replay::takeMessages(size_t lane, std::vector<Value>& values) {
  LaneState& state = lanes_[lane];
  const ir::Step& step = stepOf(state);
  for (size_t at = 0; at < step.sources.size(); ++at) {
    const ir::Operand& from = step.sources[at];
    if (from.space == Space::kFifo) {
      auto& fifo = fifos_[{from.rank, state.schedule->rank, channelOf(from, *state.lane)}];
      join(state.clock, *fifo.front().clock);
      values[at] = std::move(fifo.front().value);
      fifo.pop_front();
    } else if (from.space == Space::kBoard) {
      const Post& made = post(from.rank, from.block);
      if (made.kind != StepKind::kMove) {
        return fmt::format("takes post {} of rank {} for data", from.block, from.rank);
      }
      join(state.clock, *made.message.clock);
      values[at] = made.message.value;
      if (from.part < 0) continue;
      const auto& lengths = made.message.value.lengths;
      const auto part = static_cast<size_t>(from.part);
      const bool isEven = std::adjacent_find(lengths.begin(), lengths.end(),
                                             std::not_equal_to<>()) == lengths.end();
      if (part >= lengths.size() || !isEven) return "reads a part that the post does not have";
      values[at].lengths = {lengths[part]};
      values[at].pieces =
          cut(made.message.value.pieces, static_cast<int64_t>(part) * lengths[part], lengths[part]);
    }
  }
  return {};
}

std::string Replay::readBlocks(size_t lane, std::vector<Value>& values) {
  LaneState& state = lanes_[lane];
  const ir::Step& step = stepOf(state);
  const Moment now{static_cast<int32_t>(lane), state.clock[lane]};
  for (size_t at = 0; at < step.sources.size(); ++at) {
    const ir::Operand& from = step.sources[at];
    if (isBlock(from.space)) {
      if (std::string text = checkReach(lane, from); !text.empty()) return text;
      for (const Extent& extent : locate(state, step, from)) {
        Moment conflict;
        SymbolicMemory& memory = memories_[static_cast<size_t>(from.rank)];
        const Pieces pieces = memory.read(extent.begin, extent.length, now, state.clock, conflict);
        if (conflict.lane >= 0) {
          return fmt::format("reads what {} may be writing at the same time", name(conflict));
        }
        values[at].lengths.push_back(extent.length);
        for (const Piece& piece : pieces) append(values[at].pieces, piece);
      }
    }
    if (std::string text = checkContents(from, values[at]); !text.empty()) {
      return fmt::format("source {} {}", at, text);
    }
    if (values[at].lengths != values[0].lengths) {
      return fmt::format("source {} has blocks of [{}] elements, source 0 of [{}]", at,
                         fmt::join(values[at].lengths, " "), fmt::join(values[0].lengths, " "));
    }
  }
  return {};
}

std::string Replay::checkContents(const ir::Operand& operand, Value& value) const {
  for (Piece& piece : value.pieces) {
    if (piece.expression == kNothing) return "was never written";
    const bool isReducing = ir::isReducing(call_.collective);
    if (operand.space != Space::kInput) {
      if (isReducing && expressions_.isRaw(piece.expression)) {
        return "holds an input that its factor was not applied to";
      }
      continue;
    }
    const ExpressionId original =
        isReducing ? expressions_.raw(operand.rank) : expressions_.contribution(operand.rank);
    if (piece.expression != original) return "is an input that was overwritten before";
    piece.expression = expressions_.contribution(operand.rank);
  }
  return {};
}

std::string Replay::checkReach(size_t lane, const ir::Operand& operand) const {
  const LaneState& state = lanes_[lane];
  const ir::Rank self = state.schedule->rank;
  if (operand.rank == self) return {};
  const Moment& exposure = exposures_[static_cast<size_t>(operand.rank)];
  const auto attached = attached_.find({self, operand.rank});
  const bool isReachable = exposure.lane >= 0 && isBefore(exposure, state.clock) &&
                           attached != attached_.end() && isBefore(attached->second, state.clock);
  if (isReachable) return {};
  return fmt::format("touches memory of rank {} without having attached to it", operand.rank);
}

std::string Replay::combine(size_t lane, const std::vector<Value>& values, Value& result) {
  const ir::Step& step = stepOf(lanes_[lane]);
  result.lengths = values[0].lengths;
  // Where any source changes its expression or leaves the common position.
  std::vector<size_t> at(values.size());
  std::vector<int64_t> used(values.size());
  std::vector<ExpressionId> operands(values.size());
  while (at[0] < values[0].pieces.size()) {
    int64_t length = INT64_MAX;
    const int64_t position = values[0].pieces[at[0]].position + used[0];
    for (size_t source = 0; source < values.size(); ++source) {
      const Piece& piece = values[source].pieces[at[source]];
      length = std::min(length, piece.length - used[source]);
      operands[source] = piece.expression;
      if (piece.position + used[source] != position) {
        return fmt::format("combines element {} of source {} with element {} of source 0",
                           piece.position + used[source], source, position);
      }
    }
    std::string error;
    ExpressionId id = operands[0];
    if (values.size() > 1) id = expressions_.combine(operands, error);
    if (step.isFinal && error.empty()) id = expressions_.finish(id, error);
    if (!error.empty()) return error;
    append(result.pieces, {length, id, position});
    for (size_t source = 0; source < values.size(); ++source) {
      used[source] += length;
      if (used[source] < values[source].pieces[at[source]].length) continue;
      used[source] = 0;
      ++at[source];
    }
  }
  return {};
}

// Sources may be destinations exactly; nothing else of one step may overlap.
std::string Replay::checkOverlap(size_t lane) const {
  const LaneState& state = lanes_[lane];
  const ir::Step& step = stepOf(state);
  struct Place {
    ir::Rank rank;
    Extent extent;
    size_t index;
    bool isWritten;
  };
  std::vector<Place> places;
  for (const bool isWritten : {false, true}) {
    for (const ir::Operand& operand : isWritten ? step.destinations : step.sources) {
      if (!isBlock(operand.space)) continue;
      const auto extents = locate(state, step, operand);
      for (size_t index = 0; index < extents.size(); ++index) {
        if (extents[index].length == 0) continue;
        places.push_back({operand.rank, extents[index], index, isWritten});
      }
    }
  }
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
    return std::tie(a.rank, a.extent.begin, a.isWritten) <
           std::tie(b.rank, b.extent.begin, b.isWritten);
  });
  for (size_t at = 1; at < places.size(); ++at) {
    const Place& a = places[at - 1];
    const Place& b = places[at];
    if (a.rank != b.rank || a.extent.begin + a.extent.length <= b.extent.begin) continue;
    const bool isInPlace =
        a.extent == b.extent && a.index == b.index && !(a.isWritten && b.isWritten);
    if (!isInPlace) return fmt::format("has operands that overlap on rank {}", b.rank);
  }
  return {};
}

std::string Replay::writeBlocks(size_t lane, const Value& result) {
  LaneState& state = lanes_[lane];
  const Moment now{static_cast<int32_t>(lane), state.clock[lane]};
  const ir::Step& step = stepOf(state);
  for (const ir::Operand& to : step.destinations) {
    if (!isBlock(to.space)) continue;
    if (std::string text = checkReach(lane, to); !text.empty()) return text;
    const auto extents = locate(state, step, to);
    std::vector<int64_t> lengths;
    for (const Extent& extent : extents) lengths.push_back(extent.length);
    if (lengths != result.lengths) {
      return fmt::format("gives blocks of [{}] elements where [{}] are expected",
                         fmt::join(result.lengths, " "), fmt::join(lengths, " "));
    }
    // A copy of a block onto itself does not touch it.
    const ir::Operand& from = step.sources[0];
    const bool isCopy =
        step.kind == StepKind::kMove && !ir::isReducing(call_.collective) && isBlock(from.space);
    if (isCopy && from.rank == to.rank && locate(state, step, from) == extents) continue;
    int64_t done = 0;
    for (const Extent& extent : extents) {
      Moment conflict;
      memories_[static_cast<size_t>(to.rank)].write(
          extent.begin, cut(result.pieces, done, extent.length), now, state.clock, conflict);
      if (conflict.lane >= 0) {
        return fmt::format("writes what {} may be using at the same time", name(conflict));
      }
      done += extent.length;
    }
  }
  return {};
}

std::string Replay::sendMessages(size_t lane, const Value& result) {
  LaneState& state = lanes_[lane];
  const ir::Rank self = state.schedule->rank;
  const int64_t elements =
      std::accumulate(result.lengths.begin(), result.lengths.end(), int64_t{0});
  const uint64_t bytes = static_cast<uint64_t>(elements) * ir::sizeOf(call_.type);
  const Message message{result, std::make_shared<const Clock>(state.clock)};
  for (const ir::Operand& to : stepOf(state).destinations) {
    if (to.space == Space::kFifo) {
      const int channel = channelOf(to, *state.lane);
      const auto column = static_cast<size_t>(channel - Limits::kChannels);
      const uint64_t room = channel < Limits::kChannels ? Limits::kFifoSlotBytes
                                                        : state.schedule->narrowBytes[column];
      if (bytes > room) return fmt::format("sends {} B, more than a slot's {} B", bytes, room);
      fifos_[{self, to.rank, channel}].push_back(message);
    } else if (to.space == Space::kBoard) {
      Post& made = post(self, to.block);
      if (made.isMade) return fmt::format("makes post {} a second time", to.block);
      if (bytes > Limits::kBoardBytes) {
        return fmt::format("posts {} B, more than the board's {} B", bytes, Limits::kBoardBytes);
      }
      made = {true, StepKind::kMove, message};
    }
  }
  return {};
}

}  // namespace tutti::schedule
