// Worlds for the tests of this folder.
#pragma once

#include <cstdint>

#include "src/ir/world.h"

namespace tutti::plan {

inline ir::World makeWorld(int size, ir::Reach reach, int cores = 64) {
  ir::World world;
  for (int rank = 0; rank < size; ++rank) {
    ir::RankInfo& info = world.ranks.emplace_back();
    info.process = static_cast<uint64_t>(rank);
    info.cores = cores;
  }
  world.reach.assign(static_cast<size_t>(size) * static_cast<size_t>(size), reach);
  world.canCopyPeer = reach == ir::Reach::kMapped;
  return world;
}

}  // namespace tutti::plan
