// What launchers say in the environment. Pure functions over a look-up, so that tests need no
// environment. Private to src/bootstrap.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/config.h"
#include "src/bootstrap/launcher.h"

namespace tutti::bootstrap {

using Lookup = std::function<std::optional<std::string>(const char* name)>;

struct Launch {
  LauncherInfo info;
  // The same on all ranks of the launch and on no other launch of this host that runs now. Empty:
  // the launcher says nothing that serves.
  std::string jobName;
  // Where rank 0 may serve a rendezvous, "host:port"; empty: not told.
  std::string address;
  // What somebody should look at: variables of another launcher that contradict. Empty: nothing.
  std::string warning;
};

base::Result<Launch> readLaunch(const base::Config& config, const Lookup& lookup);

// Whether the environment `other` says the same rank of the same launch as `mine`: that of a
// wrapper around the rank, not of what launched it.
bool isSameRank(const LauncherInfo& info, const Lookup& mine, const Lookup& other);

// The first host of a Slurm node list, "gpu[003-007,9],login" -> "gpu003".
std::string firstHost(std::string_view nodeList);

// Entry `node` of a Slurm count list, "4(x2),3" -> 4, 4, 3; -1 if there is none.
int countOfNode(std::string_view counts, int node);

}  // namespace tutti::bootstrap
