// Host memory that ranks of this machine can map: one anonymous file for a large allocation, shared
// files for the small ones.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>

#include "src/device/device.h"
#include "src/device/host/process.h"
#include "src/device/host/shared_mapping.h"

namespace tutti::device::host {

// Allocations below this are parts of arenas, so that thousands of them need few descriptors.
inline constexpr size_t kSmallBytes = size_t{256} << 10;
inline constexpr size_t kArenaBytes = size_t{4} << 20;
// Of every allocation; two cache lines, which adjacent-line prefetchers fetch together.
inline constexpr size_t kAlignment = 128;

// A mapping that is handed out in parts. Not thread safe.
class Arena {
 public:
  explicit Arena(SharedMapping mapping);

  // First fit; null if no hole is large enough.
  char* take(size_t bytes);
  void giveBack(const char* pointer, size_t bytes);

  bool isEmpty() const { return freeBytes_ == mapping_.length(); }
  const SharedMapping& mapping() const { return mapping_; }

 private:
  SharedMapping mapping_;
  std::map<size_t, size_t> holes_;  // offset -> bytes; neighbours are merged
  size_t freeBytes_;
};

class HostMemory final : public Memory {
 public:
  // Zero bytes give null. kErrOutOfMemory also for more than the machine or the control group has,
  // which would otherwise fail when touched.
  base::Result<void*> allocate(size_t bytes) override;
  // Null is allowed.
  base::Status release(void* pointer) override;
  // About 0.1 us; readers do not wait for one another. In a forked child the handle names the
  // child, which has inherited the descriptors.
  ShareHandle share(const void* pointer, size_t bytes) const override;

 private:
  struct Allocation {
    size_t bytes;
    std::optional<SharedMapping> own;  // of a large one
    Arena* arena;                      // of a small one
  };

  base::Result<void*> allocateLarge(size_t bytes);
  base::Result<void*> allocateSmall(size_t bytes);
  // The arena with room, or a new one.
  base::Result<Arena*> findArena(size_t bytes, char*& pointer);
  void dropSpareArena(Arena* emptied);

  ProcessId process_;
  mutable std::shared_mutex mutex_;  // guards what follows
  std::map<uintptr_t, Allocation> allocations_;
  std::list<Arena> arenas_;
};

}  // namespace tutti::device::host
