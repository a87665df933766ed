// File descriptors, and what to say where there are too few.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "src/base/status.h"

namespace tutti::base {

// EMFILE or ENFILE.
bool isOutOfDescriptors(int error);

// The system's text; for the two above also whose limit it is, how many are needed, and how to
// raise it.
std::string describeErrno(int error);

// Failure of a system call that leaves `error`: "WHAT: why" (kErrSocket).
Status systemFailure(std::string_view what, int error);

// Fails if this process may not open `count` more.
Status checkDescriptors(size_t count, std::string_view what);

}  // namespace tutti::base
