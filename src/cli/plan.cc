// `tutti plan`: what a fabric allows, what each algorithm reaches on it, and which one is taken.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "src/cli/commands.h"
#include "src/cli/plan_options.h"
#include "src/cli/text.h"
#include "src/plan/fabric.h"

namespace tutti::cli {
namespace {

struct PlanArguments {
  PlanOptions question;
  bool isBoundOnly = false;
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

void printPlan(const PlanQuestion& question, const plan::FabricPlan& made, double milliseconds) {
  fmt::print("{}\n\n{}\n\n", toString(question, made.ranks),
             plan::explain(question.fabric, made.bound));
  fmt::print("{:<20} {:>9} {:>7} {:>12} {:>6} {:>6}  {}\n", "algorithm", "GB/s", "bound",
             "predicted", "trees", "depth", "why");
  for (const plan::Candidate& each : made.candidates) {
    const bool isUsable = each.kilobytesPerSecond.num != 0;
    fmt::print("{:<20} {:>9} {:>7} {:>12} {:>6} {:>6}  {}\n", each.algorithm,
               isUsable ? rateText(each.kilobytesPerSecond) : "-",
               isUsable ? fmt::format("{:.1f} %", static_cast<double>(plan::permilleOf(
                                                      each.kilobytesPerSecond, made.bound)) /
                                                      10)
                        : "-",
               isUsable ? formatMicroseconds(static_cast<double>(each.ns) / 1e3) : "-",
               each.trees > 0 ? fmt::format("{}", each.trees) : "-",
               isUsable ? fmt::format("{}", each.maxDepth) : "-", each.reason);
  }
  fmt::print("\nPlanned in {:.1f} ms.\n", milliseconds);
}

int run(const PlanArguments& arguments) {
  const auto question = readPlanQuestion(arguments.question);
  if (!question.isOk()) return failedCommand("plan", question.status());
  const auto& [fabric, demand, bytes] = *question;
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
        .count();
  };
  if (arguments.isBoundOnly) {
    const auto bound = plan::bound(fabric, demand);
    if (!bound.isOk()) return failedCommand("plan", bound.status());
    auto report = boundJson(fabric, *bound);
    report["collective"] = ir::name(demand.collective);
    report["ranks"] = fabric.ranks().size();
    report["planning_ms"] = elapsed();
    fmt::print("{}\n", arguments.question.asJson ? report.dump(1) : plan::explain(fabric, *bound));
    return kExitOk;
  }
  const auto made = storeOf(arguments.question).plan(fabric, demand, bytes);
  if (!made.isOk()) return failedCommand("plan", made.status());
  if (arguments.question.asJson) {
    fmt::print("{}\n", planJson(fabric, *made, elapsed()).dump(1));
  } else {
    printPlan(*question, *made, elapsed());
  }
  return kExitOk;
}

}  // namespace

void addPlan(CLI::App& app, int& code) {
  auto* command = app.add_subcommand(
      "plan", "What a fabric allows, what each algorithm reaches on it, and what limits");
  auto arguments = std::make_shared<PlanArguments>();
  addPlanOptions(*command, arguments->question);
  command->add_flag("--bound-only", arguments->isBoundOnly, "Stop after the bound");
  command->callback([arguments, &code] { code = run(*arguments); });
}

}  // namespace tutti::cli
