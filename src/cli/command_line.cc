#include <fmt/format.h>
#include <tutti/tutti.h>

#include <CLI/CLI.hpp>  // all of it: here the definitions that App.hpp leaves open come from
#include <exception>
#include <string>

#include "src/cli/commands.h"

namespace tutti::cli {
namespace {

std::string versionText() {
  int code = 0;
  if (tuttiGetVersion(&code) != tuttiSuccess) return "tutti, of an unknown version";
  return fmt::format("tutti {}.{}.{}", code / 10000, code / 100 % 100, code % 100);
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
  addDemo(app, code);
  addInfo(app, code);
  addPlan(app, code);
  addSim(app, code);
  addTopo(app, code);
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
