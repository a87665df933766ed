// What rank 0 prints and writes: nccl-tests' text on stdout, and its JSON with -J.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "perf/common/options.h"

namespace tutti::perf {

struct Device {
  int rank = 0;
  int group = 0;
  int pid = 0;
  int index = 0;
  std::string host;
  std::string info;
};

// A row of the table without its figures.
struct Row {
  size_t bytes = 0;
  size_t count = 0;
  std::string type;
  std::string op;
  int root = -1;
};

// Times of single iterations, each the maximum over ranks.
struct IterationStatistics {
  std::vector<double> microseconds;
  std::vector<std::vector<double>> ofProcesses;  // the maximum within each process
  int skipped = 0;
  double min = 0, max = 0, mean = 0, p50 = 0, p95 = 0, p99 = 0, deviation = 0, variation = 0;

  // Fills the figures from microseconds[skipped ...].
  void compute();
};

// Half of a row: out of place or in place.
struct Measurement {
  double microseconds = 0;
  double algorithm = 0;
  double bus = 0;
  std::optional<double> wrong;  // unset: not checked
  std::optional<IterationStatistics> iterations;
};

struct MemoryUse {
  double initialization = 0;
  double buffers = 0;
  double collective = 0;
};

struct Verdict {
  int wrongChecks = 0;  // (size, placement) checks that failed, over ranks
  double bandwidth = 0;
  bool isChecked = false;  // a bandwidth was asked for
  bool isFastEnough = true;
};

class JsonReport;

class Report {
 public:
  Report(const Options& options, std::string program);
  ~Report();

  void start(const std::vector<Device>& devices, int ranksPerProcess);
  void reducedMaxBytes(size_t bytes);
  void tableHead();
  void rowStart(const Row& row);
  void rowBody(const Measurement& measurement, bool inPlace);
  void rowEnd(int iterations);
  // Comment lines, printed behind the row that is being written.
  void comment(const std::string& lines);
  void finish(const Verdict& verdict);
  void memory(const MemoryUse& use, const std::string& libraryJson);
  // The last line; empty where nothing went wrong. Writes the JSON file.
  void end(const std::string& error);

 private:
  const Options& options_;
  std::string program_;
  std::string comments_;
  bool isInRow_ = false;
  bool hasEnded_ = false;
  std::unique_ptr<JsonReport> json_;
};

}  // namespace tutti::perf
