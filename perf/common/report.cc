#include "perf/common/report.h"

#include <fmt/format.h>
#include <tutti/tutti.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "perf/common/json_report.h"
#include "perf/common/text.h"

namespace tutti::perf {
namespace {

// One piece of standard output, seen at once by whoever reads it.
void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

int libraryVersion() {
  int version = 0;
  (void)tuttiGetVersion(&version);
  return version;
}

std::string keys(const char* a, const char* b, const char* c, const char* d, const char* e) {
  return fmt::format("# {:>10}  {:>12}  {:>8}  {:>6}  {:>6}", a, b, c, d, e);
}

std::string half(bool perIteration, std::initializer_list<const char*> names) {
  std::string text;
  size_t i = 0;
  for (const char* name : names) {
    const size_t column = i++;
    if (column >= 4 && !perIteration) break;
    text += fmt::format("  {:>{}}", name, column == 0 || column >= 4 ? 7 : 6);
  }
  return text;
}

std::string blockingLine(int blocking) {
  switch (blocking) {
    case 1: return "# Blocking Enabled: wait for completion and barrier after each iteration\n";
    case 2: return "# Blocking Enabled: wait for completion after each iteration, no barrier\n";
    case 3: return "# Blocking Enabled: wait and barrier after each iteration, barrier not timed\n";
    default: return {};
  }
}

}  // namespace

void IterationStatistics::compute() {
  std::vector<double> sorted(microseconds.begin() + skipped, microseconds.end());
  if (sorted.empty()) return;
  std::sort(sorted.begin(), sorted.end());
  const size_t count = sorted.size();
  const auto percentile = [&](size_t percent) {
    return sorted[std::min(count - 1, (count * percent + 99) / 100 - 1)];
  };
  min = sorted.front();
  max = sorted.back();
  p50 = sorted[count / 2];
  p95 = percentile(95);
  p99 = percentile(99);
  mean = std::accumulate(sorted.begin(), sorted.end(), 0.0) / static_cast<double>(count);
  double squares = 0;
  for (const double value : sorted) squares += (value - mean) * (value - mean);
  deviation = std::sqrt(squares / static_cast<double>(count));
  variation = mean > 0 ? 100 * deviation / mean : 0;
}

Report::Report(const Options& options, std::string program)
    : options_(options), program_(std::move(program)) {
  if (!options.jsonPath.empty()) {
    json_ = std::make_unique<JsonReport>(options);
    print(fmt::format("# Writing JSON output to {}\n", json_->path()));
  }
}

Report::~Report() = default;

void Report::start(const std::vector<Device>& devices, int ranksPerProcess) {
  const Options& o = options_;
  const bool hasFactor = o.stepFactor > 1;
  std::string text = fmt::format(
      "# tutti version {}.{}.{} tutti-headers={} tutti-library={}\n"
      "# Collective test starting: {}\n"
      "# nThread {} nGpus {} minBytes {} maxBytes {} step: {}({}) warmup iters: {} iters: {} "
      "agg iters: {} validation: {} graph: 0 unalign: {}\n",
      TUTTI_MAJOR, TUTTI_MINOR, TUTTI_PATCH, TUTTI_VERSION_CODE, libraryVersion(), program_,
      o.threads, o.ranksPerThread, o.minBytes, o.maxBytes, hasFactor ? o.stepFactor : o.stepBytes,
      hasFactor ? "factor" : "bytes", o.warmups, o.iterations, o.aggregated, o.checks, o.unaligned);
  text += blockingLine(o.blocking);
  if (o.perIteration) {
    text += "# Per-Iteration Report: host clock; i_* uses the maximum over ranks";
    if (o.perIterationSkip > 0) {
      text += fmt::format("; summary skips first {} iterations", o.perIterationSkip);
    }
    text += " \n";
  }
  const int processes = static_cast<int>(devices.size()) / ranksPerProcess;
  if (processes > 1) text += fmt::format("# nProcs {} ranks {}\n", processes, devices.size());
  text += "#\n# Using devices\n";
  for (const Device& d : devices) {
    text += fmt::format("#  Rank {:2} Group {:2} Pid {:6} on {:>10} device {:2} [0000:00:00] {}\n",
                        d.rank, d.group, d.pid, d.host, d.index, d.info);
  }
  print(text);
  if (json_) json_->start(devices);
}

void Report::reducedMaxBytes(size_t bytes) {
  print(fmt::format("#\n# Reducing maxBytes to {} due to memory limitation\n", bytes));
}

void Report::tableHead() {
  const bool many = options_.perIteration;
  const char* time = options_.cpuTime ? "cputime" : "time";
  const std::string title =
      many ? "              out-of-place (+ per-iteration)                                "
             "in-place (+ per-iteration)"
           : "           out-of-place                       in-place          ";
  const std::string names =
      half(many, {time, "algbw", "busbw", "#wrong", "i_min", "i_max", "i_p99", "i_cv%"});
  const std::string units =
      half(many, {"(us)", "(GB/s)", "(GB/s)", "", "(us)", "(us)", "(us)", "(%)"});
  const std::string stamp = options_.timestamps ? fmt::format("{:>19}", "timestamp") : "";
  const std::string stampUnit = options_.timestamps ? "%Y-%m-%d %H:%M:%S" : "";
  print(fmt::format("#\n{}{}\n{}{}{} {}\n{}{}{} {:>{}}\n", keys("", "", "", "", ""), title,
                    keys("size", "count", "type", "redop", "root"), names, names, stamp,
                    keys("(B)", "(elements)", "", "", ""), units, units, stampUnit,
                    options_.timestamps ? 19 : 0));
}

void Report::rowStart(const Row& row) {
  print(fmt::format("{:12}  {:12}  {:>8}  {:>6}  {:6}", row.bytes, row.count, row.type, row.op,
                    row.root));
  isInRow_ = true;
  if (json_) json_->rowStart(row);
}

void Report::rowBody(const Measurement& m, bool inPlace) {
  std::string text = fmt::format("  {}  {}  {}", formatNumber(m.microseconds, 7),
                                 formatNumber(m.algorithm, 6), formatNumber(m.bus, 6));
  text += m.wrong ? fmt::format("  {:6g}", *m.wrong) : "    N/A";
  if (m.iterations) {
    const IterationStatistics& s = *m.iterations;
    text += fmt::format("  {}  {}  {}  {}", formatNumber(s.min, 7), formatNumber(s.max, 7),
                        formatNumber(s.p99, 7), formatNumber(s.variation, 7));
  }
  if (inPlace && options_.timestamps) text += fmt::format("{:>21}", formatNow());
  print(text);
  if (json_) json_->rowBody(m, inPlace);
}

void Report::rowEnd(int iterations) {
  print("\n" + comments_);
  isInRow_ = false;
  comments_.clear();
  if (json_) json_->rowEnd(iterations);
}

void Report::comment(const std::string& lines) { comments_ += lines; }

void Report::finish(const Verdict& verdict) {
  const char* speed = verdict.isFastEnough ? "OK" : "FAILED";
  print(fmt::format("# {:<20} : {} {}\n# {:<20} : {:g} {}\n#\n# Collective test concluded: {}\n",
                    "Out of bounds values", verdict.wrongChecks,
                    verdict.wrongChecks > 0 ? "FAILED" : "OK", "Avg bus bandwidth",
                    verdict.bandwidth, verdict.isChecked ? speed : "", program_));
  if (json_) json_->finish(verdict);
}

void Report::memory(const MemoryUse& use, const std::string& libraryJson) {
  print(fmt::format(
      "# {:<20} : Initialization {} | User-Allocated {} | Collective {} | Total  {}\n",
      "Memory usage", formatBytes(use.initialization), formatBytes(use.buffers),
      formatBytes(use.collective), formatBytes(use.initialization + use.buffers + use.collective)));
  if (!libraryJson.empty()) print(fmt::format("# {:<20} : {}\n", "Library memory", libraryJson));
}

void Report::end(const std::string& error) {
  if (hasEnded_) return;
  hasEnded_ = true;
  if (isInRow_) print("\n");
  print(error.empty() ? "#\n\n" : fmt::format("#\n# error: {}\n", error));
  if (json_) json_->write(error);
}

}  // namespace tutti::perf
