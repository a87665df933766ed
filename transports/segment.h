// Making a rank's own segment, and mapping files that other processes of this host share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "src/base/status.h"
#include "src/device/device.h"
#include "transports/mapped.h"

namespace tutti::transports {

// A rank's own segment: an anonymous memory file (memfd), so that it does not count against
// /dev/shm and vanishes with the last process that maps it, however that ends.
class OwnSegment {
 public:
  // `token` is 32 bytes. Errors: no memory, no descriptors.
  static base::Result<std::unique_ptr<OwnSegment>> create(ir::Rank rank, int size,
                                                          const std::byte* token);
  ~OwnSegment();
  OwnSegment(const OwnSegment&) = delete;
  OwnSegment& operator=(const OwnSegment&) = delete;

  SegmentView view() const { return view_; }
  device::ShareHandle share() const;
  // Bytes of address space; the pages in use are fewer.
  size_t bytes() const { return bytes_; }

 private:
  OwnSegment() = default;
  SegmentView view_;
  std::shared_ptr<std::byte> mapping_;
  size_t bytes_ = 0;
  int fd_ = -1;
};

// The memory of a segment of this process, which stays mapped while the pointer lives: a rank may
// leave while others still look at what it wrote. Null if there is no segment at `base`.
std::shared_ptr<std::byte> keepSegment(std::byte* base);

// A file of another process (ShareHandle), mapped read-write. Movable.
class PeerMapping {
 public:
  // Opens /proc/<pid>/fd/<fd> and checks that it is still the same file.
  static base::Result<PeerMapping> open(const device::ShareHandle& share);
  PeerMapping() = default;
  PeerMapping(PeerMapping&& other) noexcept;
  PeerMapping& operator=(PeerMapping&& other) noexcept;
  ~PeerMapping();

  std::byte* base() const { return base_; }
  size_t bytes() const { return bytes_; }

 private:
  std::byte* base_ = nullptr;
  size_t bytes_ = 0;
};

// Makes every core that runs a thread of a process that uses Tutti pass a full fence (where the
// kernel can). Microseconds.
void fenceEverywhere();

// Announces this process as a sleeper-to-be; call once before the first sleep. Idempotent.
void prepareSleeping();

// One sleep at a bell, in three steps so that no wake-up is lost: construct, look once more at what
// is waited for, then wait (or destroy to cancel).
class Sleep {
 public:
  explicit Sleep(Bell& bell);
  ~Sleep();
  Sleep(const Sleep&) = delete;
  Sleep& operator=(const Sleep&) = delete;
  // Returns when the bell rings, after `nanoseconds`, or spuriously.
  void wait(uint64_t nanoseconds);

 private:
  Bell& bell_;
  uint32_t count_;
};

}  // namespace tutti::transports
