#include "src/ir/world.h"

#include <algorithm>
#include <bit>
#include <map>
#include <string_view>
#include <utility>

#include "src/base/hash.h"

namespace tutti::ir {
namespace {

uint64_t hashText(std::string_view text, uint64_t before) {
  return base::hash64(text, base::hash64(text.size(), before));
}

uint64_t hashRank(const RankInfo& info, uint64_t hash) {
  for (const std::string_view text : {std::string_view(info.host), std::string_view(info.hostName),
                                      std::string_view(info.machine), std::string_view(info.device),
                                      std::string_view(info.version)}) {
    hash = hashText(text, hash);
  }
  hash = base::hash64(info.process, hash);
  hash = base::hash64(static_cast<uint64_t>(info.pid), hash);
  hash = base::hash64(info.isDeviceExclusive ? 1 : 0, hash);
  hash = base::hash64(static_cast<uint64_t>(info.cores), hash);
  return base::hash64(info.coreSet, hash);
}

uint64_t hashCosts(const CostConstants& costs, uint64_t hash) {
  for (const double value :
       {costs.signalNs, costs.stepNs, costs.switchNs, costs.copyBytesPerSecond,
        costs.memoryBytesPerSecond, costs.reduceBytesPerSecond, costs.peerCopyBytesPerSecond,
        costs.slotNs, costs.peerCallNs, costs.peerCopySharedBytesPerSecond,
        costs.peerCopyMemoryBytesPerSecond, costs.slotBytesPerSecond, costs.messageNs,
        costs.messageBytesPerSecond, costs.cacheBytes, costs.sharedCacheBytes}) {
    hash = base::hash64(std::bit_cast<uint64_t>(value), hash);
  }
  return hash;
}

}  // namespace

bool World::isAllMapped() const {
  const size_t count = ranks.size();
  for (size_t a = 0; a < count; ++a) {
    for (size_t b = 0; b < count; ++b) {
      if (a != b && reach[a * count + b] < Reach::kMapped) return false;
    }
  }
  return true;
}

std::optional<std::pair<Rank, Rank>> World::ranksOfOneDevice() const {
  std::map<std::pair<std::string_view, std::string_view>, Rank> users;
  for (Rank rank = 0; rank < size(); ++rank) {
    const RankInfo& info = ranks[static_cast<size_t>(rank)];
    if (!info.isDeviceExclusive) continue;
    const std::pair<std::string_view, std::string_view> device{info.host, info.device};
    const auto [user, isFirst] = users.emplace(device, rank);
    if (!isFirst) return std::pair(user->second, rank);
  }
  return {};
}

double World::ranksPerCore() const {
  struct Group {
    int ranks = 0;
    int cores = 1;
  };
  std::map<std::pair<std::string_view, uint64_t>, Group> groups;
  for (const RankInfo& info : ranks) {
    Group& group = groups[{info.machine.empty() ? info.host : info.machine, info.coreSet}];
    ++group.ranks;
    group.cores = std::max(group.cores, info.cores);
  }
  double largest = 1;
  for (const auto& [key, group] : groups) {
    largest = std::max(largest, static_cast<double>(group.ranks) / group.cores);
  }
  return largest;
}

uint64_t World::digest() const {
  uint64_t hash = base::hash64(ranks.size(), base::kHashSeed);
  for (const RankInfo& info : ranks) hash = hashRank(info, hash);
  for (const Reach each : reach) hash = base::hash64(static_cast<uint64_t>(each), hash);
  hash = base::hash64(canCopyPeer ? 1 : 0, hash);
  return hashCosts(costs, hash);
}

}  // namespace tutti::ir
