// What a demonstration shows: text as it goes, or JSON at its end.
#pragma once

#include <string>

#include "src/cli/demo_board.h"
#include "src/cli/demo_job.h"
#include "src/cli/machine.h"

namespace tutti::cli {

// Rates of an all-reduce in GB/s (10^9): bytes / time, and that times 2 (n - 1) / n, which does not
// depend on the number of ranks where the links are the limit.
double algorithmRate(uint64_t bytes, double microseconds);
double busRate(uint64_t bytes, double microseconds, int ranks);

// The least time that memory allows, in microseconds: every input read once, every output written
// once, at the measured rate. 0 where the rate is not known.
double memoryBound(uint64_t bytes, int ranks, double memoryRate);

// Prints to stdout what the board has that was not printed before.
class DemoReport {
 public:
  DemoReport(const Machine& machine, const JobPlan& plan, const Board& board)
      : machine_(machine), plan_(plan), board_(board) {}

  // What was found and what will run; `note` may say why it is less than was asked for.
  void printStart(const std::string& note) const;
  void printNew();
  // After a run without problems: the bound, the latency and what to try next.
  void printEnd() const;

  // All of it, whatever the result was.
  std::string toJson(const JobResult& result) const;

 private:
  void printChecks() const;
  void printRow(const Row& row) const;
  std::string boundText() const;

  const Machine& machine_;
  const JobPlan& plan_;
  const Board& board_;
  bool hasPrintedChecks_ = false;
  int rowsPrinted_ = 0;
};

}  // namespace tutti::cli
