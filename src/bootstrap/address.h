// An IPv4 or IPv6 address with a port, as a value.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "src/bootstrap/wire.h"

namespace tutti::bootstrap {

struct Address {
  static constexpr size_t kWireBytes = 19;

  uint8_t family = 0;  // 4, 6, or 0: none
  uint16_t port = 0;
  std::array<uint8_t, 16> bytes{};  // IPv4 uses the first four

  bool operator==(const Address&) const = default;

  bool isLoopback() const;
  std::string toString() const;  // "10.0.0.1:4711", "[fd00::1]:4711"
  std::string host() const;      // "10.0.0.1", "fd00::1"

  // Fills `storage` for the socket calls and returns the length used.
  socklen_t toSocket(sockaddr_storage& storage) const;
  // Family 0 for anything but IPv4 and IPv6. IPv4 mapped into IPv6 comes back as IPv4.
  static Address fromSocket(const sockaddr* socket);

  void write(WireWriter& out) const;
  static Address read(WireReader& in);
};

inline constexpr std::array<uint8_t, 4> kLoopback4{127, 0, 0, 1};

Address loopbackAddress(uint16_t port);

// Addresses of "host:port" or "[v6]:port"; asks the resolver for names, so it may block.
base::Result<std::vector<Address>> resolveAddress(std::string_view hostAndPort);

}  // namespace tutti::bootstrap
