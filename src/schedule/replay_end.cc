// What must hold when all lanes have ended.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "src/schedule/replay.h"

namespace tutti::schedule {

using ir::Collective;

base::Status Replay::checkEnd() {
  for (const auto& [fifo, messages] : fifos_) {
    if (messages.empty()) continue;
    const auto [from, to, channel] = fifo;
    return wrong(fmt::format("{} messages from rank {} to rank {} on channel {} are left over",
                             messages.size(), from, to, channel));
  }
  for (const ir::Schedule& schedule : ranks_) {
    TUTTI_RETURN_IF_ERROR(checkResult(schedule));
    TUTTI_RETURN_IF_ERROR(checkAccess(schedule));
  }
  return {};
}

// What a rank that copies must have: stretches of other ranks' inputs.
Pieces Replay::expectedCopy(const ir::Schedule& schedule) const {
  const auto self = static_cast<size_t>(schedule.rank);
  const int64_t length = layouts_[self].output().length;
  const auto count = static_cast<int64_t>(call_.count);
  Pieces expected;
  const auto add = [&](ir::Rank origin, int64_t elements, int64_t position) {
    append(expected, {elements, expressions_.contribution(origin), position});
  };
  switch (schedule.collective) {
    case Collective::kBroadcast:
    case Collective::kRecv: add(schedule.root, length, 0); break;
    case Collective::kScatter:
      add(schedule.root, length, static_cast<int64_t>(self) * count);
      break;
    case Collective::kAllGather:
    case Collective::kAllGatherV:
    case Collective::kGather:
      for (size_t rank = 0; rank < ranks_.size() && length > 0; ++rank) {
        add(static_cast<ir::Rank>(rank), layouts_[rank].input().length, 0);
      }
      break;
    case Collective::kAllToAll:
      for (size_t rank = 0; rank < ranks_.size(); ++rank) {
        add(static_cast<ir::Rank>(rank), count, static_cast<int64_t>(self) * count);
      }
      break;
    default: break;
  }
  return expected;
}

std::string Replay::compareResult(const ir::Schedule& schedule, const Pieces& found) const {
  if (!ir::isReducing(schedule.collective)) {
    const Pieces expected = expectedCopy(schedule);
    if (found == expected) return {};
    int64_t at = 0;
    for (size_t index = 0; index < std::min(found.size(), expected.size()); ++index) {
      if (!(found[index] == expected[index])) break;
      at += found[index].length;
    }
    return fmt::format("is not what it must be from element {} on", at);
  }
  int64_t position = 0;
  if (schedule.collective == Collective::kReduceScatter ||
      schedule.collective == Collective::kReduceScatterV) {
    for (ir::Rank rank = 0; rank < schedule.rank; ++rank) {
      position += layouts_[static_cast<size_t>(rank)].output().length;
    }
  }
  for (const Piece& piece : found) {
    if (piece.position != position)
      return fmt::format("has element {} where {} belongs", piece.position, position);
    if (piece.expression == kNothing) return fmt::format("lacks element {}", position);
    const auto missing = expressions_.missing(piece.expression);
    if (!missing.empty()) {
      return fmt::format("lacks the contributions of ranks {} to element {}",
                         fmt::join(missing, " "), position);
    }
    if (!expressions_.isFinished(piece.expression)) {
      return fmt::format("was not made final at element {}", position);
    }
    position += piece.length;
  }
  return {};
}

base::Status Replay::checkResult(const ir::Schedule& schedule) {
  const auto self = static_cast<size_t>(schedule.rank);
  const Extent& output = layouts_[self].output();
  const Pieces found = memories_[self].look(output.begin, output.length);
  if (const std::string text = compareResult(schedule, found); !text.empty()) {
    return wrong(fmt::format("the result of rank {} ({}) {}", self, schedule.algorithm, text));
  }
  if (schedule.collective != Collective::kAllReduce || self == 0) return {};
  const Extent& first = layouts_[0].output();
  if (found == memories_[0].look(first.begin, first.length)) return {};
  return wrong(
      fmt::format("ranks 0 and {} ({}) combine in different orders", self, schedule.algorithm));
}

// When a rank returns, its buffers are its own again.
base::Status Replay::checkAccess(const ir::Schedule& schedule) {
  const auto self = static_cast<size_t>(schedule.rank);
  Clock end(lanes_.size());
  for (size_t index = 0; index < schedule.lanes.size(); ++index) {
    join(end, lanes_[firstLanes_[self] + index].clock);
  }
  for (const Extent* buffer : {&layouts_[self].input(), &layouts_[self].output()}) {
    const Moment late = memories_[self].accessAfter(buffer->begin, buffer->length, end);
    if (late.lane < 0) continue;
    return wrong(fmt::format("rank {} may return while {} uses its buffers", self, name(late)));
  }
  return {};
}

}  // namespace tutti::schedule
