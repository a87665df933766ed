// The entry points of libfabric that this transport uses, found at run time: nothing links it. All
// else that it does is called through tables that its objects carry.
#pragma once

#include <rdma/fabric.h>

#include <span>
#include <string>
#include <string_view>

#include "src/base/status.h"

namespace tutti::transports::ofi {

struct Fi {
  decltype(&fi_getinfo) getInfo;
  decltype(&fi_freeinfo) freeInfo;
  decltype(&fi_dupinfo) dupInfo;
  decltype(&fi_fabric) fabric;
  decltype(&fi_version) version;
  decltype(&fi_strerror) errorText;
};

// The interface that is asked for: what libfabric 1.11 and all that came later offer.
inline constexpr uint32_t kApiVersion = FI_VERSION(1, 11);

// Opened once per process; the failure says what is missing. Any thread.
const base::Result<Fi>& library();

// The way that was chosen for this process among what libfabric offers: TUTTI_OFI_PROVIDER, then
// choose(). `addresses`: this host's, best first. Stays as long as the process; libfabric is asked
// once, which takes it 0.1 s, and again in a forked child. Any thread.
base::Result<const fi_info*> network(const Fi& fi, std::span<const std::string> addresses);

// "libfabric: <what>: <its own words>" (kErrTransportFailed). `error`: as libfabric returns them,
// negative.
base::Status failure(const Fi& fi, std::string_view what, int64_t error);

}  // namespace tutti::transports::ofi
