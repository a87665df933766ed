// Ranks on other hosts, through libfabric: EFA, Slingshot, InfiniBand, Omni-Path, TCP.
#include <fmt/format.h>

#include "src/base/host.h"
#include "src/base/interfaces.h"
#include "transports/ofi/connection.h"
#include "transports/ofi/provider.h"
#include "transports/registry.h"

namespace tutti::transports::ofi {
namespace {

// Before and after the transport `tcp` (20); UCX comes before it on its fabrics (30).
constexpr int kFast = 25;
constexpr int kPlain = 10;

// Endpoints of one provider that speak one protocol and know addresses of one kind reach each
// other, within a host where the provider does not leave it.
std::string describeNetwork(const fi_info& network) {
  const std::string provider = network.fabric_attr->prov_name;
  auto text = fmt::format("ofi {} protocol {}.{} addresses {}", provider, network.ep_attr->protocol,
                          network.ep_attr->protocol_version, network.addr_format);
  if (staysWithinHost(provider)) {
    text += fmt::format(" on {}/{}", base::realHostIdentity(), base::pidNamespace());
  }
  return text;
}

class OfiContext final : public Context {
 public:
  OfiContext(std::unique_ptr<Port> port, const fi_info& network)
      : port_(std::move(port)),
        descriptor_(describeNetwork(network)),
        provider_(network.fabric_attr->prov_name) {}

  std::string descriptor() const override { return descriptor_; }
  bool canReach(std::string_view peerDescriptor) const override {
    return peerDescriptor == descriptor_;
  }
  ir::Reach reach() const override { return ir::Reach::kMessage; }
  std::string address() const override { return port_->address(); }
  base::Result<std::unique_ptr<Connection>> connect(ir::Rank peer,
                                                    std::string_view peerAddress) override {
    return port_->connect(peer, peerAddress);
  }
  int preference(int usual) const override { return isFast(provider_) ? usual : kPlain; }
  Driver* driver() override { return port_.get(); }

 private:
  std::unique_ptr<Port> port_;
  std::string descriptor_;
  std::string provider_;
};

class OfiBackend final : public Backend {
 public:
  std::string_view name() const override { return "ofi"; }
  std::string describe() const override {
    const auto& opened = library();
    if (!opened.isOk()) {
      return fmt::format("other hosts over libfabric; not usable: {}", opened.status().text());
    }
    const uint32_t version = opened->version();
    return fmt::format("other hosts over libfabric {}.{}", FI_MAJOR(version), FI_MINOR(version));
  }
  int preference() const override { return base::rdmaDevices().empty() ? kPlain : kFast; }
  bool isNetwork() const override { return true; }
  std::string note() const override { return base::rdmaDevicesText(); }
  base::Result<std::unique_ptr<Context>> open(const ContextOptions& options) const override {
    const auto& opened = library();
    if (!opened.isOk()) return opened.status();
    TUTTI_ASSIGN_OR_RETURN(const fi_info* chosen, network(*opened, options.addresses));
    TUTTI_ASSIGN_OR_RETURN(auto port, Port::open(*opened, *chosen, options));
    return std::unique_ptr<Context>(std::make_unique<OfiContext>(std::move(port), *chosen));
  }
};

}  // namespace

const Backend* backend() {
  static const OfiBackend instance;
  return &instance;
}

}  // namespace tutti::transports::ofi
