#include "transports/tcp/paths.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "src/base/config.h"

namespace tutti::transports::tcp {

using nlohmann::json;

namespace {

constexpr int kStreamSpeed = 12500;  // Mb/s
constexpr int kMostConnections = 16;
constexpr size_t kMostPlaces = 16;

Place loopback() {
  Place place;
  place.bytes = {127, 0, 0, 1};
  place.prefixBits = 8;
  return place;
}

Place placeOf(const base::NetworkInterface& interface) {
  Place place;
  place.family = interface.address.ss_family;
  if (place.family == AF_INET) {
    std::memcpy(place.bytes.data(),
                &reinterpret_cast<const sockaddr_in&>(interface.address).sin_addr, 4);
  } else {
    std::memcpy(place.bytes.data(),
                &reinterpret_cast<const sockaddr_in6&>(interface.address).sin6_addr, 16);
  }
  place.prefixBits = interface.prefixBits;
  place.speed = base::interfaceSpeed(interface.name);
  place.interface = interface.name;
  return place;
}

bool isSameNetwork(const Place& a, const Place& b) {
  if (a.family != b.family || a.prefixBits != b.prefixBits || a.bytes == b.bytes) return false;
  const int whole = a.prefixBits / 8;
  if (!std::equal(a.bytes.begin(), a.bytes.begin() + whole, b.bytes.begin())) return false;
  const int rest = a.prefixBits % 8;
  const auto at = static_cast<size_t>(whole);
  return rest == 0 || ((a.bytes[at] ^ b.bytes[at]) >> (8 - rest)) == 0;
}

int connectionsFor(const Path& path, int wanted) {
  if (wanted > 0) return std::min(wanted, kMostConnections);
  const int speed = path.from.has_value() ? std::min(path.from->speed, path.to.speed) : 0;
  return std::clamp((speed + kStreamSpeed - 1) / kStreamSpeed, 1, 4);
}

std::optional<int> numberIn(std::string_view text, int most) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool isWhole = error == std::errc() && end == text.data() + text.size();
  if (!isWhole || value < 0 || value > most) return {};
  return value;
}

// Smaller is better; equal ones keep the kernel's order.
int gradeOf(const base::NetworkInterface& interface, std::string_view list) {
  const int bridge = list.empty() && base::isBridgeName(interface.name) ? 2 : 0;
  return bridge + (interface.address.ss_family == AF_INET ? 0 : 1);
}

bool isFamilyChosen(std::string_view family, int is) {
  if (family == "AF_INET" || family == "4") return is == AF_INET;
  if (family == "AF_INET6" || family == "6") return is == AF_INET6;
  return true;
}

}  // namespace

std::string Place::address() const {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(family, bytes.data(), text, sizeof(text));
  return text;
}

std::string Place::toString() const {
  return fmt::format("{}/{}@{}%{}", address(), prefixBits, speed, interface);
}

std::optional<Place> Place::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const size_t at = text.find('@');
  const size_t percent = text.find('%');
  const bool isOrdered = slash < at && at < percent && percent != std::string_view::npos;
  if (!isOrdered) return {};
  Place place;
  place.interface = text.substr(percent + 1);
  const std::string address(text.substr(0, slash));
  place.family = address.find(':') == std::string::npos ? AF_INET : AF_INET6;
  if (inet_pton(place.family, address.c_str(), place.bytes.data()) != 1) return {};
  const auto bits =
      numberIn(text.substr(slash + 1, at - slash - 1), place.family == AF_INET ? 32 : 128);
  const auto speed = numberIn(text.substr(at + 1, percent - at - 1), 1 << 30);
  if (!bits.has_value() || !speed.has_value()) return {};
  place.prefixBits = *bits;
  place.speed = *speed;
  return place;
}

socklen_t Place::toSocket(uint16_t port, sockaddr_storage& storage) const {
  storage = {};
  if (family == AF_INET) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, bytes.data(), 4);
    return sizeof(v4);
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, bytes.data(), 16);
  return sizeof(v6);
}

std::string Home::toText() const {
  json text = {{"host", host}, {"port", port}, {"places", json::array()}};
  for (const Place& place : places) text["places"].push_back(place.toString());
  return text.dump();
}

std::optional<Home> Home::parse(std::string_view text) {
  const json read = json::parse(text, nullptr, false);
  if (!read.is_object() || !read.contains("host") || !read["host"].is_string()) return {};
  if (!read.contains("port") || !read["port"].is_number_unsigned()) return {};
  if (!read.contains("places") || !read["places"].is_array()) return {};
  Home home;
  home.host = read["host"].get<std::string>();
  home.port = read["port"].get<uint16_t>();
  for (const json& each : read["places"]) {
    const auto place = each.is_string() ? Place::parse(each.get<std::string>()) : std::nullopt;
    if (!place.has_value()) return {};
    home.places.push_back(*place);
  }
  return home;
}

std::vector<Place> placesOf(const std::vector<base::NetworkInterface>& interfaces,
                            std::string_view list, std::string_view family) {
  std::vector<base::NetworkInterface> usable;
  for (const auto& each : interfaces) {
    const bool isWanted = each.isUp && !each.isLoopback && base::isNameChosen(list, each.name) &&
                          isFamilyChosen(family, each.address.ss_family);
    if (isWanted) usable.push_back(each);
  }
  std::stable_sort(usable.begin(), usable.end(), [&](const auto& a, const auto& b) {
    return gradeOf(a, list) < gradeOf(b, list);
  });
  std::vector<Place> places;
  std::set<std::pair<std::string, int>> taken;
  for (const auto& each : usable) {
    const bool isLess = gradeOf(each, list) >= 2 && gradeOf(usable.front(), list) < 2;
    if (isLess || places.size() == kMostPlaces) break;
    if (taken.emplace(each.name, each.address.ss_family).second) places.push_back(placeOf(each));
  }
  return places;
}

Paths pathsBetween(const Home& mine, const Home& theirs, int connections) {
  Paths paths;
  const auto add = [&](const Path& path) {
    for (int k = 0; k < connectionsFor(path, connections); ++k) paths.lanes.push_back(path);
  };
  const bool isOneHost = mine.host == theirs.host;
  if (isOneHost) add({{}, loopback()});
  std::set<std::string> used, reached;
  for (const Place& to : theirs.places) {
    // Two hosts may have the same address, on networks that nobody else sees.
    const bool isOwn = std::any_of(mine.places.begin(), mine.places.end(), [&](const Place& own) {
      return own.family == to.family && own.bytes == to.bytes;
    });
    if (isOwn && !isOneHost) continue;
    paths.fallbacks.push_back({{}, to});
    const auto from = std::find_if(mine.places.begin(), mine.places.end(), [&](const Place& own) {
      return isSameNetwork(own, to) && !used.contains(own.interface);
    });
    if (isOneHost || from == mine.places.end() || reached.contains(to.interface)) continue;
    used.insert(from->interface);
    reached.insert(to.interface);
    add({*from, to});
  }
  return paths;
}

}  // namespace tutti::transports::tcp
