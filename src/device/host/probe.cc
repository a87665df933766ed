#include <fmt/format.h>

#include "src/base/host.h"
#include "src/device/host/device.h"
#include "topology/host.h"

namespace tutti::device::host {

namespace {

// Who can open each other's /proc/PID/fd/N: processes of one kernel and one pid namespace.
std::string mappingDomain() {
  const uint64_t pids = base::pidNamespace();
  return pids == 0 ? std::string() : fmt::format("host/{}/{}", base::hostIdentity(), pids);
}

}  // namespace

Description describeHost() {
  const int cores = topology::usableCores();
  return {.name = "host",
          .model = fmt::format("{}, {} core{}", topology::cpuModel(), cores, cores == 1 ? "" : "s"),
          .domain = mappingDomain(),
          .memoryBytes = topology::usableMemory()};
}

}  // namespace tutti::device::host
