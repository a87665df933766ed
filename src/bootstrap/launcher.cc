#include "src/bootstrap/launcher.h"

#include <unistd.h>

#include <fmt/format.h>

#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/hash.h"
#include "src/base/host.h"
#include "src/bootstrap/create_id.h"
#include "src/bootstrap/launch_file.h"
#include "src/bootstrap/launch_variables.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;

namespace {

base::Result<Launch> thisLaunch() {
  return readLaunch(base::processConfig(), base::environmentVariable);
}

// All ranks of a launch on one host are children of the same process, unless wrapped.
std::string parentName() {
  return fmt::format("{}.{}", getppid(), base::processStartTime(getppid()).value_or(0));
}

std::string pathFor(const std::string& directory, const Launch& launch, std::string_view tag) {
  const std::string job = launch.jobName.empty() ? parentName() : launch.jobName;
  const Key hash = plainHash({"tutti launch", launch.info.launcher, job, tag});
  std::string name;
  for (size_t i = 0; i < 16; ++i) name += fmt::format("{:02x}", static_cast<unsigned>(hash[i]));
  return directory + "/" + name;
}

base::Result<UniqueId> idByFile(const Launch& launch, std::string_view tag) {
  if (launch.info.size == 1) return serveNewId(nullptr);
  TUTTI_ASSIGN_OR_RETURN(const std::string directory, launchDirectory());
  const std::string path = pathFor(directory, launch, tag);
  if (launch.info.rank != 0) {
    return awaitLaunchFile(path, base::processConfig().get(base::param::kTimeout));
  }
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
  const Key secret = given.empty() ? weakSecret(launch.address + " " + launch.jobName)
                                   : plainHash({"tutti secret", given});
  return fixedAddressId(std::move(addresses), keyedHash(secret, {"tutti tag", tag}));
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
