// Algorithms of others, from files in MSCCL's XML, that a communicator runs instead of its plans.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/base/config.h"
#include "src/base/status.h"
#include "src/ir/call.h"
#include "src/ir/schedule.h"

namespace tutti::comm {

// Used by one thread at a time.
class Algorithms {
 public:
  // From TUTTI_MSCCL_FILE, a list of files separated by commas. Those for another number of ranks
  // than `size` are left out: a part of the ranks may have split off. Fails (kErrScheduleFile)
  // where a file cannot be read, is no right algorithm, or not right in place: no rank knows
  // whether others are. Blocks while it reads and proves.
  static base::Result<Algorithms> open(ir::Rank rank, int size,
                                       const base::Config& config = base::processConfig());

  // What this rank runs for the call: of the first file for its collective, root and size; null:
  // none. The same file on every rank whose digest is the same. Valid as long as this object.
  struct Match {
    const ir::Schedule* schedule = nullptr;
    uint64_t digest = 0;
  };
  Match find(const ir::Call& call) const;

  // Of all that ranks must have alike.
  uint64_t digest() const;
  // "TUTTI_MSCCL_FILE=(unset)", or with the digest.
  std::string text() const;

 private:
  struct Entry {
    ir::Schedule schedule;  // this rank's
    uint64_t minBytes = 0;  // of the larger buffer
    uint64_t maxBytes = 0;  // 0: no bound
    uint64_t digest = 0;
  };
  std::vector<Entry> entries_;
};

}  // namespace tutti::comm
