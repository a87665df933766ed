// Who started this process, from the launcher's environment variables.
#pragma once

#include <string>
#include <string_view>

#include "src/base/status.h"
#include "src/bootstrap/control_plane.h"

namespace tutti::bootstrap {

struct LauncherInfo {
  int rank = -1;  // -1: no launcher
  int size = -1;
  int localRank = -1;  // -1: not told
  int localSize = -1;
  const char* launcher = "none";  // "tutti", "torchrun", "openmpi", "mpich", "slurm", "none"
};

// First match of: explicit TUTTI_RANK/TUTTI_SIZE, torchrun (RANK, WORLD_SIZE, LOCAL_RANK ...), Open
// MPI (OMPI_COMM_WORLD_*), MPICH/Hydra (PMI_RANK, PMI_SIZE, MPI_LOCALRANKID ...), Slurm
// (SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID). A launcher's variables that are half set or make no
// sense are an error. Explicit ones win over any launcher's without a word. Of two launchers the
// earlier counts, as it is mostly the inner one; a warning names both, once, if they disagree and
// the later one has no fewer ranks, so that they are not simply nested: mpirun in a Slurm job.
base::Result<LauncherInfo> detectLauncher();

// The same id in every process of one launch, with no other channel.
//  - TUTTI_ADDR where set: rank 0 serves the rendezvous there while it joins.
//  - Else, for processes of one host: a private file below the runtime directory that rank 0 writes
//    and the others wait for (mode 0600; it holds a random secret and is removed once all have
//    joined). It is named after the launcher's job, or after the process that launched the ranks,
//    with any wrappers between (launch_parent.h); an error at once if that cannot be told.
//  - Else the launcher's own address: the port after MASTER_PORT at MASTER_ADDR, or the first host
//  of
//    the Slurm step and a port made from the job's number.
// At an address the secret is TUTTI_SECRET where set, else it is derived from the address and the
// job's name, and a warning says so once. `tag` tells several communicators apart that are made at
// the same time; with the same tag, join before asking again. Blocks until rank 0 has written the
// file, at most TUTTI_TIMEOUT.
base::Result<UniqueId> launcherUniqueId(const LauncherInfo& info, std::string_view tag);

}  // namespace tutti::bootstrap
