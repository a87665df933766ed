#include "src/bootstrap/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "src/base/errors.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;

bool Address::isLoopback() const {
  if (family == 4) return bytes[0] == 127;
  std::array<uint8_t, 16> loopback6{};
  loopback6[15] = 1;
  return family == 6 && bytes == loopback6;
}

std::string Address::toString() const {
  return family == 6 ? fmt::format("[{}]:{}", host(), port) : fmt::format("{}:{}", host(), port);
}

std::string Address::host() const {
  char text[INET6_ADDRSTRLEN] = "none";
  inet_ntop(family == 4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof text);
  return text;
}

socklen_t Address::toSocket(sockaddr_storage& storage) const {
  std::memset(&storage, 0, sizeof storage);
  if (family == 4) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    std::memcpy(&v4->sin_addr, bytes.data(), 4);
    return sizeof *v4;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  std::memcpy(&v6->sin6_addr, bytes.data(), 16);
  return sizeof *v6;
}

Address Address::fromSocket(const sockaddr* socket) {
  Address address;
  if (socket->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(socket);
    address.family = 4;
    address.port = ntohs(v4->sin_port);
    std::memcpy(address.bytes.data(), &v4->sin_addr, 4);
  } else if (socket->sa_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(socket);
    const auto* raw = reinterpret_cast<const uint8_t*>(&v6->sin6_addr);
    address.port = ntohs(v6->sin6_port);
    address.family = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) ? 4 : 6;
    if (address.family == 4) {
      std::memcpy(address.bytes.data(), raw + 12, 4);
    } else {
      std::memcpy(address.bytes.data(), raw, 16);
    }
  }
  return address;
}

void Address::write(WireWriter& out) const {
  out.u8(family);
  out.u16(port);
  out.raw({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

Address Address::read(WireReader& in) {
  Address address;
  address.family = in.u8();
  address.port = in.u16();
  const std::string_view raw = in.raw(address.bytes.size());
  std::memcpy(address.bytes.data(), raw.data(), raw.size());
  if (address.family != 4 && address.family != 6) address.family = 0;
  return address;
}

Address loopbackAddress(uint16_t port) {
  Address address;
  address.family = 4;
  address.port = port;
  std::copy(kLoopback4.begin(), kLoopback4.end(), address.bytes.begin());
  return address;
}

namespace {

struct HostAndPort {
  std::string host;
  std::string port;
};

base::Result<HostAndPort> splitHostAndPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  const Status bad(Code::kInvalidArgument, base::kErrBadAddress,
                   fmt::format("\"{}\" is not an address of the form host:port (for IPv6: "
                               "[address]:port)",
                               text));
  if (colon == std::string_view::npos || colon == 0) return bad;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad;
  }
  uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number == 0) return bad;
  return HostAndPort{std::string(host), std::string(port)};
}

}  // namespace

base::Result<std::vector<Address>> resolveAddress(std::string_view hostAndPort) {
  TUTTI_ASSIGN_OR_RETURN(const HostAndPort parts, splitHostAndPort(hostAndPort));
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(parts.host.c_str(), parts.port.c_str(), &hints, &list);
  if (error != 0) {
    return Status(Code::kSystemError, base::kErrBadAddress,
                  fmt::format("cannot resolve \"{}\" of \"{}\": {}", parts.host, hostAndPort,
                              gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, &freeaddrinfo);
  std::vector<Address> addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    const Address address = Address::fromSocket(entry->ai_addr);
    const bool isNew = std::find(addresses.begin(), addresses.end(), address) == addresses.end();
    if (address.family != 0 && isNew) addresses.push_back(address);
  }
  return addresses;
}

}  // namespace tutti::bootstrap
