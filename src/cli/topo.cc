// `tutti topo`: what the machines and what is between them look like.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "src/cli/commands.h"
#include "src/cli/schedules.h"
#include "src/cli/text.h"
#include "src/cli/topology_options.h"
#include "topology/json.h"
#include "topology/nccl_xml.h"
#include "topology/picture.h"

namespace tutti::cli {
namespace {

using topology::NodeKind;
using topology::Topology;

struct TopoOptions {
  TopologyOptions topology;
  std::string svg, dot, json, xml;  // files; "-" is stdout
};

int fail(std::string_view text) {
  fmt::print(stderr, "tutti topo: {}\n", text);
  return kExitUsage;
}

// "8 ranks, 8 NICs, 1 machine"
std::string summaryOf(const Topology& topology) {
  const auto count = [&](NodeKind kind) {
    return std::count_if(topology.nodes.begin(), topology.nodes.end(),
                         [kind](const topology::Node& node) { return node.kind == kind; });
  };
  std::vector<std::string> hosts;
  for (const topology::Node& node : topology.nodes) {
    if (!node.host.empty()) hosts.push_back(node.host);
  }
  std::sort(hosts.begin(), hosts.end());
  const auto machines = std::unique(hosts.begin(), hosts.end()) - hosts.begin();
  return fmt::format("{}, {}, {}", countOf(count(NodeKind::kRank), "rank"),
                     countOf(count(NodeKind::kNic), "NIC"),
                     countOf(std::max<int64_t>(1, machines), "machine"));
}

bool writeFile(const std::string& path, std::string_view text) {
  const auto status = writeText(path, text);
  if (!status.isOk()) fail(std::string(status.text()));
  return status.isOk();
}

int run(const TopoOptions& options) {
  const auto made = makeTopology(options.topology);
  if (!made.isOk()) return fail(made.status().toString());
  for (const std::string& note : made->notes) fmt::print(stderr, "note: {}\n", note);
  const Topology& topology = made->topology;
  bool isToStdout = false;
  const auto write = [&](const std::string& path, const auto& toText) {
    isToStdout = isToStdout || path == "-";
    return path.empty() || writeFile(path, toText(topology));
  };
  if (!write(options.svg, topology::toSvg) || !write(options.dot, topology::toDot) ||
      !write(options.json, topology::toJson)) {
    return kExitUsage;
  }
  if (!options.xml.empty()) {
    const auto xml = topology::toNcclXml(topology);
    if (!xml.isOk()) return fail(xml.status().toString());
    for (const std::string& note : xml->notes) fmt::print(stderr, "note: {}\n", note);
    if (!write(options.xml, [&](const Topology&) { return xml->text; })) return kExitUsage;
  }
  if (!isToStdout) {
    fmt::print("{}: {}\n\n{}", topology.name, summaryOf(topology), topology::toMatrix(topology));
  }
  return kExitOk;
}

}  // namespace

void addTopo(CLI::App& app, int& code) {
  auto* command = app.add_subcommand(
      "topo", "Ranks, NICs and the paths between them: of this machine, of files, of clusters");
  auto options = std::make_shared<TopoOptions>();
  addTopologyOptions(*command, options->topology);
  command->add_option("--svg", options->svg, "Write a drawing to this file (- for stdout)");
  command->add_option("--dot", options->dot, "Write it for Graphviz");
  command->add_option("--json", options->json, "Write it as JSON");
  command->add_option("--xml", options->xml, "Write it as NCCL's XML");
  command->callback([options, &code] { code = run(*options); });
}

}  // namespace tutti::cli
