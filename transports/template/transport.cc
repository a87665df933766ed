#include "transports/template/transport.h"

#include <fmt/format.h>

#include "src/base/host.h"
#include "transports/template/connection.h"

namespace tutti::transports::skeleton {
namespace {

class ExampleContext final : public Context {
 public:
  explicit ExampleContext(const ContextOptions& options) : options_(options) {}

  // Equal strings reach each other: name what two ranks must share. Here, a host.
  std::string descriptor() const override {
    return fmt::format("example/{}", base::hostIdentity());
  }
  bool canReach(std::string_view peerDescriptor) const override {
    return peerDescriptor == descriptor();
  }
  // The segment of a peer is mapped; its other memory is not addressable as it is.
  ir::Reach reach() const override { return ir::Reach::kMapped; }
  // Whatever connect() of the peer needs. Peers are authenticated, but parse it with care all the
  // same: they may be of another version.
  std::string address() const override { return "nowhere"; }

  base::Result<std::unique_ptr<Connection>> connect(ir::Rank peer,
                                                    std::string_view peerAddress) override {
    return ExampleConnection::open(peer, peerAddress, options_);
  }

 private:
  ContextOptions options_;
};

class ExampleBackend final : public Backend {
 public:
  std::string_view name() const override { return "example"; }
  std::string describe() const override { return "an example that reaches nobody"; }
  int preference() const override { return 0; }
  // Fails, with the reason, where the transport cannot work in this process; init goes on without.
  base::Result<std::unique_ptr<Context>> open(const ContextOptions& options) const override {
    return std::unique_ptr<Context>(std::make_unique<ExampleContext>(options));
  }
};

}  // namespace

const Backend* backend() {
  static const ExampleBackend kBackend;
  return &kBackend;
}

}  // namespace tutti::transports::skeleton
