// A file that tells only a part, and the machine that it is of.
#pragma once

#include "topology/machine.h"

namespace tutti::topology {

// Adds to `file` what `found` has more: attributes that are missing, kinds and names of PCI
// functions that are listed by address only, devices that are not listed (below the nearest bridge
// that is, else at their processor), links beside PCI of devices for which the file lists none.
// What the file says stays. Only if the two share a PCI address:
// else the file is of another machine, and stays as it is, with a note.
void complete(Draft& file, const Machine& found);

}  // namespace tutti::topology
