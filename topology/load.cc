#include "topology/load.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/base/read_file.h"
#include "topology/hwloc_xml.h"
#include "topology/json.h"
#include "topology/load_steps.h"
#include "topology/nccl_xml_read.h"
#include "topology/sanitise.h"
#include "topology/xml.h"

namespace tutti::topology {
namespace {

// "dir/box.xml" -> "box".
std::string plainName(const std::string& file) {
  const size_t slash = file.rfind('/');
  const std::string name = slash == std::string::npos ? file : file.substr(slash + 1);
  const size_t dot = name.rfind('.');
  return dot == std::string::npos || dot == 0 ? name : name.substr(0, dot);
}

base::Result<Draft> readXml(std::string_view text, const std::string& file) {
  TUTTI_ASSIGN_OR_RETURN(const XmlElement root, parseXml(text, file));
  if (root.name == "system") return readNcclXml(root, file);
  if (root.name == "topology") return readHwlocXml(root, file);
  std::string cause = fmt::format("<{}> is no topology", root.name);
  if (root.name == "graphs")
    cause = "<graphs> holds channels that were found on a topology, not it";
  if (root.name == "algo") cause = "<algo> is an algorithm, not a topology";
  return errorAt(file, root.line,
                 cause + ": <system> (NCCL), <topology> (hwloc) or JSON is wanted");
}

base::Result<Parsed> parseText(std::string_view text, const std::string& file) {
  Parsed parsed{file};
  std::string_view start = text;
  if (start.starts_with("\xEF\xBB\xBF")) start.remove_prefix(3);  // a byte order mark
  const size_t first = start.find_first_not_of(" \t\r\n");
  const char c = first == std::string_view::npos ? '\0' : start[first];
  if (c == '{') {
    auto topology = parseJson(start, file, &parsed.loaded.notes);
    if (!topology) return topology.status();
    parsed.loaded.topology = topology.take();
    if (parsed.loaded.topology.name.empty()) parsed.loaded.topology.name = plainName(file);
    return parsed;
  }
  // UTF-16 begins with a byte order mark of its own, which expat reads.
  const bool isWide = start.starts_with("\xFF\xFE") || start.starts_with("\xFE\xFF");
  if (c != '<' && !isWide) {
    return errorAt(file, 1,
                   text.empty() ? "empty: XML (NCCL, hwloc) or JSON is wanted"
                                : "neither XML (NCCL, hwloc) nor JSON");
  }
  parsed.isMachine = true;
  TUTTI_ASSIGN_OR_RETURN(parsed.draft, readXml(isWide ? text : start, file));
  parsed.draft.machine.name = plainName(file);
  return parsed;
}

}  // namespace

base::Result<Loaded> finish(Draft draft) {
  Loaded loaded;
  loaded.notes = std::move(draft.notes);
  Machine& machine = draft.machine;
  TUTTI_RETURN_IF_ERROR(sanitise(machine, loaded.notes));
  const std::string file = machine.file.empty() ? "this machine" : machine.file;
  loaded.topology = toTopology(machine);
  if (loaded.topology.ranks().empty()) {
    return errorAt(file, machine.file.empty() ? 0 : 1,
                   "no devices, so no ranks: what is listed has neither a <gpu> nor the PCI class "
                   "of one (0x03.., 0x12..). A list of addresses alone can be used on the machine "
                   "that it describes, as TUTTI_TOPO_FILE: the rest is found there");
  }
  const base::Status status = check(loaded.topology);
  if (!status) return status.withContext(file);
  return loaded;
}

base::Result<Parsed> parseFile(const std::string& path) {
  const auto whole = base::readFile(path, kMostXmlBytes, "topology");
  if (!whole.isOk()) return errorAt(path, 0, std::string(whole.status().text()));
  const std::string& text = *whole;
  return parseText(text, path);
}

base::Result<Loaded> finish(Parsed parsed) {
  if (parsed.isMachine) return finish(std::move(parsed.draft));
  const base::Status status = check(parsed.loaded.topology);
  if (!status) return status.withContext(parsed.file);
  return std::move(parsed.loaded);
}

base::Result<Loaded> parseTopology(std::string_view text, const std::string& file) {
  TUTTI_ASSIGN_OR_RETURN(Parsed parsed, parseText(text, file));
  return finish(std::move(parsed));
}

base::Result<Loaded> loadTopology(const std::string& path) {
  TUTTI_ASSIGN_OR_RETURN(Parsed parsed, parseFile(path));
  return finish(std::move(parsed));
}

}  // namespace tutti::topology
