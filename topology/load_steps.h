// The steps from a file to a topology, for those who come between them. Private to this folder.
#pragma once

#include <string>

#include "src/base/status.h"
#include "topology/load.h"
#include "topology/machine.h"

namespace tutti::topology {

// What is in a file before it becomes a graph: a machine's description, or, of JSON, the graph
// itself.
struct Parsed {
  std::string file;
  bool isMachine = false;
  Draft draft;    // if isMachine, else
  Loaded loaded;  // this
};
base::Result<Parsed> parseFile(const std::string& path);

// Sanitises a description and makes the graph of it. Fails if that cannot be planned for.
base::Result<Loaded> finish(Draft draft);
base::Result<Loaded> finish(Parsed parsed);

}  // namespace tutti::topology
