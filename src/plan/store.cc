#include "src/plan/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "src/base/errors.h"
#include "src/base/fd.h"
#include "src/base/hash.h"
#include "src/base/kept_files.h"
#include "src/base/log.h"
#include "src/plan/plan_file.h"

namespace tutti::plan {
namespace {

std::string systemText(int error) { return std::generic_category().message(error); }

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

}  // namespace

PlanStore PlanStore::ofProcess() { return PlanStore(base::cacheDirectory()); }

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
  const base::UniqueFd directory = base::openDirectory(directory_);
  if (!directory.isOpen()) {
    if (errno != ENOENT) giveUp(fmt::format("can not be opened: {}", systemText(errno)));
    return std::nullopt;
  }
  const auto warn = [&](const base::Status& why) {
    TUTTI_LOG_WARN("the kept plan {}/{} is not used: {}; planning again", directory_, place.name,
                   why.text());
    return std::nullopt;
  };
  const auto text = base::readKeptFile(directory.get(), place.name);
  if (!text.isOk()) return warn(text.status());
  if (!text->has_value()) return std::nullopt;
  auto searched = parsePlanFile(**text, place.key, collective);
  if (!searched.isOk()) return warn(searched.status());
  return searched.take();
}

void PlanStore::save(const Place& place, const Searched& searched) {
  if (directory_.empty()) return;
  const base::UniqueFd directory = base::makeDirectory(directory_);
  if (!directory.isOpen()) return giveUp(fmt::format("can not be made: {}", systemText(errno)));
  const int error =
      base::replaceKeptFile(directory.get(), place.name, toPlanFile(place.key, searched));
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
