// The validator: runs the Schedules of all ranks symbolically and says whether they are right.
//
// It moves no data. Every stretch of memory holds the expression that made it (which ranks'
// contributions, combined in which order), so a Schedule is proved for this layout, not sampled.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/base/status.h"
#include "src/ir/call.h"
#include "src/ir/schedule.h"

namespace tutti::schedule {

struct ValidateOptions {
  std::vector<bool> isInPlace;   // by rank; empty: no rank is in place
  std::vector<uint64_t> counts;  // V forms: elements of each rank's block; call.count is their sum
  int interleavings = 3;  // orders in which lanes take turns: in turn, last first, random ...
  uint64_t seed = 1;      // of the random ones
};

// `ranks` has one Schedule per rank, in order. For kSend and kRecv the ranks that take no part have
// an empty one (no lanes), and call.collective is kSend.
//
// What holds where this returns ok, for every order in which lanes and ranks may progress:
// - every result is there, on every rank that has one; each contribution is in it exactly once, the
//   divisor was applied exactly once, and all ranks have the same bits of what all of them get (the
//   same tree of operations; a + b and b + a count as the same);
// - nothing is read before it was written, or after something else replaced it; no two lanes or
//   ranks touch one place at once unless both read, also where outputs are inputs; no rank returns
//   while another may still touch its buffers (happens-before, by vector clocks);
// - no deadlock with Limits::kFifoSlots messages per FIFO; both ends of a message agree on its
//   length; nothing is left over; posts are made once, before they are read;
// - messages, posts and scratch keep their bounds (ir::Limits).
// The error says which rank, lane, step and chunk, and what is wrong (internal error).
base::Status validate(std::span<const ir::Schedule> ranks, const ir::Call& call,
                      const ValidateOptions& options = {});

}  // namespace tutti::schedule
