#include "src/base/fork.h"

#include <pthread.h>

#include <atomic>

namespace tutti::base {

uint32_t forkGeneration() {
  static std::atomic<uint32_t> generation{0};
  // Registered on the first call; forks before it concern nobody.
  static const int registered =
      pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); });
  static_cast<void>(registered);
  return generation.load(std::memory_order_relaxed);
}

}  // namespace tutti::base
