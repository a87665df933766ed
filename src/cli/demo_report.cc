#include "src/cli/demo_report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "src/cli/demo_checks.h"
#include "src/cli/text.h"

namespace tutti::cli {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

std::string verdict(const Cell& cell) {
  if (cell.wrong > 0) return fmt::format("WRONG ({})", cell.wrong);
  return fmt::format("ok {:>9}", formatMicroseconds(cell.microseconds));
}

std::string algorithms(const Row& row) {
  const std::string plain = row.plain.algorithm;
  const std::string registered = row.registered.algorithm;
  return plain == registered ? plain : plain + " | " + registered;
}

std::string half(const Row& row, const Cell& cell, int ranks) {
  if (cell.wrong > 0) return fmt::format("{:>23}", "WRONG DATA");
  return fmt::format("{:>9} {:>6} {:>6}", formatMicroseconds(cell.microseconds),
                     formatRate(algorithmRate(row.bytes, cell.microseconds)),
                     formatRate(busRate(row.bytes, cell.microseconds, ranks)));
}

json cellJson(const Row& row, const Cell& cell, const char* memory, int ranks) {
  return {{"memory", memory},
          {"bytes", row.bytes},
          {"time_us", cell.microseconds},
          {"algbw_gb_per_s", algorithmRate(row.bytes, cell.microseconds)},
          {"busbw_gb_per_s", busRate(row.bytes, cell.microseconds, ranks)},
          {"wrong", cell.wrong},
          {"algorithm", cell.algorithm}};
}

// The path of something near this program, as short as the working directory allows; empty if it is
// not there.
std::string near(const char* relative) {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) return "";
  const fs::path path = (self.parent_path() / relative).lexically_normal();
  if (!fs::exists(path, error)) return "";
  const fs::path shorter = path.lexically_relative(fs::current_path(error));
  const std::string text = shorter.empty() ? path.string() : shorter.string();
  return text.rfind("..", 0) == 0 ? path.string() : text;
}

}  // namespace

double algorithmRate(uint64_t bytes, double microseconds) {
  return microseconds > 0 ? static_cast<double>(bytes) / microseconds * 1e-3 : 0;
}

double busRate(uint64_t bytes, double microseconds, int ranks) {
  return algorithmRate(bytes, microseconds) * 2 * (ranks - 1) / ranks;
}

double memoryBound(uint64_t bytes, int ranks, double memoryRate) {
  if (memoryRate <= 0) return 0;
  return 2.0 * static_cast<double>(bytes) * ranks / memoryRate * 1e6;
}

void DemoReport::printStart(const std::string& note) const {
  std::string ranks = plan_.asThreads ? fmt::format("{}, threads of one process", plan_.ranks)
                                      : fmt::format("{}, each a process of its own", plan_.ranks);
  if (plan_.ranks > machine_.usableCores) ranks += "; more than cores, so they take turns";
  print(fmt::format("Tutti {} on this machine\n\n{}  {:<12}{}\n", machine_.version,
                    renderMachine(machine_), "ranks", ranks));
  if (!note.empty()) print(fmt::format("  {:<12}{}\n", "note", note));
}

void DemoReport::printNew() {
  const int checks = board_.checksDone.load(std::memory_order_acquire);
  if (!hasPrintedChecks_ && checks == static_cast<int>(checkNames().size())) {
    hasPrintedChecks_ = true;
    printChecks();
  }
  if (!hasPrintedChecks_) return;
  const int rows = board_.rowsDone.load(std::memory_order_acquire);
  if (rowsPrinted_ == 0 && rows > 0) {
    print(
        fmt::format("\nAll-reduce of floats, sum; GB/s\n\n"
                    "{:>9}  {:^23}  {:^23}\n{:>9}  {:>9} {:>6} {:>6}  {:>9} {:>6} {:>6}  {}\n",
                    "", "malloc", "tuttiMemAlloc", "size", "time", "algbw", "busbw", "time",
                    "algbw", "busbw", "algorithm"));
  }
  for (; rowsPrinted_ < rows; ++rowsPrinted_) printRow(board_.rows[rowsPrinted_]);
}

void DemoReport::printChecks() const {
  print(
      fmt::format("\nEvery collective, {} a rank, each element checked (joined over {} in {:.0f} "
                  "ms)\n\n",
                  formatBytes(Checks::kCount * sizeof(float)),
                  board_.path[0] == '\0' ? "nothing" : board_.path, board_.joinMilliseconds));
  const auto& names = checkNames();
  constexpr size_t kColumns = 3;
  const size_t lines = (names.size() + kColumns - 1) / kColumns;
  for (size_t line = 0; line < lines; ++line) {
    std::string text;
    for (size_t i = line; i < names.size(); i += lines) {
      const std::string entry = fmt::format("  {:<17}{}", names[i], verdict(board_.checks[i]));
      text += i + lines < names.size() ? fmt::format("{:<31}", entry) : entry;
    }
    print(text + "\n");
  }
}

void DemoReport::printRow(const Row& row) const {
  print(fmt::format("{:>9}  {}  {}  {}\n", formatBytes(row.bytes),
                    half(row, row.plain, plan_.ranks), half(row, row.registered, plan_.ranks),
                    algorithms(row)));
}

std::string DemoReport::boundText() const {
  const int rows = board_.rowsDone.load();
  if (board_.memoryRate <= 0 || rows == 0) return "";
  const Row& last = board_.rows[rows - 1];
  const double bound = memoryBound(last.bytes, plan_.ranks, board_.memoryRate);
  return fmt::format(
      "Bound    memory moves {} GB/s, and {} need each input read and each output\n"
      "         written once, {}: malloc reaches {:.0f} % of that, tuttiMemAlloc {:.0f} %\n",
      formatRate(board_.memoryRate * 1e-9), formatBytes(last.bytes), formatMicroseconds(bound),
      100 * bound / last.plain.microseconds, 100 * bound / last.registered.microseconds);
}

void DemoReport::printEnd() const {
  std::string text = fmt::format("\nLatency  8 B in {} at the median, {} for 99 of 100 calls\n{}",
                                 formatMicroseconds(board_.latencyMedian),
                                 formatMicroseconds(board_.latencyTail), boundText());
  std::string next;
  const auto add = [&next](const std::string& command, const char* arguments, const char* what) {
    if (!command.empty()) next += fmt::format("  {:<58} {}\n", command + arguments, what);
  };
  add(near("all_reduce_perf"), " -p 2 -b 8 -e 256M -f 2", "every size");
  add(near("../../../perf/versus/run"), "", "beside Open MPI, MPICH");
  add(near("tutti"), " info", "all settings");
  if (!next.empty()) text += "\nNext\n" + next;
  print(text);
}

std::string DemoReport::toJson(const JobResult& result) const {
  json checks = json::array();
  for (int i = 0; i < board_.checksDone.load(); ++i) {
    const Cell& cell = board_.checks[i];
    checks.push_back({{"name", checkNames()[static_cast<size_t>(i)]},
                      {"time_us", cell.microseconds},
                      {"wrong", cell.wrong}});
  }
  json rows = json::array();
  for (int i = 0; i < board_.rowsDone.load(); ++i) {
    const Row& row = board_.rows[i];
    rows.push_back(cellJson(row, row.plain, "malloc", plan_.ranks));
    rows.push_back(cellJson(row, row.registered, "tuttiMemAlloc", plan_.ranks));
  }
  const json all = {{"machine", json::parse(machine_.json, nullptr, false)},
                    {"ranks", plan_.ranks},
                    {"ranks_are", plan_.asThreads ? "threads" : "processes"},
                    {"path", board_.path},
                    {"join_ms", board_.joinMilliseconds},
                    {"check_bytes", Checks::kCount * sizeof(float)},
                    {"collectives", checks},
                    {"all_reduce", rows},
                    {"latency_us", {{"p50", board_.latencyMedian}, {"p99", board_.latencyTail}}},
                    {"memory_gb_per_s", board_.memoryRate * 1e-9},
                    {"exit_code", result.code},
                    {"problems", result.problems}};
  return all.dump(2, ' ', false, json::error_handler_t::replace);
}

}  // namespace tutti::cli
