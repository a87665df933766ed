// How processes of one host find one id: rank 0 writes it to a private file, the others wait for
// it. Private to src/bootstrap.
#pragma once

#include <chrono>
#include <string>

#include "src/base/status.h"
#include "src/bootstrap/control_plane.h"

namespace tutti::bootstrap {

// The directory for such files, made if needed: below $XDG_RUNTIME_DIR, else /tmp/tutti-<uid>. It
// is an error if somebody else owns it or can look into it.
base::Result<std::string> launchDirectory();

// Writes the id of this process, replacing what an earlier launch left; readers see all or nothing.
base::Status writeLaunchFile(const std::string& path, const UniqueId& id);

// Removes the file if it still holds this id.
void removeLaunchFile(const std::string& path, const UniqueId& id);

// Waits until a living process has written the file. A zero timeout waits for ever.
base::Result<UniqueId> awaitLaunchFile(const std::string& path, std::chrono::milliseconds timeout);

}  // namespace tutti::bootstrap
