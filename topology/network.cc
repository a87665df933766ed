#include "topology/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "src/base/errors.h"
#include "topology/decimal.h"
#include "topology/graph.h"

namespace tutti::topology {
namespace {

using base::Status;

struct Unit {
  std::string_view name;
  int power;  // of ten, to the target unit times `divisor`
  int64_t divisor;
};

// To kB/s. A bit is an eighth of a byte.
constexpr Unit kRateUnits[] = {{"", 6, 1},      {"GB", 6, 1},    {"MB", 3, 1},    {"TB", 9, 1},
                               {"Gb", 9, 8000}, {"Mb", 6, 8000}, {"Tb", 12, 8000}};
constexpr Unit kTimeUnits[] = {{"ns", 0, 1}, {"us", 3, 1}, {"ms", 6, 1}, {"s", 9, 1}};

Status failure(std::string text) {
  return {base::Code::kInvalidArgument, base::kErrInvalidArgument, std::move(text)};
}

std::optional<int64_t> parseWithUnit(std::string_view text, std::span<const Unit> units) {
  const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view name = text.substr(digits);
  const auto unit =
      std::find_if(units.begin(), units.end(), [&](const Unit& each) { return each.name == name; });
  if (unit == units.end()) return {};
  const auto scaled = scaleDecimal(text.substr(0, digits), unit->power);
  if (!scaled) return {};
  return scaled->value / unit->divisor;
}

std::optional<int64_t> parseRate(std::string_view text) {
  if (text.ends_with("/s")) text.remove_suffix(2);
  if (text.ends_with("ps") || text.ends_with("it")) text.remove_suffix(2);  // Gbps, Gbit
  const auto rate = parseWithUnit(text, kRateUnits);
  return rate && *rate >= 1 && *rate <= kMostCapacity ? rate : std::nullopt;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

constexpr bool isUpper(char c) { return c >= 'A' && c <= 'Z'; }

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  base::Result<NetworkSpec> run() {
    const size_t colon = std::min(text_.find(':'), text_.size());
    constexpr std::pair<std::string_view, NetworkKind> kKinds[] = {{"star", NetworkKind::kStar},
                                                                   {"rails", NetworkKind::kRails},
                                                                   {"fat", NetworkKind::kFat},
                                                                   {"wan", NetworkKind::kWan}};
    const auto kind = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const auto& each) {
      return each.first == text_.substr(0, colon);
    });
    if (kind == std::end(kKinds)) {
      return refuse("must begin with star, rails, fat or wan: for example star:50");
    }
    spec_.kind = kind->second;
    constexpr int64_t kWanLatencyNs = 10'000'000;
    if (spec_.kind == NetworkKind::kWan) spec_.latencyNs = kWanLatencyNs;
    const std::string_view rest = text_.substr(std::min(colon + 1, text_.size()));
    const bool isPositional = rest.find(':') != std::string_view::npos;
    TUTTI_RETURN_IF_ERROR(isPositional ? takeShort(rest) : takeItems(rest));
    TUTTI_RETURN_IF_ERROR(checkWhole());
    return std::move(spec_);
  }

 private:
  Status refuse(std::string_view cause) const {
    return failure(fmt::format("the network \"{:.200}\" {}", text_, cause));
  }

  Status takeItems(std::string_view rest) {
    for (const std::string_view item : split(rest, ',')) {
      const size_t equals = item.find('=');
      if (equals == std::string_view::npos) {
        TUTTI_RETURN_IF_ERROR(takeRate("nic", item, spec_.nicCapacity));
      } else {
        TUTTI_RETURN_IF_ERROR(takeOption(item.substr(0, equals), item.substr(equals + 1)));
      }
    }
    return Status::ok();
  }

  // fat:LEAF:NIC:UP
  Status takeShort(std::string_view rest) {
    const auto parts = split(rest, ':');
    if (spec_.kind != NetworkKind::kFat || parts.size() != 3) {
      return refuse("has a colon too many: options are separated by commas, nic=50,latency=2us");
    }
    TUTTI_RETURN_IF_ERROR(takeLeaf(parts[0]));
    TUTTI_RETURN_IF_ERROR(takeRate("nic", parts[1], spec_.nicCapacity));
    return takeRate("up", parts[2], spec_.upCapacity);
  }

  Status takeRate(std::string_view key, std::string_view value, int64_t& rate) {
    const auto parsed = parseRate(value);
    if (!parsed) {
      return refuse(fmt::format("has {}={:.60}, which is no rate: 50 (GB/s), 12.5GB, 400Gb, 100Mb",
                                key, value));
    }
    rate = *parsed;
    return Status::ok();
  }

  Status takeLeaf(std::string_view value) {
    const auto count = scaleDecimal(value, 0);
    if (!count || !count->isExact || count->value < 1 || count->value > 1'000'000) {
      return refuse(fmt::format("has leaf={:.60}, which is no number of machines", value));
    }
    spec_.leafMachines = static_cast<int32_t>(count->value);
    return Status::ok();
  }

  Status takeOption(std::string_view key, std::string_view value) {
    if (key == "nic") return takeRate(key, value, spec_.nicCapacity);
    if (key == "latency") return takeLatency(value);
    const bool hasUp = spec_.kind == NetworkKind::kFat || spec_.kind == NetworkKind::kRails;
    if (key == "up" && hasUp) return takeRate(key, value, spec_.upCapacity);
    if (key == "leaf" && spec_.kind == NetworkKind::kFat) return takeLeaf(value);
    if (key == "over" && spec_.kind == NetworkKind::kFat) return takeOver(value);
    if (spec_.kind == NetworkKind::kWan) return takeSites(key, value);
    return refuse(fmt::format("has no use for \"{:.60}\": its options are nic, latency{}", key,
                              spec_.kind == NetworkKind::kFat     ? ", leaf, up, over"
                              : spec_.kind == NetworkKind::kRails ? ", up"
                                                                  : ""));
  }

  Status takeLatency(std::string_view value) {
    const auto latency = parseWithUnit(value, kTimeUnits);
    if (!latency || *latency > kMostLatencyNs) {
      return refuse(fmt::format("has latency={:.60}, which is no time: 300ns, 5us, 20ms", value));
    }
    spec_.latencyNs = *latency;
    return Status::ok();
  }

  Status takeOver(std::string_view value) {
    const auto over = scaleDecimal(value, 3);
    if (!over || over->value < 1 || over->value > 1'000'000'000) {
      return refuse(fmt::format("has over={:.60}, which is no ratio: 1, 1.5, 4", value));
    }
    spec_.over = over->value;
    return Status::ok();
  }

  int32_t site(std::string_view name) {
    const auto found = std::find(spec_.sites.begin(), spec_.sites.end(), name);
    const auto index = static_cast<int32_t>(found - spec_.sites.begin());
    if (found == spec_.sites.end()) spec_.sites.emplace_back(name);
    return index;
  }

  // AB: two sites of one letter each; oslo-rome: two with names; any other: one, and the core.
  Status takeSites(std::string_view key, std::string_view value) {
    const bool isShort = key.size() == 2 && isUpper(key[0]) && isUpper(key[1]);
    const size_t dash = key.find('-');
    const bool isPair = isShort || dash != std::string_view::npos;
    const std::string_view a = isShort ? key.substr(0, 1) : key.substr(0, dash);
    const std::string_view b = isShort ? key.substr(1) : isPair ? key.substr(dash + 1) : "";
    if (a.empty() || (isPair && (b.empty() || a == b))) {
      return refuse(fmt::format("joins \"{:.60}\", which is no pair of sites: AB, oslo-rome", key));
    }
    SiteLink link{.a = site(a), .b = isPair ? site(b) : kCore, .capacity = 0};
    TUTTI_RETURN_IF_ERROR(takeRate(key, value, link.capacity));
    spec_.siteLinks.push_back(link);
    return Status::ok();
  }

  Status checkWhole() const {
    if (spec_.kind == NetworkKind::kFat) {
      if (spec_.leafMachines == 0) {
        return refuse("needs the number of machines at a leaf switch: fat:leaf=8,over=2");
      }
      if ((spec_.upCapacity == 0) == (spec_.over == 0)) {
        return refuse("needs either up=RATE of a leaf or over=RATIO: fat:leaf=8,over=2");
      }
    }
    if (spec_.kind == NetworkKind::kWan && spec_.siteLinks.empty()) {
      return refuse("needs links between sites: wan:AB=10Gb,BC=40Gb,CA=100Gb");
    }
    return Status::ok();
  }

  std::string_view text_;
  NetworkSpec spec_;
};

}  // namespace

base::Result<NetworkSpec> parseNetwork(std::string_view text) { return Parser(text).run(); }

std::string toString(const NetworkSpec& network) {
  const std::string nic =
      network.nicCapacity == 0
          ? "each NIC at its own speed"
          : fmt::format("{} GB/s for each NIC", gigabytesText(network.nicCapacity));
  const std::string up = network.over != 0
                             ? fmt::format("{} to 1", decimalText(network.over, 3))
                             : fmt::format("{} GB/s each", gigabytesText(network.upCapacity));
  switch (network.kind) {
    case NetworkKind::kStar: return fmt::format("one switch, {}", nic);
    case NetworkKind::kRails:
      if (network.upCapacity == 0) return fmt::format("rails, {}", nic);
      return fmt::format("rails joined by a core ({}), {}", up, nic);
    case NetworkKind::kFat:
      return fmt::format("a fat tree with {} machines at a leaf (up {}), {}", network.leafMachines,
                         up, nic);
    case NetworkKind::kWan: break;
  }
  std::vector<std::string> links;
  for (const SiteLink& link : network.siteLinks) {
    links.push_back(
        fmt::format("{}-{} {} GB/s", network.sites[static_cast<size_t>(link.a)],
                    link.b == kCore ? "core" : network.sites[static_cast<size_t>(link.b)],
                    gigabytesText(link.capacity)));
  }
  return fmt::format("sites {}, {}", fmt::join(links, ", "), nic);
}

}  // namespace tutti::topology
