// `tutti info`: what this process could use, and every setting with where it comes from.
#include <fmt/format.h>
#include <tutti/tutti.h>

#include <cstdio>
#include <memory>
#include <string>

#include "src/cli/commands.h"
#include "src/cli/machine.h"

namespace tutti::cli {
namespace {

int run(bool asJson) {
  const char* text = nullptr;
  if (tuttiDescribe(&text) != tuttiSuccess) {
    fmt::print(stderr, "tutti info: {}\n", tuttiGetLastError(nullptr));
    return kExitPeerFailed;
  }
  if (asJson) {
    fmt::print("{}\n", text);
    return kExitOk;
  }
  const Machine machine = parseMachine(text);
  fmt::print("Tutti {}\n\n{}\n{}", machine.version, renderMachine(machine),
             renderSettings(machine));
  return kExitOk;
}

}  // namespace

void addInfo(CLI::App& app, int& code) {
  auto* command = app.add_subcommand(
      "info", "Version, host, devices, link probes, transports, and every setting with its origin");
  auto asJson = std::make_shared<bool>(false);
  command->add_flag("--json", *asJson, "Print JSON instead of text");
  command->callback([asJson, &code] { code = run(*asJson); });
}

}  // namespace tutti::cli
