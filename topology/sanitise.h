// Real descriptions of machines lie. This corrects what physics forbids, and says so.
#pragma once

#include <string>
#include <vector>

#include "src/base/status.h"
#include "topology/machine.h"

namespace tutti::topology {

// Makes a description fit for toTopology. Each correction adds a line to `notes`: where (file and
// line, part), what was there, what is taken instead, why. In this order:
//
// - What contains itself, and two devices at one PCI address, are errors. A number that two ranks
//   have is one rank's only.
// - Display controllers that cannot render, and whose link has under 4 lanes, are consoles: left
//   out.
// - PCI links: no width or 0 is 16 lanes, no speed or an unknown one 8 GT/s.
// - A bridge whose link has under an eighth of what one device below it can take is virtual: it
//   gets that device's link.
// - A NIC faster than the wires of its PCI link gets the link's rate; but where that link is not
//   said, or "2.5 GT/s x1", which is what devices without a link of their own report, the NIC is
//   believed. A NIC that does not say its rate has its PCI link's, one without a PCI link, or
//   that says it has none, 10 Gb/s.
// - NICs at a quarter of the fastest one's rate or less are for management: left out. So are NICs
//   of unknown rate without RDMA, beside some with it.
// - Links between devices: to oneself are left out; where both sides list a different number the
//   smaller counts, and where only one of two devices lists them, both have them.
// - Processors without devices are left out.
// - Devices of a machine that shows no PCI switch share nothing, as far as can be known: noted.
base::Status sanitise(Machine& machine, std::vector<std::string>& notes);

}  // namespace tutti::topology
