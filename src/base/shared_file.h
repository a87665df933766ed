// Files in memory that other processes of this host can map, and that leave nothing behind.
#pragma once

#include <cstddef>
#include <string>

#include "src/base/fd.h"
#include "src/base/status.h"

namespace tutti::base {

// A file of `bytes` zeros without a name: it goes with its last descriptor and mapping, however
// their processes end. Peers open it through /proc/<pid>/fd/<fd>.
//
// An empty `directory` (TUTTI_SHM_DIR) means anonymous memory (memfd), which no mount limits; where
// the system forbids that, /dev/shm. In a directory all pages are reserved at once, since touching
// one that the file system has no room for would be a SIGBUS: kErrShmTooSmall says how much there
// is. kErrShmFailed: anything else the system refuses, RLIMIT_FSIZE included. Any thread.
Result<UniqueFd> openSharedFile(size_t bytes, const std::string& directory);

}  // namespace tutti::base
