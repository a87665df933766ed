#include "src/comm/process.h"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "src/base/log.h"
#include "src/base/words.h"
#include "src/device/registry.h"
#include "src/plan/plan.h"

namespace tutti::comm {

base::Result<UniqueId> createUniqueId() { return bootstrap::createUniqueId(); }
base::Result<UniqueId> createServedId() {
  warnOfSettings();
  return bootstrap::createServedId();
}

base::Result<LauncherInfo> detectLauncher() { return bootstrap::detectLauncher(); }

base::Result<UniqueId> launcherUniqueId(const LauncherInfo& info, std::string_view tag) {
  return bootstrap::launcherUniqueId(info, tag);
}

std::string wrongSetting(const base::Config& config) {
  const std::string& name = config.get(base::param::kAlgo);
  if (name.empty()) return {};
  std::vector<std::string_view> known;
  for (int i = 0; i < ir::kCollectiveCount; ++i) {
    for (const auto each : plan::algorithmsFor(static_cast<ir::Collective>(i))) {
      if (std::find(known.begin(), known.end(), each) == known.end()) known.push_back(each);
    }
  }
  if (std::find(known.begin(), known.end(), name) != known.end()) return {};
  std::string lower = name;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto meant = base::nearestWord(lower, known);
  return fmt::format("{}: no algorithm is called \"{}\", so the choice is free{}; known are {}",
                     config.at(base::param::kAlgo).origin, name,
                     meant.empty() ? "" : fmt::format(" (did you mean {}?)", meant),
                     fmt::join(known, ", "));
}

void warnOfSettings() {
  static std::atomic<bool> isDone{false};
  if (isDone.exchange(true)) return;
  const std::string wrong = wrongSetting(base::processConfig());
  if (!wrong.empty()) TUTTI_LOG_WARN("{}", wrong);
}

base::Result<std::shared_ptr<device::Device>> processDevice() {
  static auto* const opened = new base::Result<std::shared_ptr<device::Device>>(
      device::openDevice("host", device::builtinBackends()));
  return *opened;
}

}  // namespace tutti::comm
