// Files that somebody names: read whole, whatever the name turns out to be.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "src/base/status.h"

namespace tutti::base {

// All of a regular file. `what` it should be, "topology", is for errors. Fails (kSystemError, no
// id, a text without the path) where it cannot be opened or read, is no file, or is longer than
// `mostBytes`. A pipe without a writer is no file, and stops nobody.
Result<std::string> readFile(const std::string& path, size_t mostBytes, std::string_view what);

}  // namespace tutti::base
