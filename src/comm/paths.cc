#include "src/comm/paths.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/log.h"
#include "src/bootstrap/interfaces.h"

namespace tutti::comm {

using base::Code;
using base::Status;
using nlohmann::json;
using transports::Backend;
using transports::ContextOptions;

namespace {

// What TUTTI_ENCRYPT adds to the preference of a network that encrypts.
constexpr int kEncrypts = 100;

bool isEncryptionWanted() { return base::processConfig().get(base::param::kEncrypt); }

// NCCL's words for its own two.
std::string networkName(const std::string& given) {
  if (given == "Socket" || given == "socket") return "tcp";
  return given == "IB" || given == "ib" ? "ucx" : given;
}

// By its folder's name; other names are asked of all.
bool isMeant(const Backend& backend, const std::string& network) {
  const auto all = transports::builtinBackends();
  const bool isFolder = std::any_of(all.begin(), all.end(),
                                    [&](const auto* each) { return each->name() == network; });
  return isFolder ? network == backend.name() : backend.answersTo(network);
}

bool isTransportAllowed(const Backend& backend) {
  const auto& config = base::processConfig();
  if (backend.name() == "shm" && config.get(base::param::kShmDisable)) return false;
  const std::string network = networkName(config.get(base::param::kNet));
  if (backend.isNetwork() && !network.empty() && !isMeant(backend, network)) return false;
  return base::isAllowedByList(config.get(base::param::kTransports), backend.name());
}

int extraFor(const Backend& backend) {
  return isEncryptionWanted() && backend.canEncrypt() ? kEncrypts : 0;
}

int preferenceOf(const Backend& backend) { return backend.preference() + extraFor(backend); }

// The addresses of this host, with port 0.
std::vector<std::string> ownAddresses() {
  std::vector<std::string> addresses;
  const auto interfaces = bootstrap::listInterfaces();
  if (!interfaces.isOk()) return addresses;
  for (const auto& interface : *interfaces) {
    if (interface.isUp && !interface.address.isLoopback()) {
      addresses.push_back(interface.address.toString());
    }
  }
  return addresses;
}

json asJson(const Offer& offer) {
  return {{"descriptor", offer.descriptor}, {"address", offer.address},
          {"preference", offer.preference}, {"reach", static_cast<int>(offer.reach)},
          {"isNetwork", offer.isNetwork},   {"isIntroduced", offer.isIntroduced}};
}

Offer offerOf(const json& theirs) {
  Offer offer;
  offer.descriptor = theirs.value("descriptor", "");
  offer.address = theirs.value("address", "");
  offer.preference = theirs.value("preference", 0);
  offer.reach = static_cast<ir::Reach>(theirs.value("reach", 0));
  offer.isNetwork = theirs.value("isNetwork", false);
  offer.isIntroduced = theirs.value("isIntroduced", false);
  return offer;
}

}  // namespace

Status foreignVersion(ir::Rank rank, std::string_view what) {
  return {Code::kInvalidUsage, base::kErrLibraryMismatch,
          fmt::format("rank {} sent {} that this version ({}) does not understand; use one version "
                      "of Tutti on all ranks",
                      rank, what, TUTTI_VERSION_TEXT)};
}

bool Paths::open(const Backend& backend, const ContextOptions& options) {
  auto context = backend.open(options);
  if (!context.isOk()) {
    TUTTI_LOG_INFO(kInit, "transport {} is not usable: {}", backend.name(),
                   context.status().toString());
    return false;
  }
  Open& made = open_.emplace_back(Open{&backend, context.take(), {}});
  made.offer.descriptor = made.context->descriptor();
  made.offer.address = made.context->address();
  made.offer.preference = made.context->preference(backend.preference()) + extraFor(backend);
  made.offer.reach = made.context->reach();
  made.offer.isNetwork = backend.isNetwork();
  made.offer.isIntroduced = made.context->wantsIntroductions();
  return true;
}

void Paths::openLocal(const ContextOptions& options) {
  for (const auto* backend : transports::builtinBackends()) {
    if (!backend->isNetwork() && isTransportAllowed(*backend)) open(*backend, options);
  }
}

std::vector<const Backend*> allowedNetworks() {
  std::vector<const Backend*> networks;
  for (const auto* backend : transports::builtinBackends()) {
    if (backend->isNetwork() && isTransportAllowed(*backend)) networks.push_back(backend);
  }
  std::stable_sort(networks.begin(), networks.end(), [](const auto* a, const auto* b) {
    return preferenceOf(*a) > preferenceOf(*b);
  });
  return networks;
}

// The best of the networks that were not tried before; null: none is left.
const Backend* Paths::nextNetwork() const {
  for (const auto* backend : allowedNetworks()) {
    if (std::find(tried_.begin(), tried_.end(), backend) == tried_.end()) return backend;
  }
  return nullptr;
}

void Paths::openNext(const ContextOptions& options) {
  bool isOpened = false;
  while (!isOpened) {
    const Backend* next = nextNetwork();
    if (next == nullptr) return;
    tried_.push_back(next);
    isOpened = open(*next, options);
  }
}

json Paths::offersAsJson() const {
  json offers = json::object();
  for (const Open& each : open_) offers[each.backend->name()] = asJson(each.offer);
  const Backend* next = nextNetwork();
  return {{"offers", offers}, {"next", next == nullptr ? 0 : preferenceOf(*next)}};
}

bool Paths::learnOffers(Known& known, const json& theirs) const {
  if (!theirs.is_object()) return false;
  known.offers.clear();
  const json offers = theirs.value("offers", json::object());
  for (const auto& [name, offer] : offers.items()) {
    if (!offer.is_object()) return false;
    known.offers.emplace(name, offerOf(offer));
  }
  known.next = theirs.value("next", 0);
  return true;
}

json Paths::introduction() const {
  json all = offersAsJson();
  all["hostAddresses"] = ownAddresses();
  return all;
}

bool Paths::learn(const json& theirs) {
  Known& known = known_.emplace_back();
  if (!learnOffers(known, theirs)) return false;
  known.hostAddresses = theirs.value("hostAddresses", std::vector<std::string>{});
  return true;
}

const Paths::Open* Paths::find(std::string_view name) const {
  const auto at = std::find_if(open_.begin(), open_.end(),
                               [&](const Open& each) { return each.backend->name() == name; });
  return at == open_.end() ? nullptr : &*at;
}

Path Paths::best(ir::Rank a, ir::Rank b) const {
  Path best;
  const auto& others = known_[static_cast<size_t>(b)].offers;
  for (const auto& [name, first] : known_[static_cast<size_t>(a)].offers) {
    const auto at = others.find(name);
    if (at == others.end()) continue;
    const Offer& second = at->second;
    // This rank's own view where it has one; otherwise the rule every transport keeps: descriptors
    // of ranks that reach each other are equal.
    const Open* mine = a == rank_ || b == rank_ ? find(name) : nullptr;
    const bool canReach = mine == nullptr
                              ? first.descriptor == second.descriptor
                              : mine->context->canReach((a == rank_ ? second : first).descriptor);
    const int preference = std::min(first.preference, second.preference);
    if (!canReach || (best.isOpen() && preference <= best.preference)) continue;
    best = {name, preference, first.reach, first.isNetwork};
  }
  return best;
}

// Has the rank a network that may serve one of its peers better than what does so far?
bool Paths::wantsMore(ir::Rank rank) const {
  const int next = known_[static_cast<size_t>(rank)].next;
  if (next == 0) return false;
  for (ir::Rank peer = 0; peer < size(); ++peer) {
    if (peer == rank) continue;
    const Path path = best(rank, peer);
    if (!path.isOpen() || (path.isNetwork && path.preference < next)) return true;
  }
  return false;
}

bool Paths::isAnyWanting() const {
  for (ir::Rank rank = 0; rank < size(); ++rank) {
    if (wantsMore(rank)) return true;
  }
  return false;
}

// Is there a peer that this rank does not reach within its host?
bool Paths::needsNetworks() const {
  for (ir::Rank peer = 0; peer < size(); ++peer) {
    if (peer != rank_ && !best(rank_, peer).isOpen()) return true;
  }
  return false;
}

// Whence those come who reach this rank over networks only.
std::vector<std::string> Paths::peerHosts() const {
  std::vector<std::string> hosts;
  const auto& own = known_[static_cast<size_t>(rank_)].hostAddresses;
  for (ir::Rank peer = 0; peer < size(); ++peer) {
    if (peer == rank_ || best(rank_, peer).isOpen()) continue;
    const auto& theirs = known_[static_cast<size_t>(peer)].hostAddresses;
    hosts.insert(hosts.end(), theirs.begin(), theirs.end());
    if (theirs != own) continue;
    hosts.insert(hosts.end(), {"127.0.0.1:0", "[::1]:0"});
  }
  return hosts;
}

Status Paths::exchangeOffers(bootstrap::ControlPlane& control) {
  TUTTI_ASSIGN_OR_RETURN(const auto all, control.allGather(offersAsJson().dump()));
  for (ir::Rank rank = 0; rank < size(); ++rank) {
    const json theirs = json::parse(all[static_cast<size_t>(rank)], nullptr, false);
    if (!learnOffers(known_[static_cast<size_t>(rank)], theirs)) {
      return foreignVersion(rank, "network addresses");
    }
  }
  return {};
}

Status Paths::checkWanted() const {
  const std::string& wanted = base::processConfig().get(base::param::kNet);
  const bool hasNetwork = std::any_of(open_.begin(), open_.end(),
                                      [](const Open& each) { return each.offer.isNetwork; });
  if (wanted.empty() || hasNetwork) return {};
  std::string names;
  for (const auto* backend : transports::builtinBackends()) {
    if (backend->isNetwork()) names += fmt::format(" {}", backend->name());
  }
  return {Code::kInvalidUsage, base::kErrNoTransport,
          fmt::format("TUTTI_NET={} (or NCCL_NET) is no network transport that can be used here; "
                      "this build has{}; tutti info says why one is not usable",
                      wanted, names)};
}

Status Paths::openNetworks(bootstrap::ControlPlane& control, ContextOptions options) {
  const bool isNeeded = needsNetworks();
  options.peerHosts = peerHosts();
  // Control connections came about by the same addresses, so there are some.
  if (const auto addresses = bootstrap::addressesToOffer(); isNeeded && addresses.isOk()) {
    for (const auto& address : *addresses) options.addresses.push_back(address.host());
  }
  while (isAnyWanting()) {
    if (wantsMore(rank_)) openNext(options);
    TUTTI_RETURN_IF_ERROR(exchangeOffers(control));
  }
  return isNeeded ? checkWanted() : Status{};
}

base::Result<std::unique_ptr<transports::Connection>> Paths::connect(ir::Rank peer) {
  const std::string name = best(rank_, peer).name;
  const auto& address = known_[static_cast<size_t>(peer)].offers.at(name).address;
  return find(name)->context->connect(peer, address);
}

// Does any pair go over a transport that wants it?
bool Paths::isIntroducing() const {
  for (ir::Rank a = 0; a < size(); ++a) {
    for (ir::Rank b = 0; b < size(); ++b) {
      const Path path = a == b ? Path{} : best(a, b);
      if (path.isOpen() && known_[static_cast<size_t>(a)].offers.at(path.name).isIntroduced) {
        return true;
      }
    }
  }
  return false;
}

Status Paths::introduce(bootstrap::ControlPlane& control) {
  std::erase_if(open_, [&](const Open& each) {
    bool isUsed = !each.offer.isNetwork;
    for (ir::Rank peer = 0; peer < size() && !isUsed; ++peer) {
      isUsed = peer != rank_ && best(rank_, peer).name == each.backend->name();
    }
    return !isUsed;
  });
  if (!isIntroducing()) return {};
  json mine = json::object();
  for (const Open& each : open_) {
    if (each.offer.isIntroduced) mine[each.backend->name()] = each.context->introductions();
  }
  TUTTI_ASSIGN_OR_RETURN(const auto all, control.allGather(mine.dump()));
  std::map<std::string, std::vector<std::string>> toMe;  // by transport, then by rank
  for (ir::Rank rank = 0; rank < size(); ++rank) {
    const json theirs = json::parse(all[static_cast<size_t>(rank)], nullptr, false);
    if (!theirs.is_object()) return foreignVersion(rank, "introductions");
    for (const Open& each : open_) {
      const std::string name(each.backend->name());
      const auto texts = theirs.value(name, std::vector<std::string>{});
      const bool hasText = texts.size() == known_.size();
      toMe[name].push_back(hasText ? texts[static_cast<size_t>(rank_)] : "");
    }
  }
  for (const Open& each : open_) {
    if (each.offer.isIntroduced) each.context->admit(toMe[std::string(each.backend->name())]);
  }
  return {};
}

std::vector<transports::Driver*> Paths::drivers() const {
  std::vector<transports::Driver*> drivers;
  for (const Open& each : open_) {
    if (auto* driver = each.context->driver(); driver != nullptr) drivers.push_back(driver);
  }
  return drivers;
}

std::string Paths::names() const {
  std::vector<std::string_view> names;
  for (const Open& each : open_) names.push_back(each.backend->name());
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string Paths::plainNetwork(ir::Rank& peer) const {
  if (!isEncryptionWanted()) return {};
  for (peer = 0; peer < size(); ++peer) {
    const Path path = peer == rank_ ? Path{} : best(rank_, peer);
    if (path.isNetwork && !find(path.name)->backend->canEncrypt()) return path.name;
  }
  return {};
}

// The networks that might have been used, by what is to say of them.
std::string Paths::passedOver(const std::map<std::string, int>& used) const {
  std::map<std::string, std::vector<std::string_view>> others;
  for (const auto* backend : allowedNetworks()) {
    const bool isUsed = used.contains(std::string(backend->name()));
    if (!isUsed) others[backend->note()].push_back(backend->name());
  }
  std::vector<std::string> texts;
  for (const auto& [note, names] : others) {
    texts.push_back(fmt::format("{}{}{}", fmt::join(names, ", "), note.empty() ? "" : ": ", note));
  }
  return fmt::format("{}", fmt::join(texts, "; "));
}

std::string Paths::text() const {
  std::map<std::string, int> pairs;
  bool isOverNetwork = false;
  for (ir::Rank a = 0; a < size(); ++a) {
    for (ir::Rank b = a + 1; b < size(); ++b) {
      const Path path = best(a, b);
      ++pairs[path.name];
      isOverNetwork |= path.isNetwork;
    }
  }
  std::string text;
  for (const auto& [name, count] : pairs) {
    const bool isFirst = text.empty();
    text += fmt::format("{}{}{} over {}", isFirst ? "" : ", ", count,
                        !isFirst ? "" : (count == 1 ? " pair" : " pairs"), name);
  }
  if (text.empty()) return "no peers";
  if (!isOverNetwork) return text;
  if (const auto others = passedOver(pairs); !others.empty()) {
    text += fmt::format(" (rather than {})", others);
  }
  const std::string& wanted = base::processConfig().get(base::param::kNet);
  if (!wanted.empty()) text += fmt::format(" (as TUTTI_NET={} says)", wanted);
  return text;
}

}  // namespace tutti::comm
