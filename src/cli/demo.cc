// `tutti demo`: real ranks on this machine, every collective checked, and the all-reduce table.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "src/cli/commands.h"
#include "src/cli/demo_job.h"
#include "src/cli/demo_report.h"
#include "src/cli/machine.h"
#include "src/cli/text.h"

namespace tutti::cli {
namespace {

struct Options {
  int ranks = 0;  // 0: chosen
  bool asThreads = false;
  bool asProcesses = false;
  bool asJson = false;
  std::string maxBytes = "64M";
};

constexpr uint64_t kLeastBytes = 8;

// Rows of the table, up to and including `most`.
std::vector<uint64_t> rowSizes(uint64_t most) {
  std::vector<uint64_t> sizes;
  for (const uint64_t size :
       {uint64_t{8}, uint64_t{64}, uint64_t{1} << 10, uint64_t{8} << 10, uint64_t{64} << 10,
        uint64_t{512} << 10, uint64_t{4} << 20, uint64_t{16} << 20}) {
    if (size < most) sizes.push_back(size);
  }
  for (uint64_t size = uint64_t{64} << 20; size < most; size *= 4) sizes.push_back(size);
  sizes.push_back(most);
  return sizes;
}

// Each rank holds two pairs of buffers; together they take at most a quarter of the memory.
uint64_t fitIntoMemory(uint64_t bytes, int ranks, const Machine& machine) {
  if (machine.memoryBytes == 0) return bytes;
  const uint64_t share = machine.memoryBytes / 4 / (4 * static_cast<uint64_t>(ranks));
  uint64_t fitting = bytes;
  while (fitting > share && fitting / 2 >= kLeastBytes) fitting /= 2;
  return fitting / 4 * 4;
}

// Memory is the bound only of what the caches do not hold.
uint64_t bandwidthBytes(uint64_t largest, int ranks, const Machine& machine) {
  constexpr uint64_t kLeast = uint64_t{16} << 20;
  const uint64_t used = 2 * largest * static_cast<uint64_t>(ranks);
  return largest >= kLeast && used > 2 * machine.l3Bytes ? largest / 128 * 128 : 0;
}

void usage(const std::string& text) {
  fmt::print(stderr, "tutti demo: {}\n", text);
  throw CLI::RuntimeError(kExitUsage);
}

JobPlan makePlan(const Options& options, const Machine& machine, std::string& note) {
  JobPlan plan;
  plan.ranks = options.ranks > 0 ? options.ranks : std::clamp(machine.usableCores, 2, 4);
  plan.asThreads = options.asThreads;
  const auto asked = parseBytes(options.maxBytes);
  if (!asked || *asked < kLeastBytes) {
    usage(fmt::format("--max-bytes \"{}\" is no size of at least 8 bytes, such as 64M",
                      options.maxBytes));
  }
  const uint64_t most = fitIntoMemory(*asked / 4 * 4, plan.ranks, machine);
  if (most < *asked / 4 * 4) {
    note = fmt::format("sizes end at {}, so that all buffers take a quarter of the memory at most",
                       formatBytes(most));
  }
  plan.sizes = rowSizes(most);
  plan.bandwidthBytes = bandwidthBytes(most, plan.ranks, machine);
  const auto* debug = machine.find("TUTTI_DEBUG");
  plan.isQuiet = debug != nullptr && debug->origin == "default";
  return plan;
}

int reportNoDevice(const Machine& machine) {
  fmt::print(stderr, "tutti demo: no device of this machine is usable\n{}", renderMachine(machine));
  return kExitNoDevice;
}

int run(const Options& options) {
  const Machine machine = parseMachine(describeInChild());
  if (!machine.hasUsableDevice()) return reportNoDevice(machine);
  std::string note;
  const JobPlan plan = makePlan(options, machine, note);
  Board& board = makeBoard();
  DemoReport report(machine, plan, board);
  if (!options.asJson) report.printStart(note);
  const JobResult result = runJob(plan, board, [&] {
    if (!options.asJson) report.printNew();
  });
  if (options.asJson) {
    fmt::print("{}\n", report.toJson(result));
  } else if (result.problems.empty()) {
    report.printEnd();
  }
  const char* lead = "\ntutti demo: ";
  for (const auto& problem : result.problems) {
    fmt::print(stderr, "{}{}\n", lead, problem);
    lead = "            ";
  }
  return result.code;
}

}  // namespace

void addDemo(CLI::App& app, int& code) {
  auto* command =
      app.add_subcommand("demo", "Runs real collectives on this machine and checks their data");
  auto options = std::make_shared<Options>();
  command->add_option("--ranks", options->ranks, "How many; default one a core, 2 to 4")
      ->check(CLI::Range(1, kMaxRanks));
  auto* threads = command->add_flag("--threads", options->asThreads, "Ranks as threads");
  command->add_flag("--processes", options->asProcesses, "Ranks as processes (the default)")
      ->excludes(threads);
  command->add_option("--max-bytes", options->maxBytes, "Largest all-reduce; default 64M");
  command->add_flag("--json", options->asJson, "Print JSON instead of text");
  command->footer("Exit codes: 0 ok, 1 wrong data, 2 usage, 4 no usable device, 5 a rank failed.");
  command->callback([options, &code] { code = run(*options); });
}

}  // namespace tutti::cli
