// Groups: calls are collected per thread and run by the outermost end, as one. A call outside a
// group is a group of its own.
#pragma once

#include <vector>

#include "src/base/status.h"
#include "src/comm/handle.h"

namespace tutti::comm {

// Opens a group in this thread.
void groupStart();

// Closes one; the outermost runs what was queued and returns the first error.
base::Status groupEnd();

// Is a group open in this thread?
bool isInGroup();

// Queues work, or runs it now if no group is open; the caller holds a Handle::Call. `work` holds a
// collective that has a schedule, or a send or receive.
base::Status submit(Handle& handle, Work&& work);

// The outermost end waits for what the handle's thread joins (Handle::initialize), so that one
// thread can make the communicators of several ranks. A group is open in this thread.
void joinAtEnd(Handle& handle);

// A failure of a call inside a group ends the group. Returns the same status.
base::Status latch(base::Status status);

}  // namespace tutti::comm
