// One rank of the demonstration: joins, checks every collective, measures all-reduce.
#pragma once

#include <cstdint>
#include <span>

#include "src/cli/demo_board.h"

namespace tutti::cli {

struct RankTask {
  int rank = 0;
  int size = 1;
  std::span<const uint64_t> sizes;  // bytes of the rows, ascending, multiples of 4
  uint64_t bandwidthBytes = 0;      // of the buffers that measure memory; 0: not measured
  int timeoutMs = 0;
};

// Blocks until the rank is through or has failed; either way its slot of the board says so. Throws
// nothing.
void runRank(const RankTask& task, Board& board);

}  // namespace tutti::cli
