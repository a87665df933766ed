#include "src/plan/store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/fd.h"
#include "src/base/hash.h"
#include "src/base/log.h"
#include "src/base/random.h"
#include "src/plan/plan_file.h"

namespace tutti::plan {
namespace {

constexpr size_t kMostBytes = size_t{64} << 20;

std::string systemText(int error) { return std::generic_category().message(error); }

base::Status unusable(std::string text) {
  return {base::Code::kSystemError, base::kErrInvalidArgument, std::move(text)};
}

base::UniqueFd openDirectory(const std::string& path) {
  return base::UniqueFd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

base::UniqueFd makeDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  mkdir(path.c_str(), S_IRWXU);  // the descriptor says whether it is there
  return openDirectory(path);
}

// O_NONBLOCK: a pipe without a writer must not stop anyone.
base::Result<std::optional<std::string>> readFile(int directory, const std::string& name) {
  const base::UniqueFd file(
      openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file.isOpen() && errno == ENOENT) return std::optional<std::string>();
  if (!file.isOpen() && errno == ELOOP) return unusable("it is a symbolic link");
  if (!file.isOpen()) return unusable(systemText(errno));
  struct stat status;
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return unusable("it is no file");
  if (status.st_uid != geteuid() && status.st_uid != 0) {
    return unusable(fmt::format("it belongs to another user ({})", status.st_uid));
  }
  std::string text;
  std::array<char, 65536> part;
  while (text.size() <= kMostBytes) {
    const ssize_t count = read(file.get(), part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return unusable(systemText(errno));
    if (count == 0) return std::optional<std::string>(std::move(text));
    text.append(part.data(), static_cast<size_t>(count));
  }
  return unusable(fmt::format("it is larger than {} MiB", kMostBytes >> 20));
}

// 0 or errno.
int writeAll(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(file, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    text.remove_prefix(static_cast<size_t>(count));
  }
  return 0;
}

int replaceFile(int directory, const std::string& name, std::string_view text) {
  const std::string fresh = fmt::format(".{}.{:016x}", name, base::random64());
  base::UniqueFd file(
      openat(directory, fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file.isOpen()) return errno;
  int error = writeAll(file.get(), text);
  file.reset();
  if (error == 0 && renameat(directory, fresh.c_str(), directory, name.c_str()) != 0) error = errno;
  if (error != 0) unlinkat(directory, fresh.c_str(), 0);
  return error;
}

uint64_t digestOf(const FabricOptions& options) {
  uint64_t hash = base::kHashSeed;
  for (const int64_t number :
       {int64_t{options.packing.mostTrees}, int64_t{options.packing.mostPerRoot},
        int64_t{options.packing.enoughPermille}, options.packing.mostWork,
        int64_t{options.gapPermille}, int64_t{options.mostForPairs}}) {
    hash = base::hash64(static_cast<uint64_t>(number), hash);
  }
  return hash;
}

std::string defaultDirectory() {
  const std::string cache = base::environmentVariable("XDG_CACHE_HOME").value_or("");
  if (cache.starts_with('/')) return cache + "/tutti";
  const std::string home = base::environmentVariable("HOME").value_or("");
  return home.starts_with('/') ? home + "/.cache/tutti" : "";
}

}  // namespace

PlanStore PlanStore::ofProcess() {
  const auto& config = base::processConfig();
  const std::string& given = config.get(base::param::kCacheDir);
  if (!config.isSet(base::param::kCacheDir)) return PlanStore(defaultDirectory());
  return PlanStore(given == "off" ? "" : given);
}

PlanStore::Place PlanStore::placeOf(const topology::Topology& topology, const Demand& demand,
                                    const FabricOptions& options) {
  const uint64_t fabric = topology.digest();
  const uint64_t settings = digestOf(options);
  const std::string_view collective = ir::name(demand.collective);
  return {fmt::format("planner {} topology {:016x} options {:016x} {} root {}", kPlannerVersion,
                      fabric, settings, collective, demand.root),
          fmt::format("{:016x}-{}-{}-{:08x}.plan", fabric, collective, demand.root,
                      static_cast<uint32_t>(settings))};
}

void PlanStore::giveUp(std::string_view why) {
  TUTTI_LOG_WARN("plans are not kept: directory {} {}; set TUTTI_CACHE_DIR to another, or to off",
                 directory_, why);
  directory_.clear();
}

std::optional<Searched> PlanStore::load(const Place& place, ir::Collective collective) {
  const base::UniqueFd directory = openDirectory(directory_);
  if (!directory.isOpen()) {
    if (errno != ENOENT) giveUp(fmt::format("can not be opened: {}", systemText(errno)));
    return std::nullopt;
  }
  const auto warn = [&](const base::Status& why) {
    TUTTI_LOG_WARN("the kept plan {}/{} is not used: {}; planning again", directory_, place.name,
                   why.text());
    return std::nullopt;
  };
  const auto text = readFile(directory.get(), place.name);
  if (!text.isOk()) return warn(text.status());
  if (!text->has_value()) return std::nullopt;
  auto searched = parsePlanFile(**text, place.key, collective);
  if (!searched.isOk()) return warn(searched.status());
  return searched.take();
}

void PlanStore::save(const Place& place, const Searched& searched) {
  if (directory_.empty()) return;
  const base::UniqueFd directory = makeDirectory(directory_);
  if (!directory.isOpen()) return giveUp(fmt::format("can not be made: {}", systemText(errno)));
  const int error = replaceFile(directory.get(), place.name, toPlanFile(place.key, searched));
  if (error != 0) giveUp(fmt::format("can not be written: {}", systemText(error)));
}

base::Result<FabricPlan> PlanStore::plan(const topology::Topology& topology, const Demand& demand,
                                         uint64_t bytes, const FabricOptions& options) {
  if (directory_.empty() || !demand.weights.empty()) {
    return planFabric(topology, demand, bytes, options);
  }
  const Place place = placeOf(topology, demand, options);
  std::optional<Searched> known = load(place, demand.collective);
  if (known) {
    auto made = planFabric(topology, demand, bytes, options, &*known);
    // It may lack what was not needed when it was kept.
    const Searched used = made.isOk() ? searchedOf(*made) : Searched();
    if (made.isOk() && used.order == known->order &&
        used.packing.trees.size() == known->packing.trees.size()) {
      return made;
    }
    if (!made.isOk()) {
      TUTTI_LOG_WARN("the kept plan {}/{} is not used: {}; planning again", directory_, place.name,
                     made.status().text());
    }
  }
  TUTTI_ASSIGN_OR_RETURN(FabricPlan made, planFabric(topology, demand, bytes, options));
  const Searched searched = searchedOf(made);
  if (!searched.order.empty() || !searched.packing.trees.empty()) save(place, searched);
  return made;
}

}  // namespace tutti::plan
