// The commands of `tutti`: one file each, put together in main.cc.
#pragma once

#include <CLI/App.hpp>

namespace tutti::cli {

// Codes of the process; the tools of perf/ use the same numbers.
enum ExitCode : int {
  kExitOk = 0,
  kExitWrongData = 1,
  kExitUsage = 2,
  kExitNoDevice = 4,
  kExitPeerFailed = 5,
};

// Adds a command to `app`. Parsing a command line that names it runs it and leaves its exit code in
// `code`, which outlives `app`.
void addCheck(CLI::App& app, int& code);
void addDemo(CLI::App& app, int& code);
void addInfo(CLI::App& app, int& code);
void addPlan(CLI::App& app, int& code);
void addProbe(CLI::App& app, int& code);
void addSim(CLI::App& app, int& code);
void addTopo(CLI::App& app, int& code);

// The whole program. Returns the exit code; throws nothing.
int runCommandLine(int argc, char** argv);

}  // namespace tutti::cli
