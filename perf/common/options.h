// The command line: nccl-tests' flags, and Tutti's own for starting ranks.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "perf/common/element.h"

namespace tutti::perf {

struct Options {
  // Ranks: processes * threads * ranksPerThread, each with a thread of its own.
  int processes = 1;
  int threads = 1;
  int ranksPerThread = 1;
  std::vector<std::string> devices;  // dealt out to the ranks in turn; empty: the library's choice
  bool pin = false;                  // local rank i to core i

  size_t minBytes = size_t{32} << 20;
  size_t maxBytes = size_t{32} << 20;
  size_t stepBytes = size_t{1} << 20;
  size_t stepFactor = 1;
  std::vector<const TypeInfo*> types;
  std::vector<Op> ops;
  int root = 0;  // -1: every root in turn

  int iterations = 20;
  int aggregated = 1;
  int warmups = 1;
  int cycles = 1;  // 0: endless
  double minSeconds = 0;
  int checks = 1;
  int blocking = 0;
  std::optional<int> nullStream;  // unset: null on the host, a stream on devices
  int localRegister = 0;
  int unaligned = 0;
  int timeoutSeconds = 0;

  int average = 1;  // 0 rank 0, 1 average, 2 minimum, 3 maximum
  bool cpuTime = false;
  bool timestamps = false;
  bool perIteration = false;
  int perIterationSkip = 0;
  bool memoryReport = false;
  bool parallelInit = false;
  std::string jsonPath;
  std::optional<double> minBandwidth;   // what the average must reach, from --min-bw
  std::optional<double> nearBandwidth;  // what it must reach nine tenths of, from the environment

  std::vector<std::string> arguments;  // the command line, for the JSON report

  int ranksPerProcess() const { return threads * ranksPerThread; }
  size_t nextSize(size_t size) const {
    return stepFactor > 1 ? size * stepFactor : size + stepBytes;
  }
};

// Reads the command line and NCCL_TESTS_MIN_BW. Prints help and exits 0 for -h; throws a Failure
// with kExitUsage for what is wrong. What has no meaning here is noted on stderr and passed over.
Options parseOptions(int argc, char** argv);

}  // namespace tutti::perf
