// `tutti plan`: what a fabric allows, what each algorithm reaches on it, and which one is taken.
#include <fmt/format.h>

#include <cctype>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "src/cli/commands.h"
#include "src/cli/text.h"
#include "src/cli/topology_options.h"
#include "src/plan/fabric.h"

namespace tutti::cli {
namespace {

struct PlanArguments {
  TopologyOptions topology;
  std::string collective = "all_reduce";
  std::string bytes = "1G";
  int root = 0;
  bool isBoundOnly = false;
  bool asJson = false;
};

// Case and separators do not count.
std::string plain(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  return result;
}

// "all_reduce", "AllReduce", "all-reduce"; nothing for what is no collective.
std::optional<ir::Collective> parseCollective(const std::string& text) {
  for (int i = 0; i < ir::kCollectiveCount; ++i) {
    const auto collective = static_cast<ir::Collective>(i);
    if (plain(ir::name(collective)) == plain(text)) return collective;
  }
  return std::nullopt;
}

// In kB/s, for people in GB/s.
double gigabytes(const plan::Rational& rate) { return rate.value() / topology::kGigabyte; }

nlohmann::json rateJson(const plan::Rational& rate) {
  if (rate.isUnlimited()) return nullptr;
  return gigabytes(rate);
}

nlohmann::json candidateJson(const plan::FabricPlan& made, const plan::Candidate& candidate) {
  return {{"algorithm", candidate.algorithm},
          {"gb_per_s", rateJson(candidate.kilobytesPerSecond)},
          {"bound_permille", plan::permilleOf(candidate.kilobytesPerSecond, made.bound)},
          {"predicted_us", candidate.ns / 1e3},
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
  nlohmann::json json = boundJson(fabric, made.bound);
  const plan::Candidate& choice = made.candidates.front();
  json["collective"] = ir::name(made.collective);
  json["bytes"] = made.bytes;
  json["ranks"] = made.ranks;
  json["plan_gb_per_s"] = rateJson(choice.kilobytesPerSecond);
  json["plan_permille"] = plan::permilleOf(choice.kilobytesPerSecond, made.bound);
  json["algorithm"] = choice.algorithm;
  json["trees"] = choice.trees;
  json["max_depth"] = choice.maxDepth;
  json["predicted_us"] = choice.ns / 1e3;
  json["planning_ms"] = milliseconds;
  json["candidates"] = nlohmann::json::array();
  for (const auto& candidate : made.candidates) {
    json["candidates"].push_back(candidateJson(made, candidate));
  }
  return json;
}

std::string rateText(const plan::Rational& rate) {
  return rate.isUnlimited() ? "-" : formatRate(gigabytes(rate));
}

void printPlan(const topology::Topology& fabric, const plan::FabricPlan& made,
               double milliseconds) {
  fmt::print("{} of {} over {} on {}\n\n{}\n\n", ir::name(made.collective), formatBytes(made.bytes),
             countOf(made.ranks, "rank"), fabric.name.empty() ? "this fabric" : fabric.name,
             plan::explain(fabric, made.bound));
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
               isUsable ? formatMicroseconds(each.ns / 1e3) : "-",
               each.trees > 0 ? fmt::format("{}", each.trees) : "-",
               isUsable ? fmt::format("{}", each.maxDepth) : "-", each.reason);
  }
  fmt::print("\nPlanned in {:.1f} ms.\n", milliseconds);
}

int fail(const base::Status& status) {
  fmt::print(stderr, "tutti plan: {}\n", status.toString());
  return kExitUsage;
}

int run(const PlanArguments& arguments) {
  const auto collective = parseCollective(arguments.collective);
  const auto bytes = parseBytes(arguments.bytes);
  if (!collective || !bytes) {
    fmt::print(stderr, "tutti plan: {} \"{}\" is not known\n", collective ? "size" : "collective",
               collective ? arguments.bytes : arguments.collective);
    return kExitUsage;
  }
  const auto loaded = makeTopology(arguments.topology);
  if (!loaded.isOk()) return fail(loaded.status());
  for (const std::string& note : loaded->notes) fmt::print(stderr, "{}\n", note);
  const topology::Topology& fabric = loaded->topology;
  const plan::Demand demand{.collective = *collective, .root = arguments.root};
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
        .count();
  };
  if (arguments.isBoundOnly) {
    const auto bound = plan::bound(fabric, demand);
    if (!bound.isOk()) return fail(bound.status());
    auto json = boundJson(fabric, *bound);
    json["collective"] = ir::name(*collective);
    json["ranks"] = fabric.ranks().size();
    json["planning_ms"] = elapsed();
    fmt::print("{}\n", arguments.asJson ? json.dump(1) : plan::explain(fabric, *bound));
    return kExitOk;
  }
  const auto made = plan::planFabric(fabric, demand, *bytes);
  if (!made.isOk()) return fail(made.status());
  if (arguments.asJson) {
    fmt::print("{}\n", planJson(fabric, *made, elapsed()).dump(1));
  } else {
    printPlan(fabric, *made, elapsed());
  }
  return kExitOk;
}

}  // namespace

void addPlan(CLI::App& app, int& code) {
  auto* command = app.add_subcommand(
      "plan", "What a fabric allows, what each algorithm reaches on it, and what limits");
  auto arguments = std::make_shared<PlanArguments>();
  addTopologyOptions(*command, arguments->topology);
  command->add_option("--coll", arguments->collective, "The collective (all_reduce)");
  command->add_option("--bytes", arguments->bytes, "Size of a call, with K, M or G (1G)");
  command->add_option("--root", arguments->root, "Root of collectives that have one (0)");
  command->add_flag("--bound-only", arguments->isBoundOnly, "Stop after the bound");
  command->add_flag("--json", arguments->asJson, "Print JSON instead of text");
  command->callback([arguments, &code] { code = run(*arguments); });
}

}  // namespace tutti::cli
