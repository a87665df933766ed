// Small files that a process keeps for later ones, in a directory of the user's.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "src/base/fd.h"
#include "src/base/status.h"

namespace tutti::base {

// TUTTI_CACHE_DIR ("" and "off": nothing is kept, and this is empty), else $XDG_CACHE_HOME/tutti or
// ~/.cache/tutti.
std::string cacheDirectory();

// Not open where there is none, with errno; the second makes it first.
UniqueFd openDirectory(const std::string& path);
UniqueFd makeDirectory(const std::string& path);

// Nothing where there is no such file. Fails for what can not be read, is a link or no file, is
// somebody else's, or too large.
Result<std::optional<std::string>> readKeptFile(int directory, const std::string& name);

// Written beside its place and renamed into it, so that readers and any number of writers see whole
// files. 0 or errno.
int replaceKeptFile(int directory, const std::string& name, std::string_view text);

}  // namespace tutti::base
