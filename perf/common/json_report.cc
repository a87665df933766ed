#include "perf/common/json_report.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <tutti/tutti.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <string_view>

#include "perf/common/failure.h"
#include "perf/common/text.h"

namespace tutti::perf {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormatVersion = 3;

// The variables that steer a run. Secrets stay out of files that people send around.
Json environmentList() {
  Json list = Json::array();
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const bool isOurs =
        text.starts_with("TUTTI_") || text.starts_with("NCCL_") || text.starts_with("RCCL_");
    if (isOurs && !text.starts_with("TUTTI_SECRET")) list.push_back(std::string(text));
  }
  return list;
}

// nccl-tests writes booleans as words.
const char* word(bool value) { return value ? "true" : "false"; }

Json number(double value) { return std::isnan(value) ? Json("nan") : Json(value); }

Json statisticsOf(const IterationStatistics& s) {
  Json json{{"skipped_iterations", s.skipped},
            {"min_us", s.min},
            {"max_us", s.max},
            {"avg_us", s.mean},
            {"p50_us", s.p50},
            {"p95_us", s.p95},
            {"p99_us", s.p99},
            {"stdev_us", s.deviation},
            {"cv_pct", s.variation},
            {"times_us", s.microseconds}};
  if (s.ofProcesses.size() > 1) json["per_process_max_times_us"] = s.ofProcesses;
  return json;
}

std::string createFile(const std::string& wanted) {
  std::string path = wanted;
  for (int attempt = 0;; ++attempt) {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd >= 0) {
      close(fd);
      return path;
    }
    if (errno != EEXIST) {
      throw Failure(kExitUsage, fmt::format("-J {}: {}", path, std::strerror(errno)));
    }
    path = fmt::format("{}.{}", wanted, attempt);
  }
}

}  // namespace

JsonReport::JsonReport(const Options& options)
    : options_(options), path_(createFile(options.jsonPath)) {
  int version = 0;
  (void)tuttiGetVersion(&version);
  document_ = Json{{"version", kFormatVersion}, {"start_time", formatNow()},
                   {"args", options.arguments}, {"env", environmentList()},
                   {"nccl_version", version},  // where readers look for the library's version
                   {"tutti_version", version}};
}

void JsonReport::start(const std::vector<Device>& devices) {
  const Options& o = options_;
  Json config{{"nthreads", o.threads},
              {"ngpus", o.ranksPerThread},
              {"minimum_bytes", o.minBytes},
              {"maximum_bytes", o.maxBytes}};
  if (o.stepFactor > 1)
    config["step_factor"] = o.stepFactor;
  else
    config["step_bytes"] = o.stepBytes;
  config.update(Json{{"warmup_iters", o.warmups},
                     {"iterations", o.iterations},
                     {"aggregated_iterations", o.aggregated},
                     {"validation", o.checks},
                     {"graph", 0},
                     {"blocking_collectives", word(o.blocking != 0)},
                     {"per_iter_timing", word(o.perIteration)},
                     {"per_iter_skip", o.perIterationSkip},
                     {"parallel_init", word(o.parallelInit)}});
  for (const Device& d : devices) {
    config["devices"].push_back(Json{{"rank", d.rank},
                                     {"group", d.group},
                                     {"pid", d.pid},
                                     {"hostname", d.host},
                                     {"device", d.index},
                                     {"device_hex", "0000:00:00"},
                                     {"device_info", d.info}});
  }
  document_["config"] = std::move(config);
  document_["results"] = Json::array();
}

void JsonReport::rowStart(const Row& row) {
  row_ = Json{{"size", row.bytes},
              {"count", row.count},
              {"type", row.type},
              {"redop", row.op},
              {"root", fmt::format("{:6}", row.root)}};
}

void JsonReport::rowBody(const Measurement& m, bool inPlace) {
  const std::string key = inPlace ? "in_place" : "out_of_place";
  row_[key] = Json{{options_.cpuTime ? "cpu_time" : "time", number(m.microseconds)},
                   {"alg_bw", number(m.algorithm)},
                   {"bus_bw", number(m.bus)},
                   {"nwrong", m.wrong ? Json(*m.wrong) : Json()}};
  if (m.iterations) row_[key + "_per_iter"] = statisticsOf(*m.iterations);
}

void JsonReport::rowEnd(int iterations) {
  row_["actual_iterations"] = iterations;
  row_["experiment_name"] = "";
  document_["results"].push_back(std::move(row_));
}

void JsonReport::finish(const Verdict& verdict) {
  document_["out_of_bounds"] =
      Json{{"count", verdict.wrongChecks}, {"okay", word(verdict.wrongChecks == 0)}};
  document_["average_bus_bandwidth"] =
      Json{{"bandwidth", number(verdict.bandwidth)},
           {"okay", verdict.isChecked ? word(verdict.isFastEnough) : "unchecked"}};
}

void JsonReport::write(const std::string& error) {
  document_["errors"] = error.empty() ? Json::array() : Json::array({error});
  document_["end_time"] = formatNow();
  std::ofstream file(path_, std::ios::trunc);
  file << document_.dump(2) << '\n';
  if (!file) fmt::print(stderr, "cannot write {}\n", path_);
}

}  // namespace tutti::perf
