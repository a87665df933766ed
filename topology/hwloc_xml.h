// hwloc's XML files (lstopo --of xml).
//
// They are read here and not by hwloc, which needs not be there and which files with mistakes can
// crash (2.9 does).
#pragma once

#include <string_view>

#include "src/base/status.h"
#include "topology/machine.h"
#include "topology/xml.h"

namespace tutti::topology {

// What the file says, not yet sanitised: NUMA nodes, the PCI tree, and in it ranks (functions of
// the classes of displays and accelerators, and whatever is called a co-processor) and NICs. Ranks
// are numbered by address. `root` is the file's <topology>. Never fails for a well-formed file:
// what makes no sense is a note.
base::Result<Draft> readHwlocXml(const XmlElement& root, std::string_view file);

}  // namespace tutti::topology
