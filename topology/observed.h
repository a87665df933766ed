// From what ranks see of their messages to the links that do not carry what they are planned for.
#pragma once

#include <cstdint>
#include <vector>

#include "src/base/status.h"
#include "src/ir/types.h"
#include "topology/graph.h"

namespace tutti::topology {

// What one rank saw of the messages of another for some time. Only messages that were queued on the
// way count, so the rate is what the way had to give, whatever the ranks did.
struct ObservedFlow {
  ir::Rank from = 0;
  ir::Rank to = 0;
  uint64_t bytes = 0;
  int64_t ns = 0;  // that they took
  bool operator==(const ObservedFlow&) const = default;
};

struct LinkChange {
  LinkIndex link = 0;
  int64_t capacity = 0;  // kB/s
  bool operator==(const LinkChange&) const = default;
};

// Is this more than what is seen of a link of that capacity now and then?
inline bool isFasterThan(int64_t capacity, int64_t rate) { return rate * 4 > capacity * 5; }

struct Observed {
  // Seen for less than this, a flow proves nothing slow. Nanoseconds.
  int64_t leastNs = 0;
  // A link is slow below this part of its capacity, in thousandths.
  int64_t permille = 700;
};

// The links of `now` that carried less than they should while messages waited for them, with what
// they carried; and those that carried more than that, with what they have in `planned` (the same
// fabric, as it was first known), where that is more. Empty: all is as planned.
//
// A flow that was queued had a full link on its way. If none of its links carried its due, all
// flows of it together, one of them is slow, unless others waited as long for links that did: then
// these hold up all, and what they let through in bursts waits a little on its further way. Of
// those on which no flow was fast it is taken to be the cable (a link and its reverse) that
// explains most of what was held up; of several, that which needs to have lost the least part of
// its capacity, so the narrowest one; where nothing tells two apart, both of them: that a link was
// blamed without reason shows once another flow is fast on it. Rates close to each other become
// one. Pure, the same everywhere.
//
// Both topologies have passed check. Fails where ranks have no way.
base::Result<std::vector<LinkChange>> slowLinks(const Topology& now, const Topology& planned,
                                                const std::vector<ObservedFlow>& flows,
                                                const Observed& observed);

// With these capacities, of provenance kMeasured. The indices are in range.
Topology changed(Topology topology, const std::vector<LinkChange>& changes);

}  // namespace tutti::topology
