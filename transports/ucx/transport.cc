// Ranks on other hosts, through UCX: TCP, RDMA, whatever it finds.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>

#include "src/base/interfaces.h"
#include "transports/registry.h"
#include "transports/ucx/connection.h"

namespace tutti::transports::ucx {
namespace {

// Before and after the transport `tcp` (20), which over TCP does better; and no stranger gets at
// its ports.
constexpr int kFast = 30;
constexpr int kPlain = 15;

class UcxContext final : public Context {
 public:
  explicit UcxContext(std::unique_ptr<Worker> worker) : worker_(std::move(worker)) {}

  // Who has UCX can be reached, or connecting says why not.
  std::string descriptor() const override { return "ucx"; }
  bool canReach(std::string_view peerDescriptor) const override {
    return peerDescriptor == descriptor();
  }
  ir::Reach reach() const override { return ir::Reach::kMessage; }
  std::string address() const override { return worker_->address(); }
  base::Result<std::unique_ptr<Connection>> connect(ir::Rank peer,
                                                    std::string_view peerAddress) override {
    return worker_->connect(peer, peerAddress);
  }
  bool wantsIntroductions() const override { return worker_->isGuarded(); }
  std::vector<std::string> introductions() override { return worker_->introductions(); }
  void admit(const std::vector<std::string>& introductions) override {
    worker_->admit(introductions);
  }
  Driver* driver() override { return worker_.get(); }

 private:
  std::unique_ptr<Worker> worker_;
};

class UcxBackend final : public Backend {
 public:
  std::string_view name() const override { return "ucx"; }
  std::string describe() const override {
    const auto& opened = library();
    if (!opened.isOk()) {
      return fmt::format("other hosts over UCX; not usable: {}", opened.status().text());
    }
    return fmt::format("other hosts over UCX {}", opened->versionString());
  }
  int preference() const override { return base::rdmaDevices().empty() ? kPlain : kFast; }
  bool isNetwork() const override { return true; }
  std::string note() const override { return base::rdmaDevicesText(); }
  base::Result<std::unique_ptr<Context>> open(const ContextOptions& options) const override {
    const auto& opened = library();
    if (!opened.isOk()) return opened.status();
    TUTTI_ASSIGN_OR_RETURN(auto worker, Worker::open(*opened, options));
    return std::unique_ptr<Context>(std::make_unique<UcxContext>(std::move(worker)));
  }
};

}  // namespace

const Backend* backend() {
  static const UcxBackend instance;
  return &instance;
}

}  // namespace tutti::transports::ucx
