#include "src/comm/measurements.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>
#include <utility>

#include "src/base/config.h"
#include "src/base/hash.h"
#include "src/base/host.h"
#include "src/base/kept_files.h"
#include "src/base/log.h"
#include "src/base/read_file.h"
#include "src/bootstrap/interfaces.h"

namespace tutti::comm {

using nlohmann::json;

namespace {

constexpr int kFormat = 1;
constexpr size_t kMostSpeedBytes = 64;

int64_t unixSeconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// 0 where it is none.
int64_t wholeNumber(const json& object, const char* key) {
  if (!object.is_object() || !object.contains(key)) return 0;
  const json& value = object[key];
  return value.is_number_integer() ? value.get<int64_t>() : 0;
}

// `place[i]`: where host i of the table is in the wanted order; host-major tables of both kinds.
std::vector<int64_t> reordered(const std::vector<int64_t>& table,
                               const std::vector<size_t>& place) {
  const size_t count = place.size();
  std::vector<int64_t> result(table.size());
  for (size_t i = 0; i < count; ++i) {
    if (table.size() == count) {
      result[place[i]] = table[i];
      continue;
    }
    for (size_t k = 0; k < count; ++k) {
      result[place[i] * count + place[k]] = table[i * count + k];
    }
  }
  return result;
}

// Islands are listed by their first host, and hosts within them.
void reorderIslands(topology::MeasuredIslands& islands, const std::vector<size_t>& place) {
  for (auto& members : islands.islands) {
    for (int& host : members) host = static_cast<int>(place.at(static_cast<size_t>(host)));
    std::sort(members.begin(), members.end());
  }
  std::vector<std::pair<int, size_t>> order;
  for (size_t i = 0; i < islands.islands.size(); ++i) {
    order.emplace_back(islands.islands[i].at(0), i);
  }
  std::sort(order.begin(), order.end());
  std::vector<size_t> islandPlace(order.size());
  std::vector<std::vector<int>> lists(order.size());
  for (size_t to = 0; to < order.size(); ++to) {
    islandPlace[order[to].second] = to;
    lists[to] = std::move(islands.islands[order[to].second]);
  }
  islands.islands = std::move(lists);
  for (auto* table : {&islands.between, &islands.out, &islands.in}) {
    *table = reordered(*table, islandPlace);
  }
}

bool areTables(const topology::MeasuredHosts& hosts, size_t count) {
  const auto areRates = [](const std::vector<int64_t>& table, size_t size) {
    return table.size() == size &&
           std::all_of(table.begin(), table.end(), [](int64_t value) { return value >= 0; });
  };
  return areRates(hosts.latencyNs, count * count) && areRates(hosts.pair, count * count) &&
         areRates(hosts.out, count) && areRates(hosts.in, count) && areRates(hosts.kept, count);
}

// Each host is on one island.
bool areIslands(const topology::MeasuredIslands& islands, size_t hosts) {
  const size_t count = islands.islands.size();
  std::set<int> seen;
  size_t members = 0;
  for (const auto& list : islands.islands) {
    if (list.empty()) return false;
    for (const int host : list) seen.insert(host);
    members += list.size();
  }
  const bool areAll = members == hosts && seen.size() == hosts && *seen.begin() == 0 &&
                      *seen.rbegin() == static_cast<int>(hosts) - 1;
  return areAll && islands.between.size() == count * count && islands.out.size() == count &&
         islands.in.size() == count;
}

}  // namespace

std::string networkIdentity() {
  std::string text = base::hostIdentity();
  std::set<std::string> names;
  if (const auto interfaces = bootstrap::listInterfaces(); interfaces.isOk()) {
    for (const auto& each : *interfaces) {
      if (each.isUp) names.insert(each.name);
    }
  }
  for (const std::string& name : names) {
    const auto speed =
        base::readFile(fmt::format("/sys/class/net/{}/speed", name), kMostSpeedBytes, "speed");
    text += fmt::format(" {}:{}", name, speed.isOk() ? *speed : "?");
  }
  const auto& config = base::processConfig();
  text += fmt::format(" {} {} {} {}", config.get(base::param::kTransports),
                      config.get(base::param::kSocketIfname), config.get(base::param::kUcxTls),
                      config.get(base::param::kNetWindow));
  return fmt::format("{:016x}", base::hash64(text, base::kHashSeed));
}

Measurements::Measurements(std::string directory, const std::vector<std::string>& hosts)
    : directory_(std::move(directory)), hosts_(hosts) {
  std::vector<std::string> sorted = hosts;
  std::sort(sorted.begin(), sorted.end());
  uint64_t digest = base::kHashSeed;
  for (const std::string& host : sorted) digest = base::hash64(host, digest);
  name_ = fmt::format("measured-{:016x}.json", digest);
}

std::string Measurements::load(std::chrono::seconds most) const {
  if (directory_.empty() || most.count() <= 0) return {};
  const base::UniqueFd directory = base::openDirectory(directory_);
  if (!directory.isOpen()) return {};
  const auto text = base::readKeptFile(directory.get(), name_);
  if (!text.isOk()) {
    TUTTI_LOG_WARN("the kept measurement {}/{} is not used: {}; measuring again", directory_, name_,
                   text.status().text());
    return {};
  }
  if (!text->has_value()) return {};
  const json all = json::parse(**text, nullptr, false);
  const int64_t age = unixSeconds() - wholeNumber(all, "at");
  if (age < 0 || age > most.count() || !parse(**text)) return {};
  TUTTI_LOG_INFO(kGraph,
                 "what was measured {} s ago is used, from {}/{}; TUTTI_PROBE_AGE=0 "
                 "measures anew",
                 age, directory_, name_);
  return **text;
}

void Measurements::save(const Measurement& measurement) const {
  if (directory_.empty()) return;
  const auto& hosts = measurement.hosts;
  const auto& islands = measurement.islands;
  const json all = {{"format", kFormat},
                    {"at", unixSeconds()},
                    {"ids", hosts_},
                    {"latency_ns", hosts.latencyNs},
                    {"pair", hosts.pair},
                    {"out", hosts.out},
                    {"in", hosts.in},
                    {"kept", hosts.kept},
                    {"islands", islands.islands},
                    {"between", islands.between},
                    {"islands_out", islands.out},
                    {"islands_in", islands.in}};
  const base::UniqueFd directory = base::makeDirectory(directory_);
  const int error =
      directory.isOpen() ? base::replaceKeptFile(directory.get(), name_, all.dump(1)) : errno;
  if (error == 0) return;
  TUTTI_LOG_WARN(
      "what was measured is not kept in {}: {}; set TUTTI_CACHE_DIR to another, or to off",
      directory_, std::generic_category().message(error));
}

void Measurements::forget() const {
  const base::UniqueFd directory = base::openDirectory(directory_);
  if (directory.isOpen()) unlinkat(directory.get(), name_.c_str(), 0);
}

std::optional<Measurement> Measurements::parse(std::string_view text) const {
  const json all = json::parse(text, nullptr, false);
  if (wholeNumber(all, "format") != kFormat) return {};
  try {
    const auto ids = all.at("ids").get<std::vector<std::string>>();
    std::vector<size_t> place;
    for (const std::string& id : ids) {
      const auto found = std::find(hosts_.begin(), hosts_.end(), id);
      if (found == hosts_.end()) return {};
      place.push_back(static_cast<size_t>(found - hosts_.begin()));
    }
    const std::set<size_t> places(place.begin(), place.end());
    if (place.size() != hosts_.size() || places.size() != place.size()) return {};
    Measurement result;
    const auto read = [&](const char* key, std::vector<int64_t>& table) {
      table = all.at(key).get<std::vector<int64_t>>();
    };
    read("latency_ns", result.hosts.latencyNs);
    read("pair", result.hosts.pair);
    read("out", result.hosts.out);
    read("in", result.hosts.in);
    read("kept", result.hosts.kept);
    read("between", result.islands.between);
    read("islands_out", result.islands.out);
    read("islands_in", result.islands.in);
    result.islands.islands = all.at("islands").get<std::vector<std::vector<int>>>();
    if (!areTables(result.hosts, ids.size()) || !areIslands(result.islands, ids.size())) return {};
    auto& hosts = result.hosts;
    for (auto* table : {&hosts.latencyNs, &hosts.pair, &hosts.out, &hosts.in, &hosts.kept}) {
      *table = reordered(*table, place);
    }
    reorderIslands(result.islands, place);
    return result;
  } catch (const json::exception&) {
    return {};
  }
}

}  // namespace tutti::comm
