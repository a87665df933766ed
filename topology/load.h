// Topologies from files of any known form.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "topology/graph.h"

namespace tutti::topology {

struct Loaded {
  Topology topology;               // check accepts it; its name is the file's, without directory
  std::vector<std::string> notes;  // what was corrected or passed over, a line each
};

// The file at `path`: JSON (json.h), NCCL's or RCCL's XML (nccl_xml.h) or hwloc's XML
// (hwloc_xml.h), told apart by what is in it. Errors name file, line, cause and remedy. Blocks
// while it reads; at most 16 MiB.
base::Result<Loaded> loadTopology(const std::string& path);

// The same from memory; `file` is what texts name.
base::Result<Loaded> parseTopology(std::string_view text, const std::string& file);

}  // namespace tutti::topology
