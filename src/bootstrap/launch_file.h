// How processes of one host find one id: rank 0 writes it to a private file, the others wait for
// it. Private to src/bootstrap.
#pragma once

#include <chrono>
#include <initializer_list>
#include <string>
#include <string_view>

#include "src/base/status.h"
#include "src/bootstrap/control_plane.h"

namespace tutti::bootstrap {

// The directory for such files, made if needed: below $XDG_RUNTIME_DIR, else /tmp/tutti-<uid>. It
// is an error if somebody else owns it or can look into it.
base::Result<std::string> launchDirectory();

// The name of the file of a launch, made of what its ranks know in common.
std::string launchFileName(std::initializer_list<std::string_view> parts);

// Writes the id of this process, replacing what an earlier launch left; readers see all or nothing.
base::Status writeLaunchFile(const std::string& path, const UniqueId& id);

// Removes the file if it still holds this id.
void removeLaunchFile(const std::string& path, const UniqueId& id);

// Removes what processes that ended without it have left in the directory.
void sweepLaunchDirectory(const std::string& directory);

// Waits until a living process has written the file. A zero timeout waits for ever. `hint` says
// what must be true of rank 0, for the text of the failure.
base::Result<UniqueId> awaitLaunchFile(const std::string& path, std::chrono::milliseconds timeout,
                                       std::string_view hint);

}  // namespace tutti::bootstrap
