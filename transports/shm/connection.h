// A connection to a rank in another process of this host.
#pragma once

#include <memory>
#include <vector>

#include "transports/segment.h"
#include "transports/transport.h"

namespace tutti::transports::shm {

class ShmConnection final : public Connection {
 public:
  // Maps the peer's segment, checks that it belongs to this communicator, and tries whether the
  // kernel copies from the peer (`tokenAddress`: where the peer has the token).
  static base::Result<std::unique_ptr<Connection>> open(ir::Rank peer,
                                                        const device::ShareHandle& segment,
                                                        uint64_t tokenAddress,
                                                        const ContextOptions& options);

  SegmentView segment() const override { return segment_; }
  std::byte* mapPeer(uint64_t address, const device::ShareHandle& share, size_t bytes) override;
  bool canCopy() const override { return canCopy_; }
  base::Status readPeer(void* local, uint64_t remote, size_t bytes) override;
  base::Status writePeer(uint64_t remote, const void* local, size_t bytes) override;

 private:
  // A file of the peer's that was mapped once; the oldest unused goes first.
  struct CachedFile {
    uint64_t inode = 0;
    uint64_t lastUse = 0;
    PeerMapping mapping;
  };
  // More than this many distinct allocations in use per peer cost a mapping per call.
  static constexpr size_t kMaxCachedFiles = 64;

  base::Status copyPeer(bool isRead, std::byte* local, uint64_t remote, size_t bytes);
  const PeerMapping* find(const device::ShareHandle& share);

  ir::Rank peer_ = -1;
  int pid_ = 0;
  bool canCopy_ = false;
  PeerMapping segmentMapping_;
  SegmentView segment_;
  uint64_t uses_ = 0;
  std::vector<CachedFile> files_;
};

}  // namespace tutti::transports::shm
