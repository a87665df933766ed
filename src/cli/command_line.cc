#include <fmt/format.h>
#include <tutti/tutti.h>

#include <CLI/CLI.hpp>  // all of it: here the definitions that App.hpp leaves open come from
#include <algorithm>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/words.h"
#include "src/cli/commands.h"

namespace tutti::cli {
namespace {

std::string versionText() {
  int code = 0;
  if (tuttiGetVersion(&code) != tuttiSuccess) return "tutti, of an unknown version";
  return fmt::format("tutti {}.{}.{}", code / 10000, code / 100 % 100, code % 100);
}

// The code for who names no command, or one that there is not; nothing if the command line is worth
// parsing.
std::optional<int> refuseCommand(const CLI::App& app, std::string_view given) {
  std::vector<std::string> names;
  std::string list;
  for (const auto* each : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(each->get_name());
    list += fmt::format("  {:<6}{}\n", names.back(), each->get_description());
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  if (given.starts_with('-') || std::find(known.begin(), known.end(), given) != known.end()) {
    return std::nullopt;
  }
  const auto meant = base::nearestWord(given, known);
  fmt::print(stderr, "tutti: {}{}\n\n{}\ntutti COMMAND --help tells more.\n",
             given.empty() ? "which command?" : fmt::format("unknown command \"{}\"", given),
             meant.empty() ? "" : fmt::format("; did you mean {}?", meant), list);
  return kExitUsage;
}

}  // namespace

int runCommandLine(int argc, char** argv) {
  CLI::App app(
      "Tutti: collective communication across accelerators of every vendor and host memory.",
      "tutti");
  app.set_version_flag("--version", versionText());
  app.require_subcommand(1);
  app.get_formatter()->column_width(32);
  int code = kExitOk;
  addCheck(app, code);
  addDemo(app, code);
  addInfo(app, code);
  addPlan(app, code);
  addProbe(app, code);
  addSim(app, code);
  addTopo(app, code);
  if (const auto refused = refuseCommand(app, argc > 1 ? argv[1] : "")) return *refused;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "tutti: {}\n", error.what());
    return kExitPeerFailed;
  }
  return code;
}

}  // namespace tutti::cli
