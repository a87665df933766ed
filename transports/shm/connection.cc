#include "transports/shm/connection.h"

#include <fmt/format.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "src/base/errors.h"

namespace tutti::transports::shm {

using base::Code;
using base::Status;

base::Result<std::unique_ptr<Connection>> ShmConnection::open(ir::Rank peer,
                                                              const device::ShareHandle& segment,
                                                              uint64_t tokenAddress,
                                                              const ContextOptions& options) {
  auto connection = std::make_unique<ShmConnection>();
  connection->peer_ = peer;
  connection->pid_ = segment.pid;
  auto mapping = PeerMapping::open(segment);
  if (!mapping.isOk()) {
    return mapping.status().withContext(fmt::format("mapping the segment of rank {}", peer));
  }
  connection->segmentMapping_ = mapping.take();
  connection->segment_ = {connection->segmentMapping_.base(), options.segment.size};
  const auto& header = connection->segment_.header();
  const bool isOurs = segment.length == SegmentView::bytesFor(options.segment.size) &&
                      header.magic == kSegmentMagic && header.version == kSegmentVersion &&
                      header.rank == peer &&
                      std::memcmp(header.token, options.token, sizeof(header.token)) == 0;
  if (!isOurs) {
    return Status(Code::kSystemError, base::kErrShmFailed,
                  fmt::format("the segment of rank {} does not belong to this communicator", peer));
  }
  std::byte probe[sizeof(options.token)];
  connection->canCopy_ = options.allowCopy &&
                         connection->copyPeer(true, probe, tokenAddress, sizeof(probe)).isOk() &&
                         std::memcmp(probe, options.token, sizeof(probe)) == 0;
  return std::unique_ptr<Connection>(std::move(connection));
}

std::byte* ShmConnection::mapPeer(uint64_t, const device::ShareHandle& share, size_t bytes) {
  if (share.inode == 0 || share.offset + bytes > share.length) return nullptr;
  const PeerMapping* mapping = find(share);
  return mapping == nullptr ? nullptr : mapping->base() + share.offset;
}

const PeerMapping* ShmConnection::find(const device::ShareHandle& share) {
  ++uses_;
  for (auto& file : files_) {
    if (file.inode != share.inode || file.mapping.bytes() < share.length) continue;
    file.lastUse = uses_;
    return &file.mapping;
  }
  auto mapping = PeerMapping::open(share);
  if (!mapping.isOk()) return nullptr;
  if (files_.size() >= kMaxCachedFiles) {
    const auto oldest = std::min_element(
        files_.begin(), files_.end(),
        [](const CachedFile& a, const CachedFile& b) { return a.lastUse < b.lastUse; });
    files_.erase(oldest);
  }
  files_.push_back({share.inode, uses_, mapping.take()});
  return &files_.back().mapping;
}

base::Status ShmConnection::readPeer(void* local, uint64_t remote, size_t bytes) {
  return copyPeer(true, static_cast<std::byte*>(local), remote, bytes);
}

base::Status ShmConnection::writePeer(uint64_t remote, const void* local, size_t bytes) {
  return copyPeer(false, const_cast<std::byte*>(static_cast<const std::byte*>(local)), remote,
                  bytes);
}

base::Status ShmConnection::copyPeer(bool isRead, std::byte* local, uint64_t remote, size_t bytes) {
  size_t done = 0;
  while (done < bytes) {
    const iovec here{local + done, bytes - done};
    const iovec there{reinterpret_cast<void*>(remote + done), bytes - done};
    const ssize_t moved = isRead ? process_vm_readv(pid_, &here, 1, &there, 1, 0)
                                 : process_vm_writev(pid_, &here, 1, &there, 1, 0);
    if (moved <= 0) {
      return {errno == ESRCH ? Code::kRemoteError : Code::kSystemError, base::kErrTransportFailed,
              fmt::format("copying {} bytes {} the memory of rank {} (process {}): {}",
                          bytes - done, isRead ? "from" : "to", peer_, pid_,
                          moved == 0 ? "nothing was moved" : std::strerror(errno))};
    }
    done += static_cast<size_t>(moved);
  }
  return {};
}

}  // namespace tutti::transports::shm
