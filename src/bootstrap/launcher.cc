#include "src/bootstrap/launcher.h"

#include <atomic>

#include <fmt/format.h>

#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/hash.h"
#include "src/base/host.h"
#include "src/base/log.h"
#include "src/bootstrap/create_id.h"
#include "src/bootstrap/launch_file.h"
#include "src/bootstrap/launch_parent.h"
#include "src/bootstrap/launch_variables.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;

namespace {

base::Result<Launch> thisLaunch() {
  static std::atomic<bool> hasWarned{false};
  auto launch = readLaunch(base::processConfig(), base::environmentVariable);
  const bool isDoubtful = launch.isOk() && !launch->warning.empty();
  if (isDoubtful && !hasWarned.exchange(true)) TUTTI_LOG_WARN("{}", launch->warning);
  return launch;
}

// What a launch's ranks on this host have in common.
struct Meeting {
  std::string name;  // no other launch's
  std::string hint;  // for those who wait in vain
};

base::Result<Meeting> meetingOf(const Launch& launch) {
  if (!launch.jobName.empty()) {
    return Meeting{launch.jobName, fmt::format("belongs to job \"{}\"", launch.jobName)};
  }
  TUTTI_ASSIGN_OR_RETURN(const pid_t parent, launchParent([&](const Lookup& other) {
                           return isSameRank(launch.info, base::environmentVariable, other);
                         }));
  return Meeting{
      fmt::format("{}.{}.{:x}", parent, base::processStartTime(parent).value_or(0),
                  base::pidNamespace()),
      fmt::format("was started by {}, as this rank, or else give all ranks one TUTTI_JOB_ID",
                  describeProcess(parent))};
}

base::Result<UniqueId> idByFile(const Launch& launch, std::string_view tag) {
  if (launch.info.size == 1) return serveNewId(nullptr);
  TUTTI_ASSIGN_OR_RETURN(const std::string directory, launchDirectory());
  TUTTI_ASSIGN_OR_RETURN(const Meeting meeting, meetingOf(launch));
  const std::string path =
      directory + "/" + launchFileName({"tutti launch", launch.info.launcher, meeting.name, tag});
  if (launch.info.rank != 0) {
    return awaitLaunchFile(path, base::processConfig().get(base::param::kTimeout), meeting.hint);
  }
  sweepLaunchDirectory(directory);
  // The hook runs after all have joined, so long after the id is known here.
  const auto written = std::make_shared<UniqueId>();
  TUTTI_ASSIGN_OR_RETURN(const UniqueId id,
                         serveNewId([path, written] { removeLaunchFile(path, *written); }));
  *written = id;
  TUTTI_RETURN_IF_ERROR(writeLaunchFile(path, id));
  return id;
}

base::Result<UniqueId> idByAddress(const Launch& launch, std::string_view tag) {
  TUTTI_ASSIGN_OR_RETURN(std::vector<Address> addresses, resolveAddress(launch.address));
  const std::string& given = base::processConfig().get(base::param::kSecret);
  const base::Key secret = given.empty() ? weakSecret(launch.address + " " + launch.jobName)
                                         : base::plainHash({"tutti secret", given});
  return fixedAddressId(std::move(addresses), base::keyedHash(secret, {"tutti tag", tag}));
}

}  // namespace

base::Result<LauncherInfo> detectLauncher() {
  TUTTI_ASSIGN_OR_RETURN(const Launch launch, thisLaunch());
  return launch.info;
}

base::Result<UniqueId> launcherUniqueId(const LauncherInfo& info, std::string_view tag) {
  TUTTI_ASSIGN_OR_RETURN(Launch launch, thisLaunch());
  launch.info = info;
  if (info.rank < 0) {
    return Status(
        Code::kInvalidUsage, base::kErrLauncherContradiction,
        "no launcher started this process: use torchrun, mpirun, srun, or set TUTTI_RANK, "
        "TUTTI_SIZE and TUTTI_ADDR");
  }
  if (base::processConfig().isSet(base::param::kAddr)) return idByAddress(launch, tag);
  const bool isOneHost =
      info.localSize == info.size || (info.localSize < 0 && launch.address.empty());
  if (isOneHost) return idByFile(launch, tag);
  if (!launch.address.empty()) return idByAddress(launch, tag);
  return Status(
      Code::kInvalidUsage, base::kErrNoLaunchAddress,
      fmt::format("{} ranks run on several hosts and {} does not say where rank 0 is: set "
                  "TUTTI_ADDR=host:port (a host name of rank 0 and a free port) and "
                  "TUTTI_SECRET on all ranks",
                  info.size, info.launcher));
}

}  // namespace tutti::bootstrap
