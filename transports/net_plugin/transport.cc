// Ranks on other hosts, through a network plugin that was made for NCCL or RCCL.
#include <fmt/format.h>
#include <strings.h>

#include <string>

#include "src/base/config.h"
#include "src/ir/world.h"
#include "transports/net_plugin/connection.h"
#include "transports/net_plugin/devices.h"
#include "transports/net_plugin/library.h"
#include "transports/registry.h"

namespace tutti::transports::net_plugin {
namespace {

// Who names a plugin wants it, as with NCCL: before every network of our own. One that is merely
// there comes after UCX on its fabrics (30), and before libfabric (25); if it is of sockets, after
// our own TCP connections (20).
constexpr int kAskedFor = 35;
constexpr int kFoundThere = 28;
constexpr int kOfSockets = 10;
constexpr int kNotThere = 1;

class NetPluginContext final : public Context {
 public:
  NetPluginContext(std::unique_ptr<Port> port, const Network& network)
      : port_(std::move(port)), descriptor_(fmt::format("net_plugin {}", network.name)) {}

  std::string descriptor() const override { return descriptor_; }
  bool canReach(std::string_view peerDescriptor) const override {
    return peerDescriptor == descriptor_;
  }
  ir::Reach reach() const override { return ir::Reach::kMessage; }
  // Peers are told one handle each.
  std::string address() const override { return {}; }
  base::Result<std::unique_ptr<Connection>> connect(ir::Rank peer, std::string_view) override {
    return port_->connect(peer);
  }
  bool wantsIntroductions() const override { return true; }
  std::vector<std::string> introductions() override { return port_->introductions(); }
  void admit(const std::vector<std::string>& introductions) override {
    port_->admit(introductions);
  }
  Driver* driver() override { return port_.get(); }

 private:
  std::unique_ptr<Port> port_;
  std::string descriptor_;
};

class NetPluginBackend final : public Backend {
 public:
  std::string_view name() const override { return "net_plugin"; }
  std::string describe() const override {
    if (!found().isThere && !found().isAskedFor) return "plugins made for NCCL: none is there";
    const auto& usable = network();
    if (!usable.isOk()) {
      return fmt::format("other hosts over a plugin made for NCCL; not usable: {}",
                         usable.status().text());
    }
    return fmt::format("other hosts over {}, v{} {}: {}", usable->file, usable->plugin->version(),
                       usable->name, namesOf(usable->devices));
  }
  int preference() const override {
    const Found& there = found();
    // Tried, so that the log says why it can not be used.
    if (there.isAskedFor) return kAskedFor;
    if (!there.isThere) return kNotThere;
    return there.isOfSockets ? kOfSockets : kFoundThere;
  }
  bool isNetwork() const override { return true; }
  bool answersTo(std::string_view name) const override {
    const auto& usable = network();
    return usable.isOk() && strcasecmp(usable->name.c_str(), std::string(name).c_str()) == 0;
  }
  std::string note() const override { return found().text; }
  base::Result<std::unique_ptr<Context>> open(const ContextOptions& options) const override {
    const auto& usable = network();
    if (!usable.isOk()) return usable.status();
    TUTTI_ASSIGN_OR_RETURN(auto port, Port::open(*usable, options));
    return std::unique_ptr<Context>(std::make_unique<NetPluginContext>(std::move(port), *usable));
  }
};

}  // namespace

const Backend* backend() {
  static const NetPluginBackend instance;
  return &instance;
}

}  // namespace tutti::transports::net_plugin
