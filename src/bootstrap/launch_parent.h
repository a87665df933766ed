// Which process started all ranks of a launch on this host, for launchers that give a launch no
// name. Private to src/bootstrap.
#pragma once

#include <sys/types.h>

#include <functional>

#include "src/base/status.h"
#include "src/bootstrap/launch_variables.h"

namespace tutti::bootstrap {

// The nearest process above this one that is no wrapper (a shell, numactl, a profiler): those have
// the rank's environment, as `isWrapper` finds. 0: it is outside this pid namespace. An error where
// a process of this user hides its environment, or where everything in the namespace is this
// rank's.
base::Result<pid_t> launchParent(const std::function<bool(const Lookup&)>& isWrapper);

// "process 4711 (mpiexec)".
std::string describeProcess(pid_t pid);

}  // namespace tutti::bootstrap
