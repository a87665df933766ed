#include "src/comm/algorithms.h"

#include <fmt/format.h>

#include <sstream>

#include "src/base/errors.h"
#include "src/base/hash.h"
#include "src/base/log.h"
#include "src/schedule/msccl_xml.h"

namespace tutti::comm {
namespace {

base::Result<schedule::MscclAlgorithm> readFile(const std::string& path) {
  auto algorithm = schedule::readMscclFile(path);
  if (algorithm.isOk()) return algorithm;
  return base::Status(base::Code::kInvalidUsage, algorithm.status().errorId(),
                      fmt::format("TUTTI_MSCCL_FILE: {}", algorithm.status().text()));
}

uint64_t digestOf(const schedule::MscclAlgorithm& algorithm) {
  uint64_t hash = base::hash64(algorithm.minBytes, base::kHashSeed);
  hash = base::hash64(algorithm.maxBytes, hash);
  for (const ir::Schedule& each : algorithm.ranks) hash = base::hash64(ir::toString(each), hash);
  return hash;
}

}  // namespace

base::Result<Algorithms> Algorithms::open(ir::Rank rank, int size, const base::Config& config) {
  Algorithms result;
  std::istringstream list(config.get(base::param::kMscclFile));
  for (std::string path; std::getline(list, path, ',');) {
    if (path.empty()) continue;
    TUTTI_ASSIGN_OR_RETURN(schedule::MscclAlgorithm algorithm, readFile(path));
    if (algorithm.ranks.size() != static_cast<size_t>(size)) {
      TUTTI_LOG_INFO(kInit, "{} is for {} ranks, not these {}: it is not used here", path,
                     algorithm.ranks.size(), size);
      continue;
    }
    if (!algorithm.isInPlaceSafe) {
      return base::Status(
          base::Code::kInvalidUsage, base::kErrScheduleFile,
          fmt::format("{} is not right where outputs are inputs, and no rank knows whether others' "
                      "are; take it out of TUTTI_MSCCL_FILE, or make it right in place",
                      path));
    }
    const ir::Schedule& own = algorithm.ranks[static_cast<size_t>(rank)];
    TUTTI_LOG_INFO(kInit, "{}: {} for {}", path, algorithm.name, ir::name(own.collective));
    result.entries_.push_back({own, algorithm.minBytes, algorithm.maxBytes, digestOf(algorithm)});
  }
  return result;
}

Algorithms::Match Algorithms::find(const ir::Call& call) const {
  for (const Entry& entry : entries_) {
    const ir::Schedule& schedule = entry.schedule;
    const uint64_t bytes = ir::planBytes(call, schedule.size);
    const bool hasRoot = ir::hasRoot(call.collective);
    if (schedule.collective != call.collective || (hasRoot && schedule.root != call.root)) continue;
    if (bytes < entry.minBytes || (entry.maxBytes > 0 && bytes > entry.maxBytes)) continue;
    return {&schedule, entry.digest};
  }
  return {};
}

uint64_t Algorithms::digest() const {
  uint64_t hash = base::kHashSeed;
  for (const Entry& entry : entries_) hash = base::hash64(entry.digest, hash);
  return hash;
}

std::string Algorithms::text() const {
  if (entries_.empty()) return "TUTTI_MSCCL_FILE=(unset)";
  return fmt::format("TUTTI_MSCCL_FILE of digest {:016x}", digest());
}

}  // namespace tutti::comm
