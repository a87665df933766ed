// File descriptors, and what to say where there are too few. Private to src/bootstrap.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "src/base/status.h"

namespace tutti::bootstrap {

// EMFILE or ENFILE.
bool isOutOfDescriptors(int error);

// The system's text; for the two above also whose limit it is, how many are needed, and how to
// raise it.
std::string describeErrno(int error);

// Failure of a system call that leaves `error`: "WHAT: why" (kErrSocket).
base::Status systemFailure(std::string_view what, int error);

// Fails if this process may not open `count` more.
base::Status checkDescriptors(size_t count, std::string_view what);

}  // namespace tutti::bootstrap
