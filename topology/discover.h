// The topology that this process is to use: a file that it was given, or the machine under it.
#pragma once

#include <string>

#include "src/base/config.h"
#include "src/base/status.h"
#include "src/ir/device_links.h"
#include "topology/load.h"

namespace tutti::topology {

// With TUTTI_TOPO_FILE that file's. XML that lists PCI functions of this machine is completed from
// what is found here (complete.h), as NCCL does; a file of another machine is taken as it is.
// Without the variable, this machine's: every PCI function of the class of a display or an
// accelerator is a rank, but consoles; where there is none, the host is the one rank.
//
// `links` are what the devices' drivers tell of links beside PCI. They become links of the fabric;
// in a file that is completed only those of devices for which the file lists none.
//
// With TUTTI_TOPO_DUMP_FILE the result is also written there, in NCCL's XML: whole or not at all,
// so that several processes may name one file. What that could not do is a note.
//
// `root` stands for / where a recorded copy of /sys and /proc is read; then hwloc is not asked.
// Blocks for some ms. Any thread.
base::Result<Loaded> discoverTopology(const base::Config& config = base::processConfig(),
                                      const ir::DeviceLinks& links = {},
                                      const std::string& root = {});

}  // namespace tutti::topology
