// One rank's Schedule in the words of MSCCL XML. Private to this room.
//
// A lane's steps are told each by the thread block that has its FIFO; since a block has one peer to
// receive from and one to send to, a lane may become several, and what the order of the lane's
// steps ensured is said by dependencies.
#pragma once

#include <string>
#include <vector>

#include "src/base/status.h"
#include "src/ir/schedule.h"
#include "src/schedule/msccl_file.h"

namespace tutti::schedule {

// How many chunks everything is: a unit divides every slice, and every block that lanes cut it
// into.
struct MscclUnits {
  std::vector<int> sliceBegins;  // of each slice, and the end; in units of one block
  int all = 1;                   // of a vector, or of the blocks of all ranks
};

base::Result<MscclRank> tellMsccl(const ir::Schedule& schedule, const MscclPlaces& places,
                                  const MscclUnits& units);

// That the format can not say something.
base::Status mscclUnsupported(std::string text);

}  // namespace tutti::schedule
