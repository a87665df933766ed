#include "topology/discover.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "src/base/fd.h"
#include "src/base/host.h"
#include "topology/complete.h"
#include "topology/device_links.h"
#include "topology/discover_sources.h"
#include "topology/load_steps.h"
#include "topology/nccl_xml.h"

namespace tutti::topology {
namespace {

// Between a process and the memory of each processor; a default, well below what memory gives.
constexpr int64_t kHostRate = 40 * kGigabyte;

bool hasRanks(const Machine& machine) {
  for (const Part& part : machine.parts) {
    if (part.kind == NodeKind::kRank && part.isUsed && !isConsole(part)) return true;
  }
  return false;
}

// The host as the one rank: next to all of its memory.
void addHostRank(Machine& machine) {
  Part rank;
  rank.kind = NodeKind::kRank;
  rank.id = "host";
  rank.order = 0;
  const auto index = static_cast<int32_t>(machine.parts.size());
  for (int32_t i = 0; i < index; ++i) {
    const Part& part = machine.parts[static_cast<size_t>(i)];
    if (part.kind != NodeKind::kHost) continue;
    rank.host = part.host;
    rank.vendor = part.vendor;
    rank.model = part.model;
    machine.wires.push_back({i, index, 1, kHostRate, LinkKind::kSocket, Provenance::kTable});
  }
  machine.parts.push_back(std::move(rank));
}

// Not yet sanitised; no ranks where there are no devices.
Draft discoverMachine(const ir::DeviceLinks& links, const std::string& root) {
  Draft draft;
  bool isRead = false;
#ifdef TUTTI_HAVE_HWLOC
  if (root.empty()) {
    auto found = readMachineFromHwloc();
    if (found) draft = found.take();
    isRead = found.isOk();
    if (isRead) describeFunctions(draft, root);
    numberRanks(draft.machine);
  }
#endif
  if (!isRead) draft = readMachineFromSysfs(root);
  addDeviceLinks(draft, links);
  if (!root.empty()) return draft;
  draft.machine.name = base::hostName();
  for (Part& part : draft.machine.parts) part.host = draft.machine.name;
  return draft;
}

base::Result<Loaded> topologyOfMachine(const ir::DeviceLinks& links, const std::string& root) {
  Draft draft = discoverMachine(links, root);
  if (!hasRanks(draft.machine)) addHostRank(draft.machine);
  return finish(std::move(draft));
}

base::Result<Loaded> topologyOfFile(const std::string& path, const ir::DeviceLinks& links,
                                    const std::string& root) {
  TUTTI_ASSIGN_OR_RETURN(Parsed parsed, parseFile(path));
  if (parsed.isMachine) complete(parsed.draft, discoverMachine(links, root).machine);
  return finish(std::move(parsed));
}

// Empty if all went well. By way of a file beside it: a reader sees all of it or nothing.
std::string writeWhole(const std::string& path, const std::string& text) {
  const std::string draft = fmt::format("{}.{}", path, getpid());
  const base::UniqueFd file(open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  size_t done = 0;
  while (file.isOpen() && done < text.size()) {
    const ssize_t count = write(file.get(), text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += static_cast<size_t>(count);
  }
  if (file.isOpen() && done == text.size() && rename(draft.c_str(), path.c_str()) == 0) return {};
  const int error = errno;
  if (file.isOpen()) unlink(draft.c_str());
  return std::generic_category().message(error);
}

void dump(Loaded& loaded, const std::string& path) {
  const auto xml = toNcclXml(loaded.topology);
  const std::string failure = xml ? writeWhole(path, xml->text) : xml.status().toString();
  if (!failure.empty()) {
    loaded.notes.push_back(
        fmt::format("{}: not written (TUTTI_TOPO_DUMP_FILE): {}", path, failure));
    return;
  }
  for (const std::string& note : xml->notes) {
    loaded.notes.push_back(fmt::format("{}: not as in memory: {}", path, note));
  }
}

}  // namespace

base::Result<Loaded> discoverTopology(const base::Config& config, const ir::DeviceLinks& links,
                                      const std::string& root) {
  const std::string& file = config.get(base::param::kTopoFile);
  auto loaded = file.empty() ? topologyOfMachine(links, root) : topologyOfFile(file, links, root);
  if (!loaded) return loaded.status();
  const std::string& dumpFile = config.get(base::param::kTopoDumpFile);
  if (!dumpFile.empty()) dump(*loaded, dumpFile);
  return loaded;
}

}  // namespace tutti::topology
