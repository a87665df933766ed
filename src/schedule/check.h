// What can be said of a Schedule without running it. Private to this room.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "src/base/status.h"
#include "src/ir/call.h"
#include "src/ir/schedule.h"
#include "src/schedule/layout.h"

namespace tutti::schedule {

// Chunks are multiples of so many bytes: elements of all types, and cache lines, stay whole.
inline constexpr uint64_t kChunkUnit = 128;

// A plan that no planner should have made.
base::Status defect(std::string text);

// A failure of the validator.
base::Status wrong(std::string text);

// "rank 3 (ring) lane 0 step 2 (reduce)".
std::string whereIs(const ir::Schedule& schedule, size_t lane, size_t step);

// Ranks, blocks, channels, posts, chunks and lanes in range; steps of the right form; limits kept.
// `layouts` has one entry per rank.
base::Status checkForm(std::span<const ir::Schedule> ranks, const ir::Call& call,
                       std::span<const Layout> layouts);

// The channel of a FIFO operand.
inline int channelOf(const ir::Operand& operand, const ir::Lane& lane) {
  return operand.channel >= 0 ? operand.channel : lane.channel;
}

// The ranks that kAttach and kWait name.
std::vector<ir::Rank> peersOf(const ir::Step& step, const ir::Schedule& schedule);

}  // namespace tutti::schedule
