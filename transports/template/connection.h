// The way to one peer.
#pragma once

#include <memory>
#include <string_view>

#include "transports/segment.h"
#include "transports/transport.h"

namespace tutti::transports::skeleton {

class ExampleConnection final : public Connection {
 public:
  // Reaches the peer that sent `address`, and makes sure that what answers belongs to this
  // communicator: the token at the head of its segment is the one in `options`.
  static base::Result<std::unique_ptr<Connection>> open(ir::Rank peer, std::string_view address,
                                                        const ContextOptions& options);

  SegmentView segment() const override { return segment_; }
  std::byte* mapPeer(uint64_t address, const device::ShareHandle& share, size_t bytes) override;
  bool canCopy() const override { return false; }
  base::Status readPeer(void* local, uint64_t remote, size_t bytes) override;
  base::Status writePeer(uint64_t remote, const void* local, size_t bytes) override;

 private:
  ir::Rank peer_ = -1;
  SegmentView segment_;  // of the peer, in this process
};

}  // namespace tutti::transports::skeleton
