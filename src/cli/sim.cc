// `tutti sim`: how long a planned collective takes on a fabric, simulated message by message.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "src/base/clock.h"
#include "src/base/errors.h"
#include "src/cli/commands.h"
#include "src/cli/plan_options.h"
#include "src/cli/schedules.h"
#include "src/cli/text.h"
#include "src/ir/call.h"
#include "src/plan/fabric.h"
#include "src/plan/planned.h"
#include "src/schedule/msccl_xml.h"
#include "src/sim/simulate.h"

namespace tutti::cli {
namespace {

struct SimArguments {
  PlanOptions question;
  std::string algorithm;
  std::string msccl;
  std::string chunk;
  int slots = ir::Limits::kFifoSlots;
};

struct Simulated {
  plan::FabricPlan made;
  ir::Plan plan;
  ir::Call call;
  sim::Outcome outcome;
  double planningMs = 0;
  double simulatingMs = 0;
};

// Somebody waits: says so where it is minutes.
void warnOfLength(const Simulated& result) {
  constexpr uint64_t kMany = 10'000'000;
  const uint64_t chunk = std::max<uint64_t>(result.plan.chunkBytes, 1);
  const uint64_t turns = result.plan.chunkBytes == 0 ? 1 : (result.made.bytes + chunk - 1) / chunk;
  const auto trees = std::max<size_t>(result.plan.trees.size(), 1);
  const uint64_t messages = turns * trees * 2 * static_cast<uint64_t>(result.made.ranks);
  if (messages < kMany) return;
  fmt::print(stderr,
             "tutti sim: some {} million messages, which take minutes; a larger --chunk than {} "
             "makes them fewer\n",
             messages / 1'000'000, formatBytes(result.plan.chunkBytes));
}

// On the contracted fabric, to which the plan's ways belong.
base::Status run(const PlanQuestion& question, const std::vector<ir::Schedule>& schedules,
                 const sim::Options& options, Simulated& result) {
  const int64_t start = base::nowNs();
  TUTTI_ASSIGN_OR_RETURN(result.call, callOf(question, result.made.ranks));
  TUTTI_ASSIGN_OR_RETURN(result.outcome,
                         sim::simulate(result.made.fabric, schedules, result.call, options));
  result.simulatingMs = millisecondsSince(start);
  return {};
}

base::Result<Simulated> simulatePlan(const PlanQuestion& question, const SimArguments& arguments) {
  Simulated result;
  const int64_t start = base::nowNs();
  TUTTI_ASSIGN_OR_RETURN(
      result.made,
      storeOf(arguments.question).plan(question.fabric, question.demand, question.bytes));
  const std::string& algorithm =
      arguments.algorithm.empty() ? result.made.candidates.front().algorithm : arguments.algorithm;
  TUTTI_ASSIGN_OR_RETURN(plan::Planned planned,
                         plan::planned(result.made, algorithm, result.made.bytes));
  result.planningMs = millisecondsSince(start);
  result.plan = std::move(planned.plan);
  if (!arguments.chunk.empty()) {
    const auto chunk = parseBytes(arguments.chunk);
    if (!chunk || *chunk % 128 != 0) {
      return usageError(fmt::format("--chunk {} is no multiple of 128 B", arguments.chunk));
    }
    result.plan.chunkBytes = *chunk;
  }
  TUTTI_ASSIGN_OR_RETURN(const auto schedules, lowerAll(result.plan, result.made.ranks));
  warnOfLength(result);
  sim::Options options;
  options.routes = std::move(planned.routes);
  options.fifoSlots = arguments.slots;
  TUTTI_RETURN_IF_ERROR(run(question, schedules, options, result));
  return result;
}

double boundShare(const Simulated& result) {
  const plan::Rational& bound = result.made.bound.kilobytesPerSecond;
  if (bound.isUnlimited()) return 1;
  return result.outcome.algorithmGbPerS * topology::kGigabyte / bound.value();
}

// The links that were busiest, and how much of the time.
std::vector<topology::LinkIndex> busiestOf(const Simulated& result) {
  constexpr size_t kShown = 5;
  auto busiest = result.outcome.busiest;
  busiest.resize(std::min(busiest.size(), kShown));
  return busiest;
}

nlohmann::json toJson(const Simulated& result) {
  const auto& [made, plan, call, outcome, planningMs, simulatingMs] = result;
  nlohmann::json links = nlohmann::json::array();
  for (const topology::LinkIndex index : busiestOf(result)) {
    const topology::Link& link = made.fabric.links[static_cast<size_t>(index)];
    links.push_back({{"from", made.fabric.nodes[static_cast<size_t>(link.from)].id},
                     {"to", made.fabric.nodes[static_cast<size_t>(link.to)].id},
                     {"gb_per_s", static_cast<double>(link.capacity) / topology::kGigabyte},
                     {"bytes", outcome.linkBytes[static_cast<size_t>(index)]},
                     {"use", outcome.linkUse[static_cast<size_t>(index)]}});
  }
  return {{"collective", ir::name(made.collective)},
          {"bytes", ir::planBytes(call, made.ranks)},
          {"ranks", made.ranks},
          {"algorithm", plan.algorithm},
          {"trees", plan.trees.size()},
          {"chunk_bytes", plan.chunkBytes},
          {"simulated_us", static_cast<double>(outcome.ns) / 1e3},
          {"simulated_gb_per_s", outcome.algorithmGbPerS},
          {"bound_gb_per_s", rateJson(made.bound.kilobytesPerSecond)},
          {"bound_share", boundShare(result)},
          {"predicted_us", plan.predictedNs / 1e3},
          {"messages", outcome.transfers},
          {"busiest_links", links},
          {"planning_ms", planningMs},
          {"simulating_ms", simulatingMs}};
}

void print(const PlanQuestion& question, const Simulated& result) {
  const auto& [made, plan, call, outcome, planningMs, simulatingMs] = result;
  fmt::print(
      "{}: {}{}\n\n", toString(question, made.ranks), plan.algorithm,
      plan.chunkBytes == 0 ? "" : fmt::format(" in chunks of {}", formatBytes(plan.chunkBytes)));
  fmt::print("simulated  {}, {} GB/s, {:.1f} % of the bound\n",
             formatMicroseconds(static_cast<double>(outcome.ns) / 1e3),
             formatRate(outcome.algorithmGbPerS), 100 * boundShare(result));
  if (plan.predictedNs > 0) {
    fmt::print("predicted  {}\n", formatMicroseconds(plan.predictedNs / 1e3));
  }
  fmt::print("bound      {}\n\n", plan::explain(question.fabric, made.bound));
  for (const topology::LinkIndex index : busiestOf(result)) {
    const topology::Link& link = made.fabric.links[static_cast<size_t>(index)];
    fmt::print(
        "{:>5.1f} % busy  {} -> {}, {} GB/s\n", 100 * outcome.linkUse[static_cast<size_t>(index)],
        made.fabric.nodes[static_cast<size_t>(link.from)].id,
        made.fabric.nodes[static_cast<size_t>(link.to)].id, topology::gigabytesText(link.capacity));
  }
  fmt::print("\n{} messages, planned in {:.1f} ms, simulated in {:.1f} ms.\n", outcome.transfers,
             planningMs, simulatingMs);
}

// An algorithm of a file, which lays down no ways: messages take those that are found.
base::Result<Simulated> simulateFile(const PlanQuestion& question, const SimArguments& arguments,
                                     const schedule::MscclAlgorithm& algorithm) {
  Simulated result;
  TUTTI_ASSIGN_OR_RETURN(
      result.made,
      storeOf(arguments.question).plan(question.fabric, question.demand, question.bytes));
  if (static_cast<size_t>(result.made.ranks) != algorithm.ranks.size()) {
    return usageError(fmt::format("{} is for {} ranks, the fabric has {}", arguments.msccl,
                                  algorithm.ranks.size(), result.made.ranks));
  }
  result.plan.algorithm = algorithm.name;
  sim::Options options;
  options.fifoSlots = arguments.slots;
  TUTTI_RETURN_IF_ERROR(run(question, algorithm.ranks, options, result));
  return result;
}

base::Result<Simulated> simulate(SimArguments arguments, PlanQuestion& question) {
  const auto read = [&] { return readPlanQuestion(arguments.question); };
  if (arguments.msccl.empty()) {
    TUTTI_ASSIGN_OR_RETURN(question, read());
    return simulatePlan(question, arguments);
  }
  if (!arguments.algorithm.empty() || !arguments.chunk.empty()) {
    return usageError("--msccl names the algorithm and its chunks: leave out --algo and --chunk");
  }
  TUTTI_ASSIGN_OR_RETURN(const auto algorithm, schedule::readMscclFile(arguments.msccl));
  const ir::Schedule& first = algorithm.ranks.front();
  auto& wanted = arguments.question;
  const bool isDefault = wanted.collective == PlanOptions().collective;
  if (!isDefault && wanted.collective != ir::name(first.collective)) {
    return usageError(fmt::format("--coll {}: {} is {}", wanted.collective, arguments.msccl,
                                  ir::name(first.collective)));
  }
  wanted.collective = ir::name(first.collective);
  wanted.root = first.root;
  TUTTI_ASSIGN_OR_RETURN(question, read());
  return simulateFile(question, arguments, algorithm);
}

int run(const SimArguments& arguments) {
  PlanQuestion question;
  const auto result = simulate(arguments, question);
  if (!result.isOk()) return failedCommand("sim", result.status());
  if (arguments.question.asJson) {
    fmt::print("{}\n", toJson(*result).dump(1));
  } else {
    print(question, *result);
  }
  return kExitOk;
}

}  // namespace

void addSim(CLI::App& app, int& code) {
  auto* command = app.add_subcommand(
      "sim", "How long a planned collective takes on a fabric, simulated message by message");
  auto arguments = std::make_shared<SimArguments>();
  addPlanOptions(*command, arguments->question);
  command->add_option("--algo", arguments->algorithm, "An algorithm (without: the plan's choice)");
  command->add_option("--msccl", arguments->msccl, "A file with an algorithm in MSCCL's XML");
  command->add_option("--chunk", arguments->chunk,
                      "Bytes of a chunk, all trees together (without: as planned)");
  command->add_option("--slots", arguments->slots, "Messages under way between two ranks (4)")
      ->check(CLI::Range(1, 1024));
  command->callback([arguments, &code] { code = run(*arguments); });
}

}  // namespace tutti::cli
