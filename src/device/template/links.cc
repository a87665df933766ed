#include "src/device/template/links.h"

#include <fmt/format.h>

#include <span>

#include "src/device/library.h"

namespace tutti::device::skeleton {

namespace {

// The few entry points, declared by hand: no header of the vendor is needed to build. Their
// structures go to links_driver.h, with the version that was read and a static_assert on each size.
struct Manager {
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  int (*getDeviceCount)(int* count) = nullptr;
  int (*getPlace)(int device, unsigned int* domain, unsigned int* bus,
                  unsigned int* slot) = nullptr;
  int (*getPeer)(int device, int port, int* peer, int* megabytes) = nullptr;
};

base::Result<Manager> openManager(const std::string& name) {
  TUTTI_ASSIGN_OR_RETURN(Library library, Library::open(std::span(&name, 1)));
  Manager manager;
  library.need("vendorInit", manager.init);
  library.need("vendorShutdown", manager.shutdown);
  library.need("vendorGetDeviceCount", manager.getDeviceCount);
  library.need("vendorGetPlace", manager.getPlace);
  library.need("vendorGetPeer", manager.getPeer);
  TUTTI_RETURN_IF_ERROR(library.missing());
  return manager;
}

// Between init and shutdown. A device that fails is a note, not a failure.
ir::DeviceLinks read(const Manager& manager) {
  constexpr int kPorts = 8;
  ir::DeviceLinks found;
  int count = 0;
  if (manager.getDeviceCount(&count) != 0) return found;
  for (int i = 0; i < count; ++i) {
    unsigned int place[3] = {};
    if (const int error = manager.getPlace(i, &place[0], &place[1], &place[2]); error != 0) {
      found.notes.push_back(fmt::format("device {}: error {}", i, error));
    }
    found.devices.push_back({ir::pciAddress(place[0], place[1], place[2], 0), "example"});
  }
  for (int i = 0; i < count; ++i) {
    for (int port = 0; port < kPorts; ++port) {
      int peer = -1;
      int megabytes = 0;
      if (manager.getPeer(i, port, &peer, &megabytes) != 0 || peer < 0 || peer >= count) continue;
      ir::addLink(found.links, {.from = found.devices[static_cast<size_t>(i)].address,
                                .to = found.devices[static_cast<size_t>(peer)].address,
                                .rate = int64_t{megabytes} * 1'000});
    }
  }
  return found;
}

class ExampleProbe final : public LinkProbe {
 public:
  std::string_view name() const override { return "example"; }
  ir::DeviceLinks probe(std::string& reason) const override {
    return probeLinks("libtutti-example-vendor.so.1", {}, reason);
  }
};

}  // namespace

ir::DeviceLinks probeLinks(const std::string& library, const std::string& root,
                           std::string& reason) {
  if (!hasPciDevice("0xffff", root)) {
    reason = "no PCI device of this vendor (0xffff)";
    return {};
  }
  const auto manager = openManager(library);
  if (!manager.isOk()) {
    reason = manager.status().text();
    return {};
  }
  if (const int error = manager->init(); error != 0) {
    reason = fmt::format("error {} from vendorInit", error);
    return {};
  }
  ir::DeviceLinks found = read(*manager);
  manager->shutdown();
  if (found.devices.empty()) reason = "the driver shows no device";
  return found;
}

const LinkProbe* linkProbe() {
  static const ExampleProbe kProbe;
  return &kProbe;
}

}  // namespace tutti::device::skeleton
