// Starts the ranks of a demonstration, watches them and says what became of them. The process that
// does this never enters the library: its children do, so that whatever happens in one is seen.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "src/cli/demo_board.h"

namespace tutti::cli {

struct JobPlan {
  int ranks = 2;
  bool asThreads = false;  // all in one child
  std::vector<uint64_t> sizes;
  uint64_t bandwidthBytes = 0;
  int timeoutMs = 20000;  // for the library: how long a peer may be silent
  bool isQuiet = false;   // the library logs nothing; its errors are reported anyway
};

struct JobResult {
  int code = 0;                       // of ExitCode
  std::vector<std::string> problems;  // the cause first; empty if all went well
};

// Memory for a board that children forked later share. Zeroed; lives as long as the process.
Board& makeBoard();

// Runs the ranks and calls `onProgress` now and then, and once after they ended. Takes as long as
// the work does and, where ranks die or hang, at most the timeout and some seconds more. No child
// outlives it, nor the calling process. Throws std::runtime_error where no child can be made.
JobResult runJob(const JobPlan& plan, Board& board, const std::function<void()>& onProgress);

// tuttiDescribe in a child of its own, so that a driver that crashes costs an error and no more.
// Throws std::runtime_error.
std::string describeInChild();

}  // namespace tutti::cli
