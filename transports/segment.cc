#include "transports/segment.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/shared_file.h"

namespace tutti::transports {
namespace {

using base::Code;
using base::Status;

Status systemError(int id, std::string_view what) {
  return {Code::kSystemError, id, fmt::format("{}: {}", what, std::strerror(errno))};
}

long futex(std::atomic<uint32_t>* word, int operation, uint32_t value, const timespec* timeout) {
  // Not FUTEX_PRIVATE: the word is shared between processes.
  return syscall(SYS_futex, word, operation, value, timeout, nullptr, 0);
}

bool registerBarrier() {
  return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

bool hasBarrier() {
  static const bool isRegistered = registerBarrier();
  return isRegistered;
}

// The segments of this process by address.
class MappedSegments {
 public:
  static MappedSegments& instance() {
    static auto* const segments = new MappedSegments;
    return *segments;
  }

  std::shared_ptr<std::byte> add(std::byte* base, size_t bytes) {
    std::shared_ptr<std::byte> mapping(base, [this, bytes](std::byte* memory) {
      {
        const std::lock_guard lock(mutex_);
        segments_.erase(memory);
      }
      munmap(memory, bytes);
    });
    const std::lock_guard lock(mutex_);
    segments_[base] = mapping;
    return mapping;
  }

  std::shared_ptr<std::byte> find(std::byte* base) {
    const std::lock_guard lock(mutex_);
    const auto found = segments_.find(base);
    return found == segments_.end() ? nullptr : found->second.lock();
  }

 private:
  std::mutex mutex_;
  std::map<std::byte*, std::weak_ptr<std::byte>> segments_;
};

}  // namespace

void prepareSleeping() { (void)hasBarrier(); }

void fenceEverywhere() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (hasBarrier()) syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
}

void ringSlow(Bell& bell) {
  // One ringer wakes for all; the others saw the flag down again.
  if (bell.isSleeping.exchange(0, std::memory_order_acq_rel) == 0) return;
  bell.count.fetch_add(1, std::memory_order_release);
  futex(&bell.count, FUTEX_WAKE, INT_MAX, nullptr);
}

Sleep::Sleep(Bell& bell) : bell_(bell), count_(bell.count.load(std::memory_order_acquire)) {
  bell_.isSleeping.store(1, std::memory_order_seq_cst);
  // A ringer stores its data, then loads the flag, with no fence between. This makes every core
  // that runs one of our processes pass a fence now: either it has seen the flag, or we see its
  // data when we look once more. Where the kernel has no such call, waits are short instead.
  if (hasBarrier()) syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
}

Sleep::~Sleep() { bell_.isSleeping.store(0, std::memory_order_relaxed); }

void Sleep::wait(uint64_t nanoseconds) {
  constexpr uint64_t kUnfencedNs = 500000;
  if (!hasBarrier() && nanoseconds > kUnfencedNs) nanoseconds = kUnfencedNs;
  const timespec timeout{static_cast<time_t>(nanoseconds / 1000000000),
                         static_cast<long>(nanoseconds % 1000000000)};
  futex(&bell_.count, FUTEX_WAIT, count_, &timeout);
}

base::Result<std::unique_ptr<OwnSegment>> OwnSegment::create(ir::Rank rank, int size,
                                                             const std::byte* token) {
  auto segment = std::unique_ptr<OwnSegment>(new OwnSegment);
  segment->bytes_ = SegmentView::bytesFor(size);
  TUTTI_ASSIGN_OR_RETURN(
      auto file,
      base::openSharedFile(segment->bytes_, base::processConfig().get(base::param::kShmDir)));
  segment->fd_ = file.release();
  void* base = mmap(nullptr, segment->bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, segment->fd_, 0);
  if (base == MAP_FAILED) {
    return systemError(base::kErrShmFailed,
                       fmt::format("mapping a segment of {} bytes", segment->bytes_));
  }
  segment->view_ = {static_cast<std::byte*>(base), size};
  segment->mapping_ = MappedSegments::instance().add(segment->view_.base, segment->bytes_);
  auto& header = segment->view_.header();  // the file is zeroes: all atomics start at 0
  header.magic = kSegmentMagic;
  header.version = kSegmentVersion;
  header.rank = rank;
  header.size = size;
  std::memcpy(header.token, token, sizeof(header.token));
  return segment;
}

OwnSegment::~OwnSegment() {
  if (fd_ >= 0) close(fd_);
}

std::shared_ptr<std::byte> keepSegment(std::byte* base) {
  return MappedSegments::instance().find(base);
}

device::ShareHandle OwnSegment::share() const {
  struct stat info {};
  if (fstat(fd_, &info) != 0) return {};
  return {info.st_ino, fd_, getpid(), 0, bytes_};
}

base::Result<PeerMapping> PeerMapping::open(const device::ShareHandle& share) {
  const auto path = fmt::format("/proc/{}/fd/{}", share.pid, share.fd);
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return systemError(base::kErrShmFailed, fmt::format("opening {}", path));
  struct stat info {};
  const bool isSame = fstat(fd, &info) == 0 && info.st_ino == share.inode &&
                      info.st_size >= static_cast<off_t>(share.length);
  if (!isSame) {
    close(fd);
    return Status(Code::kSystemError, base::kErrShmFailed,
                  fmt::format("{} is another file than the peer announced", path));
  }
  void* base = mmap(nullptr, share.length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (base == MAP_FAILED) return systemError(base::kErrShmFailed, fmt::format("mapping {}", path));
  PeerMapping mapping;
  mapping.base_ = static_cast<std::byte*>(base);
  mapping.bytes_ = share.length;
  return mapping;
}

PeerMapping::PeerMapping(PeerMapping&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

PeerMapping& PeerMapping::operator=(PeerMapping&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

PeerMapping::~PeerMapping() {
  if (base_ != nullptr) munmap(base_, bytes_);
}

}  // namespace tutti::transports
