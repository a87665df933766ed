// Where a rank can be reached, and which ways lead there. Pure values.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/interfaces.h"

namespace tutti::transports::tcp {

// An IPv4 or IPv6 address of a host, with what is known of its interface.
struct Place {
  int family = AF_INET;
  std::array<uint8_t, 16> bytes{};  // IPv4: the first four
  int prefixBits = 0;
  int speed = 0;  // Mb/s, 0: unknown
  std::string interface;

  bool operator==(const Place&) const = default;
  std::string address() const;   // "10.0.0.1"
  std::string toString() const;  // "10.0.0.1/24@10000%eth0"
  static std::optional<Place> parse(std::string_view text);
  // With a port, for the socket calls; the length used.
  socklen_t toSocket(uint16_t port, sockaddr_storage& storage) const;
};

// What a rank tells the others: the content of its transport address.
struct Home {
  std::string host;  // base::realHostIdentity
  uint16_t port = 0;
  std::vector<Place> places;  // best first

  std::string toText() const;
  static std::optional<Home> parse(std::string_view text);
};

// The places to offer: one of each interface that is up and chosen by `list` (base::isNameChosen)
// and `family` ("AF_INET", "AF_INET6" or empty), IPv4 before IPv6; bridges only where `list` names
// them or there is nothing else.
std::vector<Place> placesOf(const std::vector<base::NetworkInterface>& interfaces,
                            std::string_view list, std::string_view family);

// A way to a peer: from an own place (none: the kernel chooses) to one of the peer's.
struct Path {
  std::optional<Place> from;
  Place to;
};

struct Paths {
  std::vector<Path> lanes;      // each becomes a lane
  std::vector<Path> fallbacks;  // where none of these works: the first that does becomes the lane
};

// On one host the loopback. Between hosts a lane for every pair of places that share a network, no
// interface twice, each `connections` times (0: by the speed of its interface, one for each 12.5
// Gb/s, 4 at most: one TCP stream seldom fills more); every place of the peer is a fallback.
Paths pathsBetween(const Home& mine, const Home& theirs, int connections);

}  // namespace tutti::transports::tcp
