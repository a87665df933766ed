#include "src/schedule/msccl_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/base/errors.h"
#include "src/base/xml.h"

namespace tutti::schedule {

using base::Status;
using ir::Limits;
using ir::Space;
using ir::StepKind;

MscclRunner::MscclRunner(const MscclFile& file, std::string_view name, bool isWhole)
    : file_(file), name_(name), places_(file), isWhole_(isWhole) {
  for (ir::Rank rank = 0; rank < places_.size; ++rank) addRank(rank);
}

void MscclRunner::addRank(ir::Rank self) {
  MscclRankState& state = ranks_.emplace_back();
  const MscclRank& given = file_.ranks[static_cast<size_t>(self)];
  state.blocks.resize(given.blocks.size());
  for (size_t index = 0; index < given.blocks.size(); ++index) {
    state.blocks[index].lastOf.assign(given.blocks[index].steps.size(), -1);
  }
  const int inputs = places_.chunks(MscclBuffer::kInput, self);
  for (int chunk = 0; chunk < inputs; ++chunk) {
    MscclPlace& place = state.places.emplace_back();
    const bool isOwn = places_.collective == ir::Collective::kAllGather;
    place.slice = places_.sliceOf(chunk);
    place.found = input(self, places_.blockOf(MscclBuffer::kInput, chunk));
    place.content.block = isOwn ? self : chunk / places_.slices;
    place.content.slice = place.slice;
    place.content.ranks.resize(static_cast<size_t>(places_.size));
    place.content.ranks[static_cast<size_t>(self)] = true;
  }
  const int outputs = places_.chunks(MscclBuffer::kOutput, self);
  for (int chunk = 0; chunk < outputs; ++chunk) {
    state.outputPlaces.push_back(static_cast<int>(state.places.size()));
    MscclPlace& place = state.places.emplace_back();
    place.slice = places_.sliceOf(chunk);
    place.written = output(self, places_.blockOf(MscclBuffer::kOutput, chunk));
  }
  shareMemory(self, inputs);
  state.scratchPlace = static_cast<int>(state.places.size());
  state.scratchBlocks = given.chunks[static_cast<size_t>(MscclBuffer::kScratch)];
  for (int chunk = 0; chunk < state.scratchBlocks; ++chunk) {
    state.places.emplace_back().written = scratch(self, chunk);
  }
}

// A file for use in place writes to its input, or reads its output, and means the same memory. What
// is written to an input that is no output goes to scratch.
void MscclRunner::shareMemory(ir::Rank self, int inputs) {
  MscclRankState& state = stateOf(self);
  for (int chunk = 0; chunk < inputs; ++chunk) {
    MscclPlace& place = state.places[static_cast<size_t>(chunk)];
    place.written = scratch(self, -1);  // a block of its own, once it is written
    const int same = file_.isForOutOfPlace ? -1 : places_.outputAt(self, chunk);
    if (same < 0) continue;
    int& at = state.outputPlaces[static_cast<size_t>(same)];
    place.written = state.places[static_cast<size_t>(at)].written;
    at = chunk;
  }
}

base::Result<bool> MscclRunner::run() {
  bool isMoving = true;
  while (isMoving) {
    isMoving = false;
    for (ir::Rank rank = 0; rank < places_.size; ++rank) {
      for (size_t index = 0; index < stateOf(rank).blocks.size(); ++index) {
        while (canRun(rank, index)) {
          runOne(rank, index);
          if (!status_.isOk()) return status_;
          if (isDivided_) return false;
          isMoving = true;
        }
      }
    }
  }
  TUTTI_RETURN_IF_ERROR(checkEnd());
  return true;
}

size_t MscclRunner::channels() const {
  size_t most = 1;
  for (const auto& [pair, channels] : channels_) most = std::max(most, channels.size());
  return most;
}

bool MscclRunner::canRun(ir::Rank rank, size_t index) {
  const MscclBlock& block = blockOf(rank, index);
  const auto& at = stateOf(rank).blocks[index];
  if (at.step == block.steps.size()) return false;
  const MscclStep& step = block.steps[at.step];
  if (step.afterBlock >= 0) {
    const auto& other = stateOf(rank).blocks[static_cast<size_t>(step.afterBlock)];
    if (other.step <= static_cast<size_t>(step.afterStep)) return false;
  }
  const MscclWords& words = *mscclWords(step.type);
  if (words.receives && fifos_[{block.receivePeer, rank, block.channel}].empty()) return false;
  return !words.sends || fifos_[{rank, block.sendPeer, block.channel}].size() <
                             static_cast<size_t>(Limits::kFifoSlots);
}

void MscclRunner::runOne(ir::Rank rank, size_t index) {
  const MscclBlock& block = blockOf(rank, index);
  auto& at = stateOf(rank).blocks[index];
  const MscclStep& step = block.steps[at.step];
  MscclRan ran;
  ran.order = ++orders_;
  ran.block = static_cast<int>(index);
  ran.isAwaited = step.isAwaited;
  ran.isPlainReduce = step.type == "re";
  if (step.afterBlock >= 0 && at.unit == 0) {
    const auto& other = stateOf(rank).blocks[static_cast<size_t>(step.afterBlock)];
    ran.after = step.afterBlock;
    ran.afterIndex = other.lastOf[static_cast<size_t>(step.afterStep)];
  }
  ran.step.kind = StepKind::kPass;
  if (step.type != "nop") {
    ran.step = runStep({rank, index, block, step, at.unit, isWhole_ ? step.count : 1, {}, {}, {}});
  }
  if (step.type != "nop" || ran.after >= 0) at.ran.push_back(std::move(ran));
  at.lastOf[at.step] = static_cast<int>(at.ran.size()) - 1;
  if (!isWhole_ && ++at.unit < step.count) return;
  at.unit = 0;
  ++at.step;
}

ir::Step MscclRunner::runStep(Now now) {
  longestMessage_ = std::max(longestMessage_, now.count);
  const MscclWords& words = *mscclWords(now.step.type);
  if (now.step.type == "re") read(now, now.step.targetBuffer, now.step.target);
  if (words.usesSource) read(now, now.step.sourceBuffer, now.step.source);
  if (words.receives) receive(now);
  if (!status_.isOk()) return {};
  if (words.usesTarget) write(now);
  if (words.sends) send(now);
  ir::Step made = combine(std::move(now.sources), std::move(now.destinations));
  made.isFinal = made.kind == StepKind::kReduce && isComplete(now.result);
  if (places_.slices > 1) {
    made.slice = now.result[0].slice;
    made.slices = std::min(now.count, places_.slices);
  }
  return made;
}

void MscclRunner::read(Now& now, MscclBuffer buffer, int chunk) {
  std::vector<MscclPlace*> found;
  Contents contents;
  for (int each = 0; each < now.count; ++each) {
    found.push_back(&placeAt(now.rank, buffer, chunk + now.first + each));
    contents.push_back(found.back()->content);
    if (contents.back().block < 0) return fail(now.step, "reads a chunk where nothing is yet");
  }
  now.sources.push_back(operandOf(now, found, contents, false));
  join(now, contents);
}

void MscclRunner::receive(Now& now) {
  auto& messages = fifos_[{now.block.receivePeer, now.rank, now.block.channel}];
  now.sources.push_back(
      fifo(now.block.receivePeer, channelOf(now.block.receivePeer, now.rank, now.block.channel)));
  const Contents contents = std::move(messages.front());
  messages.pop_front();
  if (contents.size() != static_cast<size_t>(now.count)) {
    return fail(now.step,
                fmt::format("receives {} chunks where {} were sent", now.count, contents.size()));
  }
  join(now, contents);
}

void MscclRunner::join(Now& now, const Contents& contents) {
  if (!status_.isOk()) return;
  if (now.result.empty()) {
    now.result = contents;
    return;
  }
  for (size_t each = 0; each < contents.size(); ++each) {
    MscclContent& sum = now.result[each];
    if (sum.block != contents[each].block || sum.slice != contents[each].slice) {
      return fail(now.step, "combines chunks of different places");
    }
    for (size_t rank = 0; rank < sum.ranks.size(); ++rank) {
      if (contents[each].ranks[rank]) sum.ranks[rank] = true;
    }
  }
}

void MscclRunner::write(Now& now) {
  std::vector<MscclPlace*> written;
  for (int each = 0; each < now.count; ++each) {
    MscclPlace& place =
        placeAt(now.rank, now.step.targetBuffer, now.step.target + now.first + each);
    if (place.written.space == Space::kScratch && place.written.block < 0) {
      place.written.block = stateOf(now.rank).scratchBlocks++;
    }
    written.push_back(&place);
  }
  now.destinations.push_back(operandOf(now, written, now.result, true));
  for (size_t each = 0; each < written.size(); ++each) {
    written[each]->content = now.result[each];
    written[each]->found = written[each]->written;
    written[each]->isWritten = true;
  }
}

void MscclRunner::send(Now& now) {
  now.destinations.push_back(
      fifo(now.block.sendPeer, channelOf(now.rank, now.block.sendPeer, now.block.channel)));
  fifos_[{now.rank, now.block.sendPeer, now.block.channel}].push_back(now.result);
}

// Neighbouring chunks as one operand.
ir::Operand MscclRunner::operandOf(const Now& now, const std::vector<MscclPlace*>& chunks,
                                   const Contents& contents, bool isWritten) {
  ir::Operand operand = isWritten ? chunks[0]->written : chunks[0]->found;
  operand.blocks = now.count / std::min(now.count, places_.slices);
  if (!areNeighbours(now, chunks, contents, isWritten)) isDivided_ = true;
  for (size_t each = 0; each < chunks.size(); ++each) {
    if (chunks[each]->slice < 0 || chunks[each]->slice == contents[each].slice) continue;
    fail(now.step,
         "puts a chunk where another part of a block belongs, for which Schedules have no words");
  }
  if (operand.space != Space::kScratch) return operand;
  if (places_.isVector) operand.like = contents[0].block;
  auto& touched = stateOf(now.rank).blocks[now.index].scratch;
  for (int each = 0; each < operand.blocks; ++each) touched.insert(operand.block + each);
  return operand;
}

bool MscclRunner::areNeighbours(const Now& now, const std::vector<MscclPlace*>& chunks,
                                const Contents& contents, bool isWritten) {
  const int slices = std::min(now.count, places_.slices);
  const auto at = [&](size_t each) {
    return isWritten ? chunks[each]->written : chunks[each]->found;
  };
  // A block of scratch holds one chunk, whatever slice it is of.
  if (places_.slices > 1 && now.count > 1 && at(0).space == Space::kScratch) return false;
  for (int each = 0; each < now.count; ++each) {
    const auto index = static_cast<size_t>(each);
    const int block = each / slices;
    if (at(index).space != at(0).space || at(index).block != at(0).block + block ||
        contents[index].block != contents[0].block + block ||
        contents[index].slice != contents[0].slice + each % slices) {
      return false;
    }
  }
  return now.count % slices == 0;
}

// Where only some chunks are complete, they can not stay one message.
bool MscclRunner::isComplete(const Contents& contents) {
  if (!ir::isReducing(places_.collective)) return false;
  const auto complete =
      std::count_if(contents.begin(), contents.end(), [](const MscclContent& content) {
        return std::find(content.ranks.begin(), content.ranks.end(), false) == content.ranks.end();
      });
  if (complete == 0) return false;
  if (complete != static_cast<std::ptrdiff_t>(contents.size())) isDivided_ = true;
  return true;
}

int MscclRunner::channelOf(ir::Rank from, ir::Rank to, int channel) {
  auto& channels = channels_[{from, to}];
  return channels.try_emplace(channel, static_cast<int>(channels.size())).first->second;
}

MscclPlace& MscclRunner::placeAt(ir::Rank rank, MscclBuffer buffer, int chunk) {
  MscclRankState& state = stateOf(rank);
  int at = chunk;
  if (buffer == MscclBuffer::kOutput) at = state.outputPlaces[static_cast<size_t>(chunk)];
  if (buffer == MscclBuffer::kScratch) at = state.scratchPlace + chunk;
  return state.places[static_cast<size_t>(at)];
}

void MscclRunner::fail(const MscclStep& step, std::string_view text) {
  if (status_.isOk()) status_ = base::errorAt(name_, step.line, text, base::kErrScheduleFile);
}

Status MscclRunner::checkEnd() {
  for (ir::Rank rank = 0; rank < places_.size; ++rank) {
    const auto& blocks = stateOf(rank).blocks;
    for (size_t index = 0; index < blocks.size(); ++index) {
      const auto& steps = blockOf(rank, index).steps;
      const size_t at = blocks[index].step;
      if (at == steps.size()) continue;
      fail(steps[at], fmt::format("gpu {} waits for ever in thread block {} at step {} ({})", rank,
                                  index, at, steps[at].type));
      return status_;
    }
  }
  for (const auto& [fifo, messages] : fifos_) {
    if (messages.empty()) continue;
    const auto [from, to, channel] = fifo;
    return base::errorAt(
        name_, 0,
        fmt::format("{} messages from gpu {} to gpu {} on channel {} are never received",
                    messages.size(), from, to, channel),
        base::kErrScheduleFile);
  }
  return {};
}

}  // namespace tutti::schedule
