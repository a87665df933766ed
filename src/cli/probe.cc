// `tutti probe`: measures what joins the hosts of a launch.
#include <fmt/format.h>
#include <tutti/tutti.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "src/cli/commands.h"
#include "topology/json.h"
#include "topology/picture.h"

namespace tutti::cli {
namespace {

int fail(tuttiComm_t comm, int code) {
  fmt::print(stderr, "tutti probe: {}\n", tuttiGetLastError(comm));
  return code;
}

// What a file says is not what is asked for.
void forceProbe() {
  setenv("TUTTI_PROBE", "1", 1);
  setenv("TUTTI_PROBE_AGE", "0", 1);
  for (const char* name : {"TUTTI_TOPO_FILE", "NCCL_TOPO_FILE"}) unsetenv(name);
}

int report(const std::string& text, bool asJson) {
  const auto described = nlohmann::json::parse(text, nullptr, false);
  const auto fabric = described.value("topology", nlohmann::json());
  if (fabric.is_null()) {
    fmt::print(stderr,
               "tutti probe: all {} ranks are on one host, there is nothing between them to "
               "measure; tutti topo shows the host\n",
               described.value("size", 0));
    return kExitUsage;
  }
  if (asJson) {
    fmt::print("{}\n", fabric.dump(1));
    return kExitOk;
  }
  const auto topology = topology::parseJson(fabric.dump(), "measured");
  if (!topology.isOk()) {
    fmt::print(stderr, "tutti probe: {}\n", topology.status().text());
    return kExitPeerFailed;
  }
  fmt::print("{}\n{}\nFor other runs: tutti probe --json > FILE, and TUTTI_TOPO_FILE=FILE\n",
             topology::toMatrix(*topology), topology::toString(*topology));
  return kExitOk;
}

int run(bool asJson) {
  forceProbe();
  tuttiLauncherInfo_t info;
  if (tuttiGetLauncherInfo(&info) != tuttiSuccess) return fail(nullptr, kExitUsage);
  if (info.rank < 0) {
    fmt::print(stderr,
               "tutti probe: it measures between hosts, so start it once on each: by a launcher "
               "(mpirun, srun, torchrun), or with TUTTI_RANK, TUTTI_SIZE and TUTTI_ADDR set\n");
    return kExitUsage;
  }
  tuttiUniqueId id;
  if (tuttiGetLauncherUniqueId(&id, "probe") != tuttiSuccess) return fail(nullptr, kExitPeerFailed);
  tuttiComm_t comm = nullptr;
  if (tuttiCommInitRank(&comm, info.size, id, info.rank) != tuttiSuccess) {
    return fail(nullptr, kExitPeerFailed);
  }
  const char* text = nullptr;
  int code = tuttiCommDescribe(comm, &text) == tuttiSuccess ? kExitOk : fail(comm, kExitPeerFailed);
  if (code == kExitOk && info.rank == 0) code = report(text, asJson);
  if (tuttiCommDestroy(comm) != tuttiSuccess && code == kExitOk) code = fail(comm, kExitPeerFailed);
  return code;
}

}  // namespace

void addProbe(CLI::App& app, int& code) {
  auto* command = app.add_subcommand(
      "probe",
      "Measure latency and bandwidth between the hosts of a launch, and what they share; takes "
      "seconds, and rank 0 prints the fabric");
  auto asJson = std::make_shared<bool>(false);
  command->add_flag("--json", *asJson, "Print a topology file (TUTTI_TOPO_FILE) instead of text");
  command->callback([asJson, &code] { code = run(*asJson); });
}

}  // namespace tutti::cli
