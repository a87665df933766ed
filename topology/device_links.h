// Links between devices, from what their drivers tell to the description of a machine.
#pragma once

#include "src/ir/device_links.h"
#include "topology/machine.h"

namespace tutti::topology {

// Adds the links to a description of this machine, as wires between the parts at those PCI
// addresses, and the models to their parts. All links to switches lead to one switch of the host,
// named as in files (nccl_xml.h). A link with an end that the machine does not show is a note.
void addDeviceLinks(Draft& draft, const ir::DeviceLinks& found);

}  // namespace tutti::topology
