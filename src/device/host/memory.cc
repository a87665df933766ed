#include "src/device/host/memory.h"

#include <fmt/format.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <utility>

#include "src/base/errors.h"
#include "topology/host.h"

namespace tutti::device::host {

namespace {

using base::Code;
using base::Status;

size_t roundUp(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

uint64_t swapBytes() {
  struct sysinfo info;
  return sysinfo(&info) == 0 ? uint64_t{info.totalswap} * info.mem_unit : 0;
}

// Anonymous files are not counted against the machine's memory until they are touched, and then the
// process is killed; say no now to what can never fit.
Status checkFits(size_t bytes) {
  constexpr size_t kAlwaysFits = size_t{64} << 20;
  if (bytes <= kAlwaysFits) return {};
  const uint64_t memory = topology::usableMemory();
  if (memory == 0 || bytes <= memory + swapBytes()) return {};
  return {Code::kSystemError, base::kErrOutOfMemory,
          fmt::format("cannot allocate {} bytes: this process may use {} bytes of memory (the "
                      "machine's, or its control group's limit)",
                      bytes, memory)};
}

uintptr_t addressOf(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

}  // namespace

Arena::Arena(SharedMapping mapping) : mapping_(std::move(mapping)), freeBytes_(mapping_.length()) {
  holes_.emplace(0, freeBytes_);
}

char* Arena::take(size_t bytes) {
  if (bytes > freeBytes_) return nullptr;
  const auto hole = std::find_if(holes_.begin(), holes_.end(),
                                 [&](const auto& entry) { return entry.second >= bytes; });
  if (hole == holes_.end()) return nullptr;
  const auto [offset, length] = *hole;
  holes_.erase(hole);
  if (length > bytes) holes_.emplace(offset + bytes, length - bytes);
  freeBytes_ -= bytes;
  return mapping_.base() + offset;
}

void Arena::giveBack(const char* pointer, size_t bytes) {
  const size_t offset = static_cast<size_t>(pointer - mapping_.base());
  freeBytes_ += bytes;
  auto hole = holes_.emplace(offset, bytes).first;
  const auto next = std::next(hole);
  if (next != holes_.end() && offset + bytes == next->first) {
    hole->second += next->second;
    holes_.erase(next);
  }
  if (hole == holes_.begin()) return;
  const auto before = std::prev(hole);
  if (before->first + before->second == offset) {
    before->second += hole->second;
    holes_.erase(hole);
  }
}

base::Result<void*> HostMemory::allocate(size_t bytes) {
  if (bytes == 0) return static_cast<void*>(nullptr);
  TUTTI_RETURN_IF_ERROR(checkFits(bytes));
  return bytes < kSmallBytes ? allocateSmall(bytes) : allocateLarge(bytes);
}

base::Result<void*> HostMemory::allocateLarge(size_t bytes) {
  TUTTI_ASSIGN_OR_RETURN(SharedMapping mapping, SharedMapping::create(bytes));
  void* pointer = mapping.base();
  const std::unique_lock lock(mutex_);
  allocations_.emplace(addressOf(pointer), Allocation{bytes, std::move(mapping), nullptr});
  return pointer;
}

base::Result<void*> HostMemory::allocateSmall(size_t bytes) {
  const std::unique_lock lock(mutex_);
  char* pointer = nullptr;
  TUTTI_ASSIGN_OR_RETURN(Arena* const arena, findArena(roundUp(bytes), pointer));
  allocations_.emplace(addressOf(pointer), Allocation{bytes, std::nullopt, arena});
  return static_cast<void*>(pointer);
}

base::Result<Arena*> HostMemory::findArena(size_t bytes, char*& pointer) {
  // The free parts of an arena that a forked child inherited are still its parent's to give out.
  const pid_t self = process_.get();
  for (Arena& arena : arenas_) {
    if (arena.mapping().owner() != self) continue;
    pointer = arena.take(bytes);
    if (pointer != nullptr) return &arena;
  }
  TUTTI_ASSIGN_OR_RETURN(SharedMapping mapping, SharedMapping::create(kArenaBytes));
  arenas_.emplace_front(std::move(mapping));
  pointer = arenas_.front().take(bytes);
  return &arenas_.front();
}

Status HostMemory::release(void* pointer) {
  if (pointer == nullptr) return {};
  std::optional<SharedMapping> dropped;  // unmapped after the lock, which takes a while
  const std::unique_lock lock(mutex_);
  const auto found = allocations_.find(addressOf(pointer));
  if (found == allocations_.end()) {
    return {Code::kInvalidArgument, base::kErrInvalidArgument,
            fmt::format("{} is not the start of memory that Tutti allocated", pointer)};
  }
  const Allocation& allocation = found->second;
  if (Arena* const arena = allocation.arena) {
    arena->giveBack(static_cast<char*>(pointer), roundUp(allocation.bytes));
    if (arena->isEmpty()) dropSpareArena(arena);
  } else {
    dropped.emplace(std::move(*found->second.own));
  }
  allocations_.erase(found);
  return {};
}

// One empty arena is kept, so that a program that allocates and frees in a loop maps nothing.
void HostMemory::dropSpareArena(Arena* emptied) {
  const bool hasOther = std::any_of(arenas_.begin(), arenas_.end(), [&](const Arena& arena) {
    return &arena != emptied && arena.isEmpty();
  });
  if (hasOther) arenas_.remove_if([&](const Arena& arena) { return &arena == emptied; });
}

ShareHandle HostMemory::share(const void* pointer, size_t bytes) const {
  const uintptr_t address = addressOf(pointer);
  const std::shared_lock lock(mutex_);
  auto found = allocations_.upper_bound(address);
  if (found == allocations_.begin()) return {};
  --found;
  const Allocation& allocation = found->second;
  const size_t before = address - found->first;
  if (before > allocation.bytes || bytes > allocation.bytes - before) return {};
  const SharedMapping& mapping =
      allocation.arena != nullptr ? allocation.arena->mapping() : *allocation.own;
  if (mapping.inode() == 0) return {};
  return {.inode = mapping.inode(),
          .fd = mapping.fd(),
          .pid = process_.get(),
          .offset = address - addressOf(mapping.base()),
          .length = mapping.length()};
}

}  // namespace tutti::device::host
