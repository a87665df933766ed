// Ranks that are threads of one process: the peer's segment and all its memory are plain addresses.
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cstring>

#include "src/base/errors.h"
#include "src/base/host.h"
#include "transports/registry.h"
#include "transports/segment.h"

namespace tutti::transports::inproc {
namespace {

using base::Code;
using base::Status;

class InprocConnection final : public Connection {
 public:
  InprocConnection(std::shared_ptr<std::byte> memory, int size)
      : memory_(std::move(memory)), segment_{memory_.get(), size} {}

  SegmentView segment() const override { return segment_; }
  std::byte* mapPeer(uint64_t address, const device::ShareHandle&, size_t) override {
    return reinterpret_cast<std::byte*>(address);
  }
  bool canCopy() const override { return true; }
  Status readPeer(void* local, uint64_t remote, size_t bytes) override {
    std::memcpy(local, reinterpret_cast<const void*>(remote), bytes);
    return {};
  }
  Status writePeer(uint64_t remote, const void* local, size_t bytes) override {
    std::memcpy(reinterpret_cast<void*>(remote), local, bytes);
    return {};
  }

 private:
  std::shared_ptr<std::byte> memory_;
  SegmentView segment_;
};

class InprocContext final : public Context {
 public:
  explicit InprocContext(const ContextOptions& options) : options_(options) {}

  // A pid alone may be used again; with its start time it is unique on this host.
  std::string descriptor() const override {
    return fmt::format("{}/{}/{}/{}", base::hostIdentity(), base::pidNamespace(), getpid(),
                       base::processStartTime(getpid()).value_or(0));
  }
  bool canReach(std::string_view peerDescriptor) const override {
    return peerDescriptor == descriptor();
  }
  ir::Reach reach() const override { return ir::Reach::kAddress; }

  std::string address() const override {
    return fmt::format("{}", reinterpret_cast<uintptr_t>(options_.segment.base));
  }

  base::Result<std::unique_ptr<Connection>> connect(ir::Rank peer,
                                                    std::string_view peerAddress) override {
    uintptr_t base = 0;
    const char* end = peerAddress.data() + peerAddress.size();
    const auto parsed = std::from_chars(peerAddress.data(), end, base);
    if (parsed.ec != std::errc() || parsed.ptr != end) {
      return Status(Code::kInternalError, 0,
                    fmt::format("rank {} sent a malformed inproc address", peer));
    }
    auto memory = keepSegment(reinterpret_cast<std::byte*>(base));
    if (memory == nullptr) {
      return Status(Code::kRemoteError, base::kErrPeerLeft,
                    fmt::format("rank {} has left before it was connected", peer));
    }
    // The address may be that of another communicator's segment by now.
    const auto* header = reinterpret_cast<const SegmentHeader*>(memory.get());
    const bool isOurs = header->magic == kSegmentMagic && header->rank == peer &&
                        header->size == options_.segment.size &&
                        std::memcmp(header->token, options_.token, sizeof(header->token)) == 0;
    if (!isOurs) {
      return Status(Code::kRemoteError, base::kErrPeerLeft,
                    fmt::format("rank {} has left before it was connected", peer));
    }
    return std::unique_ptr<Connection>(
        std::make_unique<InprocConnection>(std::move(memory), options_.segment.size));
  }

 private:
  ContextOptions options_;
};

class InprocBackend final : public Backend {
 public:
  std::string_view name() const override { return "inproc"; }
  std::string describe() const override { return "ranks as threads of one process"; }
  int preference() const override { return 100; }
  base::Result<std::unique_ptr<Context>> open(const ContextOptions& options) const override {
    return std::unique_ptr<Context>(std::make_unique<InprocContext>(options));
  }
};

}  // namespace

const Backend* backend() {
  static const InprocBackend instance;
  return &instance;
}

}  // namespace tutti::transports::inproc
