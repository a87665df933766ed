#include "perf/common/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "perf/common/failure.h"
#include "perf/common/text.h"

namespace tutti::perf {
namespace {

constexpr const char* kFooter =
    "Ranks: -p processes times -t times -g, or one process for each that a launcher (torchrun,\n"
    "mpirun, srun, TUTTI_RANK/TUTTI_SIZE/TUTTI_ADDR) started. Sizes take K, M, G or T.\n"
    "Exit codes: 0 ok, 1 wrong data, 2 usage, 3 below --min-bw, 4 no usable device, 5 a peer or "
    "the\n"
    "bootstrap failed.";

// What is read as text first and needs more than a number.
struct RawOptions {
  std::string minBytes, maxBytes, stepBytes, type = "float", op = "sum", root = "0", devices;
  int nullStream = -1, graph = 0, ctaPolicy = -1, deviceImplementation = 0, deviceCtas = 16;
  int cpuTime = 0, timestamps = 0, perIteration = 0, memory = 0, parallelInit = 0;
  double minBandwidth = -1;
};

[[noreturn]] void refuse(const std::string& text) { throw Failure(kExitUsage, text); }

void addSizes(CLI::App& app, Options& options, RawOptions& raw) {
  app.add_option("-b,--minbytes", raw.minBytes, "smallest size (default 32M)");
  app.add_option("-e,--maxbytes", raw.maxBytes, "largest size (default 32M)");
  app.add_option("-i,--stepbytes", raw.stepBytes, "added from size to size (default 1M)");
  app.add_option("-f,--stepfactor", options.stepFactor, "or multiplied from size to size")
      ->check(CLI::Range(1, 1 << 30));
  app.add_option("-d,--datatype", raw.type, "type name or all (default float)");
  app.add_option("-o,--op", raw.op, "sum prod min max avg mulsum or all (default sum)");
  app.add_option("-r,--root", raw.root, "root rank; -1 or all (default 0)");
}

void addRanks(CLI::App& app, Options& options, RawOptions& raw) {
  app.add_option("-p,--procs", options.processes, "local processes to start (default 1)");
  app.add_option("-t,--nthreads", options.threads, "ranks as threads, times -g (default 1)");
  app.add_option("-g,--ngpus", options.ranksPerThread, "ranks as threads (default 1)");
  app.add_option("--devices", raw.devices, "device names, dealt out to the ranks: host,opencl:0");
  app.add_flag("--pin", options.pin, "bind local rank i to core i");
  app.add_option("--parallel_init", raw.parallelInit, "accepted: ranks always start together");
}

void addMeasuring(CLI::App& app, Options& options, RawOptions& raw) {
  app.add_option("-n,--iters", options.iterations, "timed iterations (default 20)");
  app.add_option("-m,--agg_iters", options.aggregated, "operations in one group (default 1)");
  app.add_option("-w,--warmup_iters", options.warmups, "warm-up iterations (default 1)");
  app.add_option("-N,--run_cycles", options.cycles, "repetitions of all; 0 endless (default 1)");
  app.add_option("--min-time", options.minSeconds, "raise -n until a size takes this many seconds")
      ->check(CLI::NonNegativeNumber);
  app.add_option("-c,--check", options.checks, "checks of the data; 0 for none (default 1)");
  app.add_option("-z,--blocking", options.blocking,
                 "1 wait and barrier after each iteration, 2 wait only, 3 barrier outside the time")
      ->check(CLI::Range(0, 3));
  app.add_option("-y,--stream_null", raw.nullStream,
                 "1 null stream, 0 a stream (default: null on the host, a stream on devices)")
      ->check(CLI::Range(0, 1));
  app.add_option("-R,--local_register", options.localRegister,
                 "1 buffers from tuttiMemAlloc and registered (default 0, malloc)")
      ->check(CLI::Range(0, 2));
  app.add_option("-u,--unalign", options.unaligned, "elements to shift the buffers by");
  app.add_option("-T,--timeout", options.timeoutSeconds, "seconds without progress; 0 none");
}

void addReport(CLI::App& app, Options& options, RawOptions& raw) {
  app.add_option("-a,--average", options.average, "0 rank 0, 1 average, 2 min, 3 max (default 1)")
      ->check(CLI::Range(0, 3));
  app.add_option("-C,--report_cputime", raw.cpuTime, "1: time until the calls returned");
  app.add_option("-S,--report_timestamps", raw.timestamps, "1: a column with the time of day");
  app.add_option("-I,--per_iter_timing", raw.perIteration, "1: statistics over iterations");
  app.add_option("-K,--per_iter_skip", options.perIterationSkip,
                 "with -I 1: leave out the first ones");
  app.add_option("-M,--memory", raw.memory, "1: a report of memory used");
  app.add_option("-J,--output_file", options.jsonPath, "JSON report, name ends in .json");
  app.add_option("--min-bw", raw.minBandwidth, "exit 3 if the average busbw is below (GB/s)")
      ->check(CLI::NonNegativeNumber);
}

void addDeviceOnly(CLI::App& app, RawOptions& raw) {
  app.add_option("-G,--cudagraph", raw.graph, "only 0: there are no graphs to replay");
  app.add_option("-x,--cta_policy", raw.ctaPolicy, "accepted, no meaning here");
  app.add_option("-D,--device_implementation", raw.deviceImplementation, "only 0");
  app.add_option("-V,--device_cta_count", raw.deviceCtas, "accepted, no meaning here");
}

size_t sizeOf(const std::string& text, size_t otherwise, const char* what) {
  if (text.empty()) return otherwise;
  const std::optional<size_t> size = parseSize(text);
  if (!size) refuse(fmt::format("invalid size '{}' for {}", text, what));
  return *size;
}

void readSizes(Options& options, const RawOptions& raw) {
  options.minBytes = sizeOf(raw.minBytes, options.minBytes, "-b, --minbytes");
  options.maxBytes = sizeOf(raw.maxBytes, options.maxBytes, "-e, --maxbytes");
  options.stepBytes = sizeOf(raw.stepBytes, options.stepBytes, "-i, --stepbytes");
  if (options.minBytes > options.maxBytes) {
    const auto origin = [](const std::string& text) { return text.empty() ? ", the default" : ""; };
    refuse(fmt::format("-b, --minbytes ({}{}) is above -e, --maxbytes ({}{})", options.minBytes,
                       origin(raw.minBytes), options.maxBytes, origin(raw.maxBytes)));
  }
  if (options.stepFactor <= 1 && options.stepBytes == 0 && options.minBytes < options.maxBytes) {
    refuse("-i, --stepbytes 0 would never reach -e, --maxbytes");
  }
  if (options.stepFactor > 1 && options.minBytes == 0) refuse("-f needs a -b above 0");
}

template <typename Info>
[[noreturn]] void refuseName(const char* what, const std::string& text, std::span<const Info> all) {
  std::string known;
  for (const Info& each : all) known += fmt::format("{} ", each.name);
  refuse(fmt::format("unknown {} '{}'; known are {}and all", what, text, known));
}

void readData(Options& options, const RawOptions& raw) {
  for (const TypeInfo& type : allTypes()) {
    if (raw.type == "all" || raw.type == type.name) options.types.push_back(&type);
  }
  if (options.types.empty()) refuseName("data type", raw.type, allTypes());
  for (const OpInfo& op : allOps()) {
    if (raw.op == "all" || raw.op == op.name) options.ops.push_back(op.op);
  }
  if (options.ops.empty()) refuseName("operator", raw.op, allOps());
  const std::optional<long long> root = raw.root == "all" ? -1 : parseInteger(raw.root);
  if (!root || *root < -1 || *root > 1 << 20)
    refuse(fmt::format("-r, --root '{}' is no rank, -1 or all", raw.root));
  options.root = static_cast<int>(*root);
  for (std::string& device : splitText(raw.devices, ',')) {
    if (device.empty()) refuse("--devices has an empty entry");
    options.devices.push_back(std::move(device));
  }
}

void readDeviceOnly(Options& options, const RawOptions& raw) {
  if (raw.graph != 0) refuse("-G, --cudagraph: Tutti replays no device graphs; leave it at 0");
  if (raw.deviceImplementation != 0) {
    refuse("-D, --device_implementation: kernels that communicate are not a part of Tutti");
  }
  if (raw.ctaPolicy >= 0) fmt::print(stderr, "note: -x, --cta_policy has no meaning here\n");
  if (raw.deviceCtas != 16)
    fmt::print(stderr, "note: -V, --device_cta_count has no meaning here\n");
  if (options.localRegister == 2) {
    fmt::print(stderr, "note: -R 2 (symmetric windows) is treated as -R 1\n");
    options.localRegister = 1;
  }
}

void readRest(Options& options, const RawOptions& raw) {
  if (raw.nullStream >= 0) options.nullStream = raw.nullStream;
  options.cpuTime = raw.cpuTime != 0;
  options.timestamps = raw.timestamps != 0;
  options.perIteration = raw.perIteration != 0;
  options.memoryReport = raw.memory != 0;
  options.parallelInit = raw.parallelInit != 0;
  if (raw.minBandwidth >= 0) options.minBandwidth = raw.minBandwidth;
  if (const char* text = std::getenv("NCCL_TESTS_MIN_BW")) {
    char* end = nullptr;
    options.nearBandwidth = std::strtod(text, &end);
    if (end == text || *end != '\0')
      refuse(fmt::format("NCCL_TESTS_MIN_BW: '{}' is no number", text));
  }
  if (options.processes < 1 || options.threads < 1 || options.ranksPerThread < 1) {
    refuse("-p, -t and -g must be at least 1");
  }
  if (options.iterations < 1 || options.aggregated < 1) refuse("-n and -m must be at least 1");
  if (options.warmups < 0 || options.cycles < 0 || options.checks < 0 || options.unaligned < 0 ||
      options.timeoutSeconds < 0 || options.perIterationSkip < 0) {
    refuse("-w, -N, -c, -u, -T and -K must not be negative");
  }
  if (!options.perIteration && options.perIterationSkip > 0) {
    fmt::print(stderr, "note: -K, --per_iter_skip does nothing without -I 1\n");
  }
  if (options.perIteration && options.perIterationSkip >= options.iterations) {
    refuse("-K, --per_iter_skip must be below -n, --iters");
  }
  if (!options.jsonPath.empty() && !options.jsonPath.ends_with(".json")) {
    refuse("-J, --output_file must end in .json");
  }
}

}  // namespace

Options parseOptions(int argc, char** argv) {
  Options options;
  RawOptions raw;
  CLI::App app{"Measures a collective and checks its result, with the flags of nccl-tests."};
  app.footer(kFooter);
  app.option_defaults()->take_last();
  addRanks(app, options, raw);
  addSizes(app, options, raw);
  addMeasuring(app, options, raw);
  addReport(app, options, raw);
  addDeviceOnly(app, raw);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    std::exit(app.exit(help));
  } catch (const CLI::ParseError& error) {
    refuse(fmt::format("{} (-h lists the options)", error.what()));
  }
  readSizes(options, raw);
  readData(options, raw);
  readDeviceOnly(options, raw);
  readRest(options, raw);
  options.arguments.assign(argv, argv + argc);
  return options;
}

}  // namespace tutti::perf
