// The measurement of one rank: all types, operators, roots and sizes, timed and checked.
#pragma once

#include <tutti/tutti.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "perf/common/buffers.h"
#include "perf/common/collective.h"
#include "perf/common/control.h"
#include "perf/common/options.h"
#include "perf/common/report.h"

namespace tutti::perf {

struct BenchResult {
  double wrongChecks = 0;  // of this rank
  double busSum = 0;
  int busCount = 0;
};

// Everything a rank works with; owned by its thread.
struct BenchEnvironment {
  const Options& options;
  const Collective& collective;
  Control& control;     // over all ranks of the run
  tuttiComm_t comm;     // the communicator measured, one group of the run
  int rank;             // in it
  int size;             // of it
  int ranksPerProcess;  // for statistics by process
  bool isHost;
  tuttiStream_t stream;  // null: calls complete before they return
  size_t maxBytes;
  Buffer& send;
  Buffer& recv;
  Report* report;                   // rank 0 of the run only
  std::atomic<uint64_t>& progress;  // counts up while things move, for the watchdog
};

class Bench {
 public:
  explicit Bench(const BenchEnvironment& environment) : env_(environment) {}

  BenchResult run();

 private:
  struct Case {
    const TypeInfo& type;
    Op op;
    int root;
  };

  void runCase(const Case& test);
  void warmUp(const Call& call);
  void runSize(const Case& test, Call call, size_t bytes);
  Measurement measure(const Case& test, Call call, const Shape& shape, int& iterations);

  // Sets the pointers of `call` for its placement.
  void place(Call& call, const Shape& shape) const;
  // Seconds of `iterations` iterations on this rank, stamps into times_ where asked for.
  double timedLoop(Call call, const Shape& shape, int iterations);
  void launch(Call& call, const char* send, char* recv, size_t& shift, size_t stride, size_t limit);
  void complete();
  // Elements of this rank that are wrong after one checked call.
  double checkData(const Case& test, Call call, const Shape& shape);
  double averaged(double seconds);
  IterationStatistics gatherIterations();
  tuttiRedOp_t makeOp(const Case& test);

  BenchEnvironment env_;
  BenchResult result_;
  uint64_t repetition_ = 0;
  double loopCpuSeconds_ = 0;
  std::vector<double> times_;
};

}  // namespace tutti::perf
