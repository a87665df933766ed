#include "perf/common/tool.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <thread>

#include "perf/common/crew.h"
#include "perf/common/failure.h"
#include "perf/common/launch.h"
#include "perf/common/options.h"
#include "perf/common/report.h"

namespace tutti::perf {
namespace {

std::string programName(const char* path) {
  const char* slash = std::strrchr(path, '/');
  return slash != nullptr ? slash + 1 : path;
}

int runProcess(const Options& options, const Collective& collective, const std::string& program) {
  const Process process = startProcesses(options);
  const int size = process.count * options.ranksPerProcess();
  const std::string reason = collective.refuse(size, options.minBytes, options.maxBytes);
  if (reason.empty()) {
    if (options.root < size) return runCrew(options, collective, process, program);
  }
  if (process.index == 0) {
    fmt::print(stderr, "{}: {}\n", program,
               reason.empty()
                   ? fmt::format("-r, --root {}: the ranks are 0 to {}", options.root, size - 1)
                   : reason);
  }
  return kExitUsage;
}

}  // namespace

int runTool(int argc, char** argv, std::unique_ptr<Collective> (*makeCollective)()) {
  const std::string program = programName(argv[0]);
  try {
    const Options options = parseOptions(argc, argv);
    const std::unique_ptr<Collective> collective = makeCollective();
    return runProcess(options, *collective, program);
  } catch (const Failure& failure) {
    fmt::print(stderr, "{}: {}\n", program, failure.what());
    return failure.exitCode();
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", program, error.what());
    return kExitPeerFailed;
  }
}

}  // namespace tutti::perf
