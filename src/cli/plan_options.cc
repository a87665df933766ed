#include "src/cli/plan_options.h"

#include <fmt/format.h>

#include <cctype>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "src/base/clock.h"
#include "src/base/errors.h"
#include "src/cli/commands.h"
#include "src/cli/text.h"

namespace tutti::cli {
namespace {

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

base::Status unknown(std::string_view what, const std::string& text, std::string_view known) {
  return {base::Code::kInvalidUsage, base::kErrToolUsage,
          fmt::format("{} \"{}\" is not known; {}", what, text, known)};
}

std::string knownCollectives() {
  std::string names = "known are";
  for (int i = 0; i < ir::kCollectiveCount; ++i) {
    names += fmt::format("{} {}", i == 0 ? "" : ",", ir::name(static_cast<ir::Collective>(i)));
  }
  return names;
}

}  // namespace

void addPlanOptions(CLI::App& command, PlanOptions& options) {
  addTopologyOptions(command, options.topology);
  command.add_option("--coll", options.collective, "The collective (all_reduce)");
  command.add_option("--bytes", options.bytes, "Size of a call, with K, M or G (1G)");
  command.add_option("--root", options.root, "Root of collectives that have one (0)");
  command.add_flag("--json", options.asJson, "Print JSON instead of text");
  command.add_flag("--no-cache", options.isUncached,
                   "Neither read nor keep plans (TUTTI_CACHE_DIR)");
}

base::Result<PlanQuestion> readPlanQuestion(const PlanOptions& options) {
  const auto collective = parseCollective(options.collective);
  if (!collective) return unknown("collective", options.collective, knownCollectives());
  const auto bytes = parseBytes(options.bytes);
  if (!bytes) return unknown("size", options.bytes, "write it as 8, 64K, 1M or 2G");
  TUTTI_ASSIGN_OR_RETURN(topology::Loaded loaded, makeTopology(options.topology));
  for (const std::string& note : loaded.notes) fmt::print(stderr, "note: {}\n", note);
  return PlanQuestion{
      std::move(loaded.topology), {.collective = *collective, .root = options.root}, *bytes};
}

plan::PlanStore storeOf(const PlanOptions& options) {
  return options.isUncached ? plan::PlanStore("") : plan::PlanStore::ofProcess();
}

std::string toString(const PlanQuestion& question, int ranks) {
  return fmt::format("{} of {} over {} on {}", ir::name(question.demand.collective),
                     formatBytes(question.bytes), countOf(ranks, "rank"),
                     question.fabric.name.empty() ? "this fabric" : question.fabric.name);
}

nlohmann::json rateJson(const plan::Rational& kilobytesPerSecond) {
  if (kilobytesPerSecond.isUnlimited()) return nullptr;
  return kilobytesPerSecond.value() / topology::kGigabyte;
}

int failedCommand(std::string_view command, const base::Status& status) {
  fmt::print(stderr, "tutti {}: {}\n", command, status.toString());
  return kExitUsage;
}

double millisecondsSince(int64_t startNs) {
  return static_cast<double>(base::nowNs() - startNs) * 1e-6;
}

}  // namespace tutti::cli
