#include "src/bootstrap/launch_variables.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "src/base/errors.h"
#include "src/base/hash.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;

namespace {

// The variables of one launcher; null where it has none.
struct Names {
  const char* launcher;
  const char* rank;
  const char* size;
  const char* localRank;
  const char* localSize;
  // Only if this one is set, too, the launcher counts as detected.
  const char* witness;
  // Differs from a launch of the same rank and size around this one.
  const char* own;
};

// In the order of the search: an MPI launcher inside a Slurm job counts more than Slurm itself. A
// Slurm batch script has SLURM_PROCID but is no rank; only a step (srun) has SLURM_STEP_ID.
constexpr Names kLaunchers[] = {
    {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", nullptr, nullptr},
    {"openmpi", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE", nullptr, "PMIX_NAMESPACE"},
    {"mpich", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", nullptr, "PMI_FD"},
    {"slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", nullptr, "SLURM_STEP_ID",
     "SLURM_STEP_ID"},
};
constexpr Names kExplicit = {"tutti", "TUTTI_RANK", "TUTTI_SIZE", nullptr,
                             nullptr, nullptr,      nullptr};

std::optional<int> parseNumber(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

Status contradiction(const std::string& text) {
  return {Code::kInvalidUsage, base::kErrLauncherContradiction,
          text +
              "; correct the variables, or set TUTTI_RANK and TUTTI_SIZE, which win, or "
              "TUTTI_IGNORE_LAUNCHER=1"};
}

// -1 if the variable is not set.
base::Result<int> readNumber(const Lookup& lookup, const char* name) {
  const std::optional<std::string> text = name != nullptr ? lookup(name) : std::nullopt;
  if (!text || text->empty()) return -1;
  const std::optional<int> value = parseNumber(*text);
  if (!value) return contradiction(fmt::format("{}=\"{}\" is no number", name, *text));
  return *value;
}

Status checkInfo(const LauncherInfo& info) {
  if (info.size < 1 || info.rank < 0 || info.rank >= info.size) {
    return contradiction(fmt::format("the launcher ({}) says rank {} of {} ranks", info.launcher,
                                     info.rank, info.size));
  }
  const bool isLocalGood =
      info.localRank < 0 || info.localSize < 0 || info.localRank < info.localSize;
  if (!isLocalGood || info.localSize > info.size) {
    return contradiction(
        fmt::format("the launcher ({}) says local rank {} of {} on a host, and {} "
                    "ranks in all",
                    info.launcher, info.localRank, info.localSize, info.size));
  }
  return {};
}

base::Result<LauncherInfo> readExplicit(const base::Config& config) {
  LauncherInfo info;
  const bool hasRank = config.isSet(base::param::kRank);
  const bool hasSize = config.isSet(base::param::kSize);
  if (!hasRank && !hasSize) return info;
  if (hasRank != hasSize) {
    return contradiction(fmt::format("{} is set without {}", hasRank ? "TUTTI_RANK" : "TUTTI_SIZE",
                                     hasRank ? "TUTTI_SIZE" : "TUTTI_RANK"));
  }
  info.rank = static_cast<int>(config.get(base::param::kRank));
  info.size = static_cast<int>(config.get(base::param::kSize));
  info.localRank = static_cast<int>(config.get(base::param::kLocalRank));
  info.localSize = static_cast<int>(config.get(base::param::kLocalSize));
  info.launcher = "tutti";
  TUTTI_RETURN_IF_ERROR(checkInfo(info));
  return info;
}

base::Result<LauncherInfo> readFrom(const Names& names, const Lookup& lookup) {
  LauncherInfo info;
  if (names.witness != nullptr && !lookup(names.witness)) return info;
  // RANK and WORLD_SIZE are common words: half of the pair alone may be somebody else's.
  const bool isCommon = std::string_view(names.rank) == "RANK";
  const bool isHalf = !lookup(names.rank) || !lookup(names.size);
  if (isCommon && isHalf && !lookup(names.localRank)) return info;
  TUTTI_ASSIGN_OR_RETURN(const int rank, readNumber(lookup, names.rank));
  TUTTI_ASSIGN_OR_RETURN(const int size, readNumber(lookup, names.size));
  TUTTI_ASSIGN_OR_RETURN(const int localRank, readNumber(lookup, names.localRank));
  TUTTI_ASSIGN_OR_RETURN(const int localSize, readNumber(lookup, names.localSize));
  if (rank < 0 && size < 0) return info;
  if (rank < 0 || size < 0) {
    return contradiction(fmt::format("{} is set without {}", rank < 0 ? names.size : names.rank,
                                     rank < 0 ? names.rank : names.size));
  }
  info = {rank, size, localRank, localSize, names.launcher};
  if (std::string_view(info.launcher) == "slurm") {
    TUTTI_ASSIGN_OR_RETURN(const int node, readNumber(lookup, "SLURM_NODEID"));
    const auto counts = lookup("SLURM_STEP_TASKS_PER_NODE");
    if (counts && node >= 0) info.localSize = countOfNode(*counts, node);
  }
  TUTTI_RETURN_IF_ERROR(checkInfo(info));
  return info;
}

// Whether the launcher's variables are there and say rank and size of `info`.
bool says(const Names& names, const LauncherInfo& info, const Lookup& lookup) {
  return parseNumber(lookup(names.rank).value_or("")) == info.rank &&
         parseNumber(lookup(names.size).value_or("")) == info.size;
}

std::string describe(const LauncherInfo& info) {
  return fmt::format("{} says rank {} of {}", info.launcher, info.rank, info.size);
}

// Nothing is wrong with a launcher that was started by another one, once for each of a few agents,
// and started more ranks than there are agents.
std::string contradictionOf(const Names& taken, const LauncherInfo& info,
                            const LauncherInfo& other) {
  const bool agrees = info.rank == other.rank && info.size == other.size;
  if (agrees || other.size < info.size) return {};
  return fmt::format(
      "two launchers contradict each other: {}, but {}; {} is believed. If its "
      "variables are left over from another launch, unset {} and {}; TUTTI_RANK and TUTTI_SIZE win "
      "over both",
      describe(info), describe(other), info.launcher, taken.rank, taken.size);
}

std::string jobNameOf(std::string_view launcher, const Lookup& lookup) {
  const auto value = [&](const char* name) { return lookup(name).value_or(""); };
  if (launcher == "openmpi") return value("PMIX_NAMESPACE");
  if (launcher == "slurm") return value("SLURM_JOB_ID") + "." + value("SLURM_STEP_ID");
  const bool isTorch = launcher == "torchrun" && lookup("MASTER_PORT").has_value();
  if (isTorch) {
    return value("TORCHELASTIC_RUN_ID") + "." + value("TORCHELASTIC_RESTART_COUNT") + "." +
           value("MASTER_ADDR") + ":" + value("MASTER_PORT");
  }
  return {};
}

std::string addressOf(std::string_view launcher, const std::string& jobName, const Lookup& lookup) {
  if (launcher == "slurm") {
    std::string list = lookup("SLURM_STEP_NODELIST").value_or("");
    if (list.empty()) list = lookup("SLURM_JOB_NODELIST").value_or("");
    if (list.empty()) return {};
    // Below the range from which Linux takes ports for outgoing connections (32768).
    const uint64_t port = 20000 + base::mix64(base::hash64(jobName)) % 12000;
    return fmt::format("{}:{}", firstHost(list), port);
  }
  const std::optional<std::string> host = lookup("MASTER_ADDR");
  const std::optional<int> port = parseNumber(lookup("MASTER_PORT").value_or("x"));
  if (!host || host->empty() || !port || *port < 1 || *port > 65534) return {};
  const bool isBareV6 = host->find(':') != std::string::npos && host->front() != '[';
  return isBareV6 ? fmt::format("[{}]:{}", *host, *port + 1)
                  : fmt::format("{}:{}", *host, *port + 1);
}

// The first launcher counts; what others say is only compared with it.
Status readLaunchers(const Lookup& lookup, Launch& launch) {
  const Names* taken = nullptr;
  for (const Names& names : kLaunchers) {
    const base::Result<LauncherInfo> found = readFrom(names, lookup);
    if (!found && taken == nullptr) return found.status();
    if (!found || found->rank < 0) continue;
    // Slurm's own PMI: the same launcher, of which it tells more.
    const bool isSlurmsPmi = taken != nullptr && std::string_view(taken->launcher) == "mpich" &&
                             says(names, launch.info, lookup);
    if (taken == nullptr || isSlurmsPmi) {
      taken = &names;
      launch.info = *found;
    } else if (launch.warning.empty()) {
      launch.warning = contradictionOf(*taken, launch.info, *found);
    }
  }
  return {};
}

}  // namespace

base::Result<Launch> readLaunch(const base::Config& config, const Lookup& lookup) {
  Launch launch;
  TUTTI_ASSIGN_OR_RETURN(launch.info, readExplicit(config));
  const bool looksFurther = !config.get(base::param::kIgnoreLauncher);
  if (looksFurther && launch.info.rank < 0) TUTTI_RETURN_IF_ERROR(readLaunchers(lookup, launch));
  launch.jobName = config.get(base::param::kJobId);
  if (launch.jobName.empty()) launch.jobName = jobNameOf(launch.info.launcher, lookup);
  launch.address = config.get(base::param::kAddr);
  if (launch.address.empty() && looksFurther) {
    launch.address = addressOf(launch.info.launcher, launch.jobName, lookup);
  }
  return launch;
}

bool isSameRank(const LauncherInfo& info, const Lookup& mine, const Lookup& other) {
  const auto isSame = [&](const Names& names) {
    return says(names, info, mine) && says(names, info, other) &&
           (names.own == nullptr || mine(names.own) == other(names.own));
  };
  return isSame(kExplicit) || std::any_of(std::begin(kLaunchers), std::end(kLaunchers), isSame);
}

std::string firstHost(std::string_view nodeList) {
  const size_t bracket = nodeList.find('[');
  const size_t comma = nodeList.find(',');
  if (bracket == std::string_view::npos || comma < bracket) {
    return std::string(nodeList.substr(0, comma));
  }
  const std::string_view ranges = nodeList.substr(bracket + 1);
  return std::string(nodeList.substr(0, bracket)) +
         std::string(ranges.substr(0, ranges.find_first_of("-,]")));
}

int countOfNode(std::string_view counts, int node) {
  while (!counts.empty()) {
    const size_t comma = std::min(counts.find(','), counts.size());
    const std::string_view entry = counts.substr(0, comma);
    const size_t times = entry.find("(x");
    const int count = parseNumber(entry.substr(0, times)).value_or(-1);
    int repeat = 1;
    if (times != std::string_view::npos && entry.back() == ')') {
      repeat = parseNumber(entry.substr(times + 2, entry.size() - times - 3)).value_or(1);
    }
    if (node < repeat) return count;
    node -= repeat;
    counts.remove_prefix(std::min(comma + 1, counts.size()));
  }
  return -1;
}

}  // namespace tutti::bootstrap
