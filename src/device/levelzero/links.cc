#include "src/device/levelzero/links.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/device/levelzero/links_driver.h"
#include "src/device/library.h"

namespace tutti::device::levelzero {

namespace {

using ir::DeviceLink;

constexpr std::string_view kIntel = "0x8086";

// Where a port does not say: half of the 53 GB/s that a link of the Data Center GPU Max has both
// ways together, by its data sheet.
constexpr int64_t kPortRate = 26'500'000;

base::Result<Sysman> openSysman(const std::string& name, bool isSysmanEnabled) {
  TUTTI_ASSIGN_OR_RETURN(Library library, Library::open(std::span(&name, 1)));
  Sysman sysman;
  if (library.find("zesInit", sysman.init)) {
    library.need("zesDriverGet", sysman.getDrivers);
    library.need("zesDeviceGet", sysman.getDevices);
  } else if (isSysmanEnabled) {
    library.need("zeInit", sysman.init);
    library.need("zeDriverGet", sysman.getDrivers);
    library.need("zeDeviceGet", sysman.getDevices);
  } else {
    return base::Status(base::Code::kDeviceError, base::kErrNoDevice,
                        fmt::format("{} has no zesInit: install version 1.9 or later, or start "
                                    "with ZES_ENABLE_SYSMAN=1",
                                    name));
  }
  library.need("zesDevicePciGetProperties", sysman.getPciProperties);
  library.need("zesDeviceEnumFabricPorts", sysman.getPorts);
  library.need("zesFabricPortGetProperties", sysman.getPortProperties);
  library.need("zesFabricPortGetState", sysman.getPortState);
  TUTTI_RETURN_IF_ERROR(library.missing());
  return sysman;
}

std::string errorText(ZeResult result) {
  return fmt::format("Level Zero error 0x{:x}", static_cast<uint32_t>(result));
}

// Lists of this interface: first how many there are, then them.
template <typename Handle, typename Get>
ZeResult list(std::vector<Handle>& handles, Get get) {
  uint32_t count = 0;
  if (const ZeResult result = get(&count, nullptr); result != kZeSuccess) return result;
  handles.resize(count);
  const ZeResult result = count == 0 ? kZeSuccess : get(&count, handles.data());
  handles.resize(std::min<size_t>(handles.size(), count));
  return result;
}

// kB/s; 0: not known.
int64_t rateOf(const ZesSpeed& speed) {
  constexpr int64_t kMostBits = 1'000'000'000'000'000;
  if (speed.bits <= 0 || speed.lanes <= 0 || speed.bits > kMostBits / speed.lanes) return 0;
  return speed.bits * speed.lanes / 8'000;
}

class Reader {
 public:
  explicit Reader(const Sysman& sysman) : sysman_(sysman) {}

  ir::DeviceLinks read(std::string& reason) {
    std::vector<ZesDriver> drivers;
    const ZeResult result =
        list(drivers, [&](uint32_t* n, ZesDriver* all) { return sysman_.getDrivers(n, all); });
    if (result != kZeSuccess) {
      reason = errorText(result) + " when asked for the drivers";
      return {};
    }
    for (const ZesDriver driver : drivers) addDriver(driver);
    if (found_.devices.empty()) reason = "the driver shows no device";
    addLinks();
    return std::move(found_);
  }

 private:
  struct Port {
    std::string address;  // of its device
    ZesPortId id;
    ZesPortId remote;
    int64_t rate = 0;
  };

  void note(std::string text) { found_.notes.push_back(std::move(text)); }

  void addDriver(ZesDriver driver) {
    std::vector<ZesDevice> devices;
    const ZeResult result = list(
        devices, [&](uint32_t* n, ZesDevice* all) { return sysman_.getDevices(driver, n, all); });
    if (result != kZeSuccess) return note("a driver's devices: " + errorText(result));
    for (const ZesDevice device : devices) addDevice(device);
  }

  // All ports of a device, or none: half of them would be taken for all that it has.
  void addDevice(ZesDevice device) {
    ZesPciProperties pci{};
    ZeResult result = sysman_.getPciProperties(device, &pci);
    if (result != kZeSuccess) return note("a device's PCI address: " + errorText(result));
    const std::string address = ir::pciAddress(pci.domain, pci.bus, pci.device, pci.function);
    found_.devices.push_back({address, {}});
    std::vector<ZesPort> handles;
    result =
        list(handles, [&](uint32_t* n, ZesPort* all) { return sysman_.getPorts(device, n, all); });
    if (result == kZeUnsupportedFeature) return;  // no ports
    std::vector<Port> ports;
    for (const ZesPort handle : handles) {
      if (result == kZeSuccess) result = addPort(address, handle, ports);
    }
    if (result != kZeSuccess) {
      return note(
          fmt::format("{}: {} at its ports: its links are left out", address, errorText(result)));
    }
    ports_.insert(ports_.end(), ports.begin(), ports.end());
  }

  ZeResult addPort(const std::string& address, ZesPort handle, std::vector<Port>& ports) const {
    ZesPortProperties properties{};
    ZesPortState state{};
    ZeResult result = sysman_.getPortProperties(handle, &properties);
    if (result == kZeSuccess) result = sysman_.getPortState(handle, &state);
    const bool isUp = state.status == kZesPortHealthy || state.status == kZesPortDegraded;
    if (result != kZeSuccess || !isUp) return result;
    int64_t rate = std::min(rateOf(state.receive), rateOf(state.send));
    if (rate == 0) rate = std::min(rateOf(properties.maxReceive), rateOf(properties.maxSend));
    ports.push_back({address, properties.id, state.remote, rate});
    return kZeSuccess;
  }

  // The pieces of one device are joined by other means; a port between them is passed over.
  void addLinks() {
    std::map<std::string, int> lost;  // by device
    for (const Port& port : ports_) {
      const auto far = std::find_if(ports_.begin(), ports_.end(),
                                    [&](const Port& other) { return other.id == port.remote; });
      if (far == ports_.end()) ++lost[port.address];
      if (far == ports_.end() || far->address == port.address) continue;
      DeviceLink link{.from = port.address, .to = far->address};
      link.rate = port.rate > 0 ? port.rate : kPortRate;
      link.isAssumed = port.rate == 0;
      ir::addLink(found_.links, link);
    }
    for (const auto& [address, count] : lost) {
      note(fmt::format("{}: {} of its ports lead to none that is up here: left out", address,
                       count));
    }
  }

  const Sysman& sysman_;
  std::vector<Port> ports_;  // that are up
  ir::DeviceLinks found_;
};

class SysmanProbe final : public LinkProbe {
 public:
  std::string_view name() const override { return "levelzero"; }
  ir::DeviceLinks probe(std::string& reason) const override {
    const bool isEnabled = base::environmentVariable("ZES_ENABLE_SYSMAN") == "1";
    return probeLinks("libze_loader.so.1", {}, isEnabled, reason);
  }
};

}  // namespace

ir::DeviceLinks probeLinks(const std::string& library, const std::string& root,
                           bool isSysmanEnabled, std::string& reason) {
  if (!hasPciDevice(kIntel, root)) {
    reason = "no PCI device of this vendor (0x8086)";
    return {};
  }
  const auto sysman = openSysman(library, isSysmanEnabled);
  if (!sysman.isOk()) {
    reason = sysman.status().text();
    return {};
  }
  if (const ZeResult result = sysman->init(0); result != kZeSuccess) {
    reason = errorText(result) + " from its init";
    return {};
  }
  return Reader(*sysman).read(reason);
}

const LinkProbe* linkProbe() {
  static const SysmanProbe kProbe;
  return &kProbe;
}

}  // namespace tutti::device::levelzero
