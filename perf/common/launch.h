// How the processes of one run come to be, and how they agree on the communicator's id. No MPI.
#pragma once

#include <tutti/tutti.h>

#include <string>
#include <vector>

#include "perf/common/options.h"

namespace tutti::perf {

// This process among those of the run.
struct Process {
  int index = 0;
  int count = 1;
  int localIndex = 0;  // among the processes of this host, where that is known
  tuttiLauncherInfo_t launcher{-1, -1, -1, -1, "none"};  // size > 1: it started the processes
  std::vector<int> idPipes;  // process 0: write ends, one for each other local process
  int idPipe = -1;           // the others: the read end
  int idHelper = -1;         // several ranks in each process of a launch: see helper.h
};

// Starts the processes that -p asks for and returns in each of them. Where that is more than one,
// the calling process becomes their supervisor and never returns: it waits, ends the rest when one
// fails, says which, and exits with the code of the run. Without -p the launcher's variables
// decide. Call before anything else of the library: processes are forked.
Process startProcesses(const Options& options);

// The same id in every process of the run.
tuttiUniqueId agreeOnId(const Process& process);

// Binds the calling thread to the core that local rank `localRank` gets, modulo the allowed ones.
void pinThread(int localRank);

}  // namespace tutti::perf
