// The network interfaces of this host and the choice among them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "src/bootstrap/address.h"

namespace tutti::bootstrap {

struct Interface {
  std::string name;
  Address address;  // port 0
  bool isUp = true;
};

// As base::listNetworkInterfaces.
base::Result<std::vector<Interface>> listInterfaces();

// The addresses to offer to peers as the configuration says, with port 0.
base::Result<std::vector<Address>> addressesToOffer();

// The addresses to offer to peers, best first, at most `limit`: one of each interface that is up,
// IPv4 before IPv6. Without a list, container and virtual machine bridges (docker*, virbr*, br-*,
// veth*) are taken only if there is nothing else. `family`: "AF_INET", "AF_INET6" or empty for
// both. The loopback address is always last, so that ranks of the same host need no other.
// kErrNoInterface if the list or family leaves none; the text names those that exist.
base::Result<std::vector<Address>> chooseAddresses(const std::vector<Interface>& interfaces,
                                                   std::string_view list, std::string_view family,
                                                   size_t limit);

}  // namespace tutti::bootstrap
