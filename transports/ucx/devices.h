// Which network devices UCX may use.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/status.h"

namespace tutti::transports::ucx {

// By their names: "eth0", and {"mlx5_0", 1} for a port of an RDMA device.
struct NetDevices {
  std::vector<std::string> interfaces;
  std::vector<std::pair<std::string, int>> ports;
};

// Of this host, or of this network namespace.
NetDevices listDevices();

// What to give UCX as NET_DEVICES: the interfaces of the list `interfaces` (TUTTI_SOCKET_IFNAME)
// and the ports of the list `ports` (TUTTI_IB_HCA); an empty list leaves all of its kind. Empty:
// its own choice. kErrNoInterface where the lists leave nothing.
base::Result<std::string> chooseDevices(const NetDevices& devices, std::string_view interfaces,
                                        std::string_view ports);

}  // namespace tutti::transports::ucx
