// Ranks that are processes of one host: segments and shareable user memory are mapped through
// /proc/<pid>/fd/<fd>; other user memory is copied by the kernel where that is permitted.
#include <fmt/format.h>

#include <cstdio>

#include "src/base/errors.h"
#include "src/base/host.h"
#include "transports/registry.h"
#include "transports/shm/connection.h"

namespace tutti::transports::shm {
namespace {

using base::Code;
using base::Status;

std::string encode(const device::ShareHandle& share, uint64_t tokenAddress) {
  return fmt::format("{} {} {} {} {}", share.pid, share.fd, share.inode, share.length,
                     tokenAddress);
}

bool decode(const std::string& text, device::ShareHandle& share, uint64_t& tokenAddress) {
  unsigned long inode = 0;
  unsigned long length = 0;
  unsigned long address = 0;
  const int fields = std::sscanf(text.c_str(), "%d %d %lu %lu %lu", &share.pid, &share.fd, &inode,
                                 &length, &address);
  share.inode = inode;
  share.length = length;
  tokenAddress = address;
  return fields == 5;
}

class ShmContext final : public Context {
 public:
  explicit ShmContext(const ContextOptions& options) : options_(options) {}

  // A process is reached through its entry in /proc, so both sides must see the same ones.
  std::string descriptor() const override {
    return fmt::format("{}/{}", base::hostIdentity(), base::pidNamespace());
  }
  bool canReach(std::string_view peerDescriptor) const override {
    return peerDescriptor == descriptor();
  }
  ir::Reach reach() const override { return ir::Reach::kMapped; }

  std::string address() const override {
    return encode(options_.segmentShare,
                  reinterpret_cast<uint64_t>(options_.segment.header().token));
  }

  base::Result<std::unique_ptr<Connection>> connect(ir::Rank peer,
                                                    std::string_view peerAddress) override {
    device::ShareHandle share;
    uint64_t tokenAddress = 0;
    if (!decode(std::string(peerAddress), share, tokenAddress)) {
      return Status(Code::kInternalError, 0,
                    fmt::format("rank {} sent a malformed shm address", peer));
    }
    return ShmConnection::open(peer, share, tokenAddress, options_);
  }

 private:
  ContextOptions options_;
};

class ShmBackend final : public Backend {
 public:
  std::string_view name() const override { return "shm"; }
  std::string describe() const override {
    return "processes of one host, shared memory files and kernel-assisted copies";
  }
  int preference() const override { return 50; }
  base::Result<std::unique_ptr<Context>> open(const ContextOptions& options) const override {
    return std::unique_ptr<Context>(std::make_unique<ShmContext>(options));
  }
};

}  // namespace

const Backend* backend() {
  static const ShmBackend instance;
  return &instance;
}

}  // namespace tutti::transports::shm
