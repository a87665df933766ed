#include "src/base/interfaces.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

#include "src/base/descriptors.h"
#include "src/base/read_file.h"

namespace tutti::base {
namespace {

bool isLinkLocal6(const sockaddr* address) {
  if (address->sa_family != AF_INET6) return false;
  return IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
}

size_t addressSize(int family) {
  return family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
}

int prefixOf(const sockaddr* mask, int family) {
  if (mask == nullptr) return 0;
  int bits = 0;
  if (family == AF_INET) {
    return std::popcount(reinterpret_cast<const sockaddr_in*>(mask)->sin_addr.s_addr);
  }
  for (const uint8_t byte : reinterpret_cast<const sockaddr_in6*>(mask)->sin6_addr.s6_addr) {
    bits += std::popcount(byte);
  }
  return bits;
}

}  // namespace

Result<std::vector<NetworkInterface>> listNetworkInterfaces() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) {
    return systemFailure("cannot list the network interfaces", errno);
  }
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, &freeifaddrs);
  std::vector<NetworkInterface> interfaces;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    const sockaddr* address = entry->ifa_addr;
    if (address == nullptr || isLinkLocal6(address)) continue;
    if (address->sa_family != AF_INET && address->sa_family != AF_INET6) continue;
    NetworkInterface& made = interfaces.emplace_back();
    made.name = entry->ifa_name;
    std::memcpy(&made.address, address, addressSize(address->sa_family));
    made.prefixBits = prefixOf(entry->ifa_netmask, address->sa_family);
    made.isUp = (entry->ifa_flags & IFF_UP) != 0 && (entry->ifa_flags & IFF_RUNNING) != 0;
    made.isLoopback = (entry->ifa_flags & IFF_LOOPBACK) != 0;
  }
  return interfaces;
}

bool isBridgeName(std::string_view name) {
  return name.starts_with("docker") || name.starts_with("virbr") || name.starts_with("br-") ||
         name.starts_with("veth");
}

std::vector<std::string> rdmaDevices() {
  std::vector<std::string> names;
  for (const char* kind : {"/sys/class/infiniband", "/sys/class/cxi"}) {
    std::error_code error;
    std::filesystem::directory_iterator at(kind, error);
    for (; !error && at != end(at); at.increment(error)) names.push_back(at->path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string rdmaDevicesText() {
  const auto devices = rdmaDevices();
  return devices.empty() ? "no RDMA device" : fmt::format("{}", fmt::join(devices, ", "));
}

int interfaceSpeed(const std::string& name) {
  const auto text = readFile(fmt::format("/sys/class/net/{}/speed", name), 64, "speed");
  int speed = 0;
  if (!text.isOk()) return 0;
  std::from_chars(text->data(), text->data() + text->size(), speed);
  return std::max(speed, 0);
}

}  // namespace tutti::base
