// Which process this is, across fork: what a parent's threads, connections and shared segments did
// is not the child's to go on with.
#pragma once

#include <cstdint>

namespace tutti::base {

// How many forks lie between this process and the one that first asked. One relaxed load. Any
// thread.
uint32_t forkGeneration();

}  // namespace tutti::base
