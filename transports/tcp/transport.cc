// Ranks on other hosts, over TCP connections of our own.
#include <memory>
#include <string>
#include <utility>

#include "transports/registry.h"
#include "transports/tcp/driver.h"

namespace tutti::transports::tcp {
namespace {

class TcpContext final : public Context {
 public:
  explicit TcpContext(std::unique_ptr<TcpDriver> driver) : driver_(std::move(driver)) {}

  // Whoever speaks this version; connecting says where there is no way.
  std::string descriptor() const override { return "tcp/1"; }
  bool canReach(std::string_view peerDescriptor) const override {
    return peerDescriptor == descriptor();
  }
  ir::Reach reach() const override { return ir::Reach::kMessage; }
  std::string address() const override { return driver_->address(); }
  base::Result<std::unique_ptr<Connection>> connect(ir::Rank peer,
                                                    std::string_view peerAddress) override {
    return driver_->connect(peer, peerAddress);
  }
  Driver* driver() override { return driver_.get(); }

 private:
  std::unique_ptr<TcpDriver> driver_;
};

class TcpBackend final : public Backend {
 public:
  std::string_view name() const override { return "tcp"; }
  std::string describe() const override {
    return "other hosts over TCP, several interfaces and connections at once";
  }
  int preference() const override { return 20; }
  bool isNetwork() const override { return true; }
  bool canEncrypt() const override { return true; }
  base::Result<std::unique_ptr<Context>> open(const ContextOptions& options) const override {
    TUTTI_ASSIGN_OR_RETURN(auto driver, TcpDriver::open(options));
    return std::unique_ptr<Context>(std::make_unique<TcpContext>(std::move(driver)));
  }
};

}  // namespace

const Backend* backend() {
  static const TcpBackend instance;
  return &instance;
}

}  // namespace tutti::transports::tcp
