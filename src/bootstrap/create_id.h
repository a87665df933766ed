// The ways to make a unique id. Private to src/bootstrap.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "src/bootstrap/unique_id.h"

namespace tutti::bootstrap {

// A new id, served by this process. `onEnd` is called on the control thread when nobody can
// register any more: all have, or the init failed.
base::Result<UniqueId> serveNewId(std::function<void()> onEnd);

// The id of a rendezvous that rank 0 will serve at the addresses while it joins.
UniqueId fixedAddressId(std::vector<Address> addresses, const base::Key& secret);

// A secret that everybody can compute who knows the name; warns once.
base::Key weakSecret(std::string_view name);

}  // namespace tutti::bootstrap
