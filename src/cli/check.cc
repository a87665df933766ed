// `tutti check`: does an algorithm of others compute what it says?
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "src/cli/commands.h"
#include "src/cli/plan_options.h"
#include "src/cli/text.h"
#include "src/schedule/msccl_xml.h"

namespace tutti::cli {
namespace {

std::string sizesOf(const schedule::MscclAlgorithm& algorithm) {
  if (algorithm.maxBytes == 0 && algorithm.minBytes == 0) return "any size";
  if (algorithm.maxBytes == 0) return fmt::format("{} and more", formatBytes(algorithm.minBytes));
  return fmt::format("{} to {}", formatBytes(algorithm.minBytes), formatBytes(algorithm.maxBytes));
}

// All files, also after a bad one.
int run(const std::vector<std::string>& paths) {
  int code = kExitOk;
  for (const std::string& path : paths) {
    const auto algorithm = schedule::readMscclFile(path);
    if (!algorithm.isOk()) {
      code = failedCommand("check", algorithm.status());
      continue;
    }
    const ir::Schedule& first = algorithm->ranks.front();
    fmt::print("{}: {} is a right {} among {}, for {}, {}\n", path, algorithm->name,
               ir::name(first.collective),
               countOf(static_cast<int>(algorithm->ranks.size()), "rank"), sizesOf(*algorithm),
               algorithm->isInPlaceSafe ? "in place or not" : "not in place");
  }
  return code;
}

}  // namespace

void addCheck(CLI::App& app, int& code) {
  auto* command = app.add_subcommand(
      "check", "Algorithms in MSCCL's XML: is each contribution there, once, in bounded slots?");
  auto paths = std::make_shared<std::vector<std::string>>();
  command->add_option("FILE", *paths, "MSCCL XML files")->required();
  command->callback([paths, &code] { code = run(*paths); });
}

}  // namespace tutti::cli
