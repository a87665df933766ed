// Topology files in the schema of NCCL and RCCL (<system version="1"> or "2"), in and out.
//
// The rates are those libraries' own: PCI links lanes * speed / 80 GB/s, <nvlink> by compute
// capability and <xgmi> by architecture of the device, <c2c> as its file says, processors among
// each other by their make, NICs speed / 8000 GB/s and no more than their PCI link. Ids: gpu3 (its
// `dev`), "nic mlx5_0", "pci 0000:c1:00.0", numa1, with "host1/" in front where the file has
// several hosts (host_hash).
//
// Switches: whatever devices link to with the class of an NVSwitch (0x068000) is one non-blocking
// switch per host, called "nvswitch"; the placeholder address that fabric managers give
// (fffffff:ff:ff.0) is one switch for all hosts of the file. A file says otherwise by listing
// switches: <pci busid=".." class="0x068000" fabric="name"/>. Those of one fabric are one switch,
// "nvswitch name", and <nvlink target=".." count=".."/> in them link it to others. `fabric` is an
// addition of Tutti that NCCL passes over.
#pragma once

#include <string>
#include <vector>

#include "src/base/status.h"
#include "topology/graph.h"

namespace tutti::topology {

struct NcclXml {
  std::string text;
  std::vector<std::string> notes;  // what the schema could not hold
};

// `topology` in that schema. The text was read again: what came back otherwise is in the notes,
// and there is none for what came from such a file. An error where nothing that can be planned for
// would come back.
base::Result<NcclXml> toNcclXml(const Topology& topology);

}  // namespace tutti::topology
