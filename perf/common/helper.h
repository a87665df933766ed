// Questions that a forked helper process asks the library, so that this process's copy of it stays
// untouched: its configuration is read once, at its first call.
#pragma once

#include <tutti/tutti.h>

namespace tutti::perf {

// What the launcher said, asked by a helper that ends at once. Throws a Failure for a launcher
// whose variables contradict each other.
tuttiLauncherInfo_t askLauncher();

// Starts a helper that carries an id from process 0 of a launch to all others, over a communicator
// with one rank for each process that only the helpers join. Returns the socket to it. Call before
// this process's first call of the library.
int startIdHelper(const tuttiLauncherInfo_t& launcher);

// Gives process 0's id to its helper, and gets it from there in the others. Closes the socket.
void exchangeId(int helper, const tuttiLauncherInfo_t& launcher, tuttiUniqueId& id);

}  // namespace tutti::perf
