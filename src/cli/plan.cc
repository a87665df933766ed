// `tutti plan`: what a fabric allows, what each algorithm reaches on it, and which one is taken.
#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "src/base/clock.h"
#include "src/cli/commands.h"
#include "src/cli/plan_options.h"
#include "src/cli/schedules.h"
#include "src/cli/text.h"
#include "src/plan/fabric.h"
#include "src/plan/second_opinion.h"
#include "src/schedule/msccl_xml.h"

namespace tutti::cli {
namespace {

struct PlanArguments {
  PlanOptions question;
  bool isBoundOnly = false;
  bool hasSecondOpinion = false;
  std::string schedule;  // where to write: a file, "-" for stdout, empty: not asked for
  std::string msccl;
  int rank = -1;  // whose schedule; -1: all
};

// In kB/s, for people in GB/s.
double gigabytes(const plan::Rational& rate) { return rate.value() / topology::kGigabyte; }

nlohmann::json candidateJson(const plan::FabricPlan& made, const plan::Candidate& candidate) {
  return {{"algorithm", candidate.algorithm},
          {"gb_per_s", rateJson(candidate.kilobytesPerSecond)},
          {"bound_permille", plan::permilleOf(candidate.kilobytesPerSecond, made.bound)},
          {"predicted_us", static_cast<double>(candidate.ns) / 1e3},
          {"trees", candidate.trees},
          {"max_depth", candidate.maxDepth},
          {"reason", candidate.reason}};
}

nlohmann::json boundJson(const topology::Topology& fabric, const plan::Bound& bound) {
  nlohmann::json links = nlohmann::json::array();
  for (const topology::LinkIndex index : bound.links) {
    const topology::Link& link = fabric.links[static_cast<size_t>(index)];
    links.push_back({{"from", fabric.nodes[static_cast<size_t>(link.from)].id},
                     {"to", fabric.nodes[static_cast<size_t>(link.to)].id},
                     {"gb_per_s", static_cast<double>(link.capacity) / topology::kGigabyte}});
  }
  return {{"bound_gb_per_s", rateJson(bound.kilobytesPerSecond)},
          {"bound_exact", plan::toString(bound.kilobytesPerSecond) + " kB/s"},
          {"bound_is_exact", bound.isExact},
          {"binding_parts", bound.parts},
          {"binding_links", links},
          {"explanation", plan::explain(fabric, bound)}};
}

nlohmann::json planJson(const topology::Topology& fabric, const plan::FabricPlan& made,
                        double milliseconds) {
  nlohmann::json report = boundJson(fabric, made.bound);
  const plan::Candidate& choice = made.candidates.front();
  report["collective"] = ir::name(made.collective);
  report["bytes"] = made.bytes;
  report["ranks"] = made.ranks;
  report["plan_gb_per_s"] = rateJson(choice.kilobytesPerSecond);
  report["plan_permille"] = plan::permilleOf(choice.kilobytesPerSecond, made.bound);
  report["algorithm"] = choice.algorithm;
  report["trees"] = choice.trees;
  report["max_depth"] = choice.maxDepth;
  report["predicted_us"] = static_cast<double>(choice.ns) / 1e3;
  report["planning_ms"] = milliseconds;
  report["candidates"] = nlohmann::json::array();
  for (const auto& candidate : made.candidates) {
    report["candidates"].push_back(candidateJson(made, candidate));
  }
  return report;
}

std::string rateText(const plan::Rational& rate) {
  return rate.isUnlimited() ? "-" : formatRate(gigabytes(rate));
}

std::string planText(const PlanQuestion& question, const plan::FabricPlan& made,
                     double milliseconds) {
  std::string text = fmt::format("{}\n\n{}\n\n", toString(question, made.ranks),
                                 plan::explain(question.fabric, made.bound));
  text += fmt::format("{:<20} {:>9} {:>7} {:>12} {:>6} {:>6}  {}\n", "algorithm", "GB/s", "bound",
                      "predicted", "trees", "depth", "why");
  for (const plan::Candidate& each : made.candidates) {
    const bool isUsable = each.kilobytesPerSecond.num != 0;
    const auto permille = plan::permilleOf(each.kilobytesPerSecond, made.bound);
    text +=
        fmt::format("{:<20} {:>9} {:>7} {:>12} {:>6} {:>6}  {}\n", each.algorithm,
                    isUsable ? rateText(each.kilobytesPerSecond) : "-",
                    isUsable ? fmt::format("{:.1f} %", static_cast<double>(permille) / 10) : "-",
                    isUsable ? formatMicroseconds(static_cast<double>(each.ns) / 1e3) : "-",
                    each.trees > 0 ? fmt::format("{}", each.trees) : "-",
                    isUsable ? fmt::format("{}", each.maxDepth) : "-", each.reason);
  }
  return text + fmt::format("\nPlanned in {:.1f} ms.\n", milliseconds);
}

// The bound, checked by another method: for people, and for programs.
struct BoundCheck {
  std::string text;
  nlohmann::json report;
};

BoundCheck toCheck(const plan::Opinion& opinion, const plan::Bound& bound, double milliseconds) {
  const double rate = bound.kilobytesPerSecond.value();
  const bool agrees = opinion.atLeast <= rate && (!bound.isExact || rate <= opinion.atMost);
  const double least = opinion.atLeast / topology::kGigabyte;
  const double most = opinion.atMost / topology::kGigabyte;
  return {
      fmt::format("Independent check: between {:.6g} and {:.6g} GB/s by multiplicative weights ({} "
                  "trees, {:.1f} ms), which {} the bound.",
                  least, most, opinion.trees, milliseconds, agrees ? "agrees with" : "CONTRADICTS"),
      {{"at_least_gb_per_s", least},
       {"at_most_gb_per_s", most},
       {"agrees", agrees},
       {"trees", opinion.trees},
       {"ms", milliseconds}}};
}

BoundCheck checkBound(const PlanQuestion& question, const plan::Bound& bound) {
  std::string reason = "multiplicative weights tell of all_reduce among two ranks or more only";
  const bool isAllReduce = question.demand.collective == ir::Collective::kAllReduce;
  if (isAllReduce && !bound.kilobytesPerSecond.isUnlimited()) {
    const int64_t start = base::nowNs();
    const auto opinion = plan::secondOpinion(question.fabric);
    if (opinion.isOk()) return toCheck(*opinion, bound, millisecondsSince(start));
    reason = opinion.status().text();
  }
  return {fmt::format("Independent check: not applicable: {}", reason),
          {{"not_applicable", reason}}};
}

void printAnswer(const PlanArguments& arguments, const PlanQuestion& question,
                 const plan::Bound& bound, nlohmann::json report, std::string text) {
  if (arguments.hasSecondOpinion) {
    const BoundCheck checked = checkBound(question, bound);
    report["second_opinion"] = checked.report;
    text += checked.text + "\n";
  }
  fmt::print("{}", arguments.question.asJson ? report.dump(1) + "\n" : text);
}

base::Status checkOutputs(const PlanArguments& arguments) {
  const bool isWritten = !arguments.schedule.empty() || !arguments.msccl.empty();
  const bool isToStdout = arguments.schedule == "-" || arguments.msccl == "-";
  if (isWritten && arguments.isBoundOnly) {
    return usageError("--bound-only makes no plan that --schedule or --msccl could write");
  }
  if (isToStdout && arguments.question.asJson) {
    return usageError("--json and a schedule on stdout: name a file for one of them");
  }
  if (arguments.schedule == "-" && arguments.msccl == "-") {
    return usageError("--schedule and --msccl to stdout: name a file for one of them");
  }
  if (arguments.rank >= 0 && arguments.schedule.empty()) {
    return usageError("--rank says whose --schedule to write, which is not asked for");
  }
  return {};
}

// What ranks run by the plan's choice, where it was asked for.
base::Status writeSchedules(const PlanArguments& arguments, const plan::FabricPlan& made) {
  if (arguments.schedule.empty() && arguments.msccl.empty()) return {};
  if (arguments.rank >= made.ranks) {
    return usageError(fmt::format("--rank {}: there are {} ranks", arguments.rank, made.ranks));
  }
  TUTTI_ASSIGN_OR_RETURN(const auto schedules, chosenSchedules(made));
  if (!arguments.schedule.empty()) {
    std::string text;
    for (const ir::Schedule& each : schedules) {
      if (arguments.rank < 0 || each.rank == arguments.rank) text += ir::toString(each);
    }
    TUTTI_RETURN_IF_ERROR(writeText(arguments.schedule, text));
  }
  if (arguments.msccl.empty()) return {};
  const auto name =
      fmt::format("tutti {} {}", ir::name(made.collective), made.candidates.front().algorithm);
  TUTTI_ASSIGN_OR_RETURN(const std::string xml, schedule::writeMscclXml(schedules, name));
  return writeText(arguments.msccl, xml);
}

int run(const PlanArguments& arguments) {
  if (auto status = checkOutputs(arguments); !status.isOk()) return failedCommand("plan", status);
  const auto question = readPlanQuestion(arguments.question);
  if (!question.isOk()) return failedCommand("plan", question.status());
  const auto& [fabric, demand, bytes] = *question;
  const int64_t start = base::nowNs();
  if (arguments.isBoundOnly) {
    const auto bound = plan::bound(fabric, demand);
    if (!bound.isOk()) return failedCommand("plan", bound.status());
    auto report = boundJson(fabric, *bound);
    report["collective"] = ir::name(demand.collective);
    report["ranks"] = fabric.ranks().size();
    report["planning_ms"] = millisecondsSince(start);
    printAnswer(arguments, *question, *bound, std::move(report),
                plan::explain(fabric, *bound) + "\n");
    return kExitOk;
  }
  const auto made = storeOf(arguments.question).plan(fabric, demand, bytes);
  if (!made.isOk()) return failedCommand("plan", made.status());
  const double milliseconds = millisecondsSince(start);
  if (auto status = writeSchedules(arguments, *made); !status.isOk()) {
    return failedCommand("plan", status);
  }
  if (arguments.schedule == "-" || arguments.msccl == "-") return kExitOk;
  printAnswer(arguments, *question, made->bound, planJson(fabric, *made, milliseconds),
              planText(*question, *made, milliseconds));
  return kExitOk;
}

}  // namespace

void addPlan(CLI::App& app, int& code) {
  auto* command = app.add_subcommand(
      "plan", "What a fabric allows, what each algorithm reaches on it, and what limits");
  auto arguments = std::make_shared<PlanArguments>();
  addPlanOptions(*command, arguments->question);
  command->add_flag("--bound-only", arguments->isBoundOnly, "Stop after the bound");
  command->add_flag("--second-opinion", arguments->hasSecondOpinion,
                    "Check the bound of all_reduce by an independent method");
  command->add_option("--schedule", arguments->schedule,
                      "Write what the ranks run, step by step (- for stdout)");
  command->add_option("--rank", arguments->rank, "Only this rank's --schedule")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--msccl", arguments->msccl, "Write it as MSCCL's XML (- for stdout)");
  command->callback([arguments, &code] { code = run(*arguments); });
}

}  // namespace tutti::cli
