#include "transports/ofi/provider.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <tuple>

#include "src/base/config.h"

namespace tutti::transports::ofi {
namespace {

std::string_view lowestLayer(std::string_view provider) {
  return provider.substr(0, provider.find(';'));
}

// Of providers that are not listed: hardware that came later, or the like of `lnx`.
constexpr int kUnknown = 10;
constexpr int kLeastFast = 60;

// Larger is faster. Zero: not unless somebody asks for it.
int speedOf(std::string_view provider) {
  struct Kind {
    std::string_view name;
    int speed;
  };
  // Providers of fabrics first, that of plain InfiniBand and RoCE after those that are made for
  // special adapters. What `tcp` is from libfabric 1.18 on is `net` before: it needs half as many
  // system calls as `tcp;ofi_rxm`, which asks receivers before it sends more than 16 KiB.
  static constexpr Kind kKinds[] = {
      {"cxi", 90},    {"efa", 90},   {"opx", 80},         {"psm3", 70},     {"psm2", 70},
      {"gni", 70},    {"verbs", 60}, {"tcp", 40},         {"net", 40},      {"tcp;ofi_rxm", 30},
      {"sockets", 0}, {"udp", 0},    {"net;ofi_rxm", 30}, {"ofi_mrail", 0}, {"shm", 0},
      {"sm2", 0},     {"lnx", 0}};
  // Datagrams made reliable in software: some 10 MB/s.
  if (provider.find("ofi_rxd") != std::string_view::npos) return 0;
  const auto speed = [](std::string_view name) {
    const auto* kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                    [&](const Kind& each) { return each.name == name; });
    return kind == std::end(kKinds) ? -1 : kind->speed;
  };
  const int own = speed(provider);
  const int below = speed(lowestLayer(provider));
  return own >= 0 ? own : below >= 0 ? below : kUnknown;
}

// The place of the provider in the list of those that are wanted, 0 the first.
std::optional<size_t> placeIn(std::string_view list, std::string_view provider) {
  const auto isAllowed = [&](std::string_view words) {
    return base::isAllowedByList(words, provider) ||
           base::isAllowedByList(words, lowestLayer(provider));
  };
  if (list.empty()) return 0;
  if (list.front() == '^') {
    const bool isForbidden = list.size() > 1 && isAllowed(list.substr(1));
    return isForbidden ? std::nullopt : std::optional<size_t>(0);
  }
  size_t place = 0;
  for (size_t begin = 0; begin <= list.size(); ++place) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string_view word = list.substr(begin, end - begin);
    if (!word.empty() && isAllowed(word)) return place;
    begin = end + 1;
  }
  return std::nullopt;
}

size_t placeOf(std::span<const std::string> addresses, const std::string& address) {
  return static_cast<size_t>(std::find(addresses.begin(), addresses.end(), address) -
                             addresses.begin());
}

}  // namespace

std::optional<size_t> choose(std::span<const Offer> offers, std::string_view list,
                             std::span<const std::string> addresses) {
  // Smaller is better: place in the list, speed, layers, interface, libfabric's own order.
  using Rating = std::tuple<size_t, int, std::ptrdiff_t, size_t, size_t>;
  std::optional<Rating> best;
  const bool isAsked = !list.empty() && list.front() != '^';
  for (size_t i = 0; i < offers.size(); ++i) {
    const Offer& offer = offers[i];
    const auto place = placeIn(list, offer.provider);
    const int speed = speedOf(offer.provider);
    if (!place || (speed == 0 && !isAsked)) continue;
    const auto layers = std::count(offer.provider.begin(), offer.provider.end(), ';');
    const Rating rating{*place, -speed, layers, placeOf(addresses, offer.address), i};
    if (!best || rating < *best) best = rating;
  }
  if (!best) return std::nullopt;
  return std::get<4>(*best);
}

bool isOneName(std::string_view list) {
  return !list.empty() && list.front() != '^' && list.find(',') == std::string_view::npos;
}

std::string namesOf(std::span<const Offer> offers) {
  std::vector<std::string_view> seen;
  std::string text;
  for (const Offer& offer : offers) {
    if (std::find(seen.begin(), seen.end(), offer.provider) != seen.end()) continue;
    seen.push_back(offer.provider);
    text += (text.empty() ? "" : ", ") + offer.provider;
  }
  return text.empty() ? "none" : text;
}

bool isFast(std::string_view provider) { return speedOf(provider) >= kLeastFast; }

bool staysWithinHost(std::string_view provider) {
  return lowestLayer(provider) == "shm" || lowestLayer(provider) == "sm2";
}

uint64_t tagOf(const Cookie& cookie, uint64_t format) {
  uint64_t tag = 0;
  std::memcpy(&tag, cookie.data(), sizeof(tag));
  return format == 0 ? 0 : tag & (~uint64_t{0} >> std::countl_zero(format));
}

}  // namespace tutti::transports::ofi
