#include "src/bootstrap/interfaces.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/interfaces.h"
#include "src/bootstrap/unique_id.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;

namespace {

bool isFamilyChosen(std::string_view family, const Address& address) {
  if (family == "AF_INET" || family == "4") return address.family == 4;
  if (family == "AF_INET6" || family == "6") return address.family == 6;
  return true;
}

// Smaller is better; equal ones keep the kernel's order.
int gradeOf(const Interface& interface, bool isListed) {
  const int bridge = !isListed && base::isBridgeName(interface.name) ? 2 : 0;
  return bridge + (interface.address.family == 4 ? 0 : 1);
}

Status noInterface(const std::vector<Interface>& interfaces, std::string_view list,
                   std::string_view family) {
  std::set<std::string> names;
  for (const Interface& interface : interfaces) {
    names.insert(fmt::format("{}{}", interface.name, interface.isUp ? "" : " (down)"));
  }
  return {Code::kSystemError, base::kErrNoInterface,
          fmt::format("no usable network interface: TUTTI_SOCKET_IFNAME=\"{}\" and "
                      "TUTTI_SOCKET_FAMILY=\"{}\" leave none of {}",
                      list, family, fmt::join(names, ", "))};
}

}  // namespace

base::Result<std::vector<Interface>> listInterfaces() {
  TUTTI_ASSIGN_OR_RETURN(const auto found, base::listNetworkInterfaces());
  std::vector<Interface> interfaces;
  for (const base::NetworkInterface& each : found) {
    const auto* address = reinterpret_cast<const sockaddr*>(&each.address);
    interfaces.push_back({each.name, Address::fromSocket(address), each.isUp});
  }
  return interfaces;
}

base::Result<std::vector<Address>> chooseAddresses(const std::vector<Interface>& interfaces,
                                                   std::string_view list, std::string_view family,
                                                   size_t limit) {
  std::vector<Interface> usable;
  bool hasLoopback = false;
  for (const Interface& interface : interfaces) {
    const bool isChosen = interface.isUp && base::isNameChosen(list, interface.name) &&
                          isFamilyChosen(family, interface.address);
    if (!isChosen) continue;
    hasLoopback |= interface.address.isLoopback();
    if (!interface.address.isLoopback()) usable.push_back(interface);
  }
  if (usable.empty() && !hasLoopback) return noInterface(interfaces, list, family);
  std::stable_sort(usable.begin(), usable.end(), [&](const Interface& a, const Interface& b) {
    return gradeOf(a, !list.empty()) < gradeOf(b, !list.empty());
  });
  const bool hasBetter = !usable.empty() && gradeOf(usable.front(), !list.empty()) < 2;
  std::vector<Address> chosen;
  std::set<std::pair<std::string, uint8_t>> taken;
  for (const Interface& interface : usable) {
    if (chosen.size() + 1 >= limit) break;
    if (hasBetter && gradeOf(interface, !list.empty()) >= 2) break;
    if (!taken.emplace(interface.name, interface.address.family).second) continue;
    chosen.push_back(interface.address);
  }
  chosen.push_back(loopbackAddress(0));
  return chosen;
}

base::Result<std::vector<Address>> addressesToOffer() {
  const base::Config& config = base::processConfig();
  TUTTI_ASSIGN_OR_RETURN(const std::vector<Interface> interfaces, listInterfaces());
  return chooseAddresses(interfaces, config.get(base::param::kSocketIfname),
                         config.get(base::param::kSocketFamily), kMaxIdAddresses);
}

}  // namespace tutti::bootstrap
