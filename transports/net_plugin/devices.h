// Which of a plugin's devices. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "transports/net_plugin/plugin.h"

namespace tutti::transports::net_plugin {

// Why messages of `bytes` can not go over the device; empty: they can.
std::string obstacle(const Device& device, size_t bytes);

// One for the rank, of `devices`: those that the list `wanted` allows (TUTTI_IB_HCA: "a,b:1"
// prefixes of names and a port, "=a,b" whole names, "^a,b" all but these; where it leaves none it
// is not about these devices), of them the fastest, and of those in turn by rank, so that ranks of
// a host spread over them. Null where there is no device.
const Device* choose(std::span<const Device> devices, std::string_view wanted, int rank);

// "mlx5_0 100 Gb/s, mlx5_1 100 Gb/s"; the first few of many.
std::string namesOf(std::span<const Device> devices);

}  // namespace tutti::transports::net_plugin
