// The network interfaces of this host, and which of them people want.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"

namespace tutti::base {

// One address of an interface.
struct NetworkInterface {
  std::string name;
  sockaddr_storage address{};  // IPv4 or IPv6, port 0
  int prefixBits = 0;          // how many leading bits the neighbours' addresses share with it
  bool isUp = false;
  bool isLoopback = false;
};

// Every IPv4 and IPv6 address of every interface, in the kernel's order. Link-local IPv6 addresses
// are left out: they mean nothing without the interface of the reader.
Result<std::vector<NetworkInterface>> listNetworkInterfaces();

// Made for containers and virtual machines of this host (docker*, virbr*, br-*, veth*): other hosts
// rarely reach it.
bool isBridgeName(std::string_view name);

// The devices that move data between hosts without the kernel, as it lists them, sorted: "mlx5_0",
// "efa_0", "cxi0".
std::vector<std::string> rdmaDevices();
// For people: "mlx5_0, mlx5_1", "no RDMA device".
std::string rdmaDevicesText();

// What the interface's link runs at, in Mb/s, as the kernel says; 0 where it does not.
int interfaceSpeed(const std::string& name);

}  // namespace tutti::base
