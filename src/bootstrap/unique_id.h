// What the 128 bytes of a unique id hold.
#pragma once

#include <vector>

#include "src/base/secure.h"
#include "src/base/status.h"
#include "src/bootstrap/address.h"
#include "src/bootstrap/control_plane.h"

namespace tutti::bootstrap {

// Version of everything the control plane says on the wire and of the id's layout.
inline constexpr uint8_t kProtocolVersion = 1;

inline constexpr size_t kMaxIdAddresses = 4;

struct IdContent {
  // The rendezvous does not exist yet: rank 0 serves it at the addresses while it joins.
  bool isServedByRankZero = false;
  std::vector<Address> addresses;  // 1 to kMaxIdAddresses, best first
  base::Key secret{};
  uint64_t hostKey = 0;  // hash of the server's host identity; 0: not known
};

UniqueId encodeUniqueId(const IdContent& content);

// kErrBadUniqueId or kErrProtocolVersion where the bytes are something else.
base::Result<IdContent> decodeUniqueId(const UniqueId& id);

// A hash of this host's real identity (TUTTI_HOSTID does not change which addresses are local).
uint64_t thisHostKey();

}  // namespace tutti::bootstrap
