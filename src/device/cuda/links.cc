#include "src/device/cuda/links.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <span>
#include <utility>

#include "src/device/cuda/links_driver.h"
#include "src/device/library.h"
#include "topology/nccl_xml_tables.h"

namespace tutti::device::cuda {

namespace {

using ir::DeviceLink;
using ir::LinkEnd;

base::Result<Nvml> openNvml(const std::string& name) {
  TUTTI_ASSIGN_OR_RETURN(Library library, Library::open(std::span(&name, 1)));
  Nvml nvml;
  library.need("nvmlInit_v2", nvml.init);
  library.need("nvmlShutdown", nvml.shutdown);
  library.need("nvmlDeviceGetCount_v2", nvml.getCount);
  library.need("nvmlDeviceGetHandleByIndex_v2", nvml.getHandle);
  library.need("nvmlDeviceGetPciInfo_v3", nvml.getPciInfo);
  library.need("nvmlDeviceGetNvLinkState", nvml.getLinkState);
  library.need("nvmlDeviceGetNvLinkRemotePciInfo_v2", nvml.getRemotePciInfo);
  TUTTI_RETURN_IF_ERROR(library.missing());
  library.find("nvmlErrorString", nvml.getErrorText);
  library.find("nvmlDeviceGetCudaComputeCapability", nvml.getCapability);
  library.find("nvmlDeviceGetNvLinkRemoteDeviceType", nvml.getRemoteType);
  library.find("nvmlDeviceGetFieldValues", nvml.getFields);
  return nvml;
}

// Between init and shutdown.
class Reader {
 public:
  Reader(const Nvml& nvml, const std::string& root) : nvml_(nvml), root_(root) {}

  std::string errorText(int error) const {
    const char* text = nvml_.getErrorText == nullptr ? nullptr : nvml_.getErrorText(error);
    return fmt::format("NVML error {} ({})", error, text == nullptr ? "?" : text);
  }

  ir::DeviceLinks read(std::string& reason) {
    unsigned int count = 0;
    if (const int error = nvml_.getCount(&count); error != kNvmlSuccess) {
      reason = errorText(error) + " when asked how many devices there are";
      return {};
    }
    for (unsigned int i = 0; i < count; ++i) addDevice(i);
    if (gpus_.empty()) reason = fmt::format("none of the driver's {} devices answers", count);
    for (const Gpu& gpu : gpus_) addLinks(gpu);
    return std::move(found_);
  }

 private:
  struct Gpu {
    NvmlDevice handle = nullptr;
    std::string address;
    int sm = 0;  // compute capability: 90 of 9.0; 0: not known
  };

  static std::string addressOf(const NvmlPciInfo& info) {
    return ir::pciAddress(info.domain, info.bus, info.device, 0);
  }

  void note(std::string text) { found_.notes.push_back(std::move(text)); }

  void addDevice(unsigned int index) {
    Gpu gpu;
    NvmlPciInfo info{};
    int error = nvml_.getHandle(index, &gpu.handle);
    if (error == kNvmlSuccess) error = nvml_.getPciInfo(gpu.handle, &info);
    if (error != kNvmlSuccess) return note(fmt::format("device {}: {}", index, errorText(error)));
    gpu.address = addressOf(info);
    int major = 0;
    int minor = 0;
    if (nvml_.getCapability != nullptr &&
        nvml_.getCapability(gpu.handle, &major, &minor) == kNvmlSuccess) {
      gpu.sm = major * 10 + minor;
    }
    found_.devices.push_back({gpu.address, gpu.sm > 0 ? topology::nccl::modelOfSm(gpu.sm) : ""});
    gpus_.push_back(std::move(gpu));
  }

  // All links of a device, or none: what one that fails midway has listed would count as all that
  // it has, while what the far ends list still tells of it.
  void addLinks(const Gpu& gpu) {
    std::vector<DeviceLink> links;
    int hidden = 0;
    for (unsigned int i = 0; i < kNvmlMostLinks; ++i) {
      int isActive = 0;
      const int error = nvml_.getLinkState(gpu.handle, i, &isActive);
      if (error == kNvmlInvalidArgument || error == kNvmlNotSupported) continue;  // no such link
      if (error != kNvmlSuccess) {
        return note(fmt::format("{}: {} at link {}: its links are left out", gpu.address,
                                errorText(error), i));
      }
      if (isActive == 0) continue;
      bool isGuess = false;
      ir::addLink(links, linkOf(gpu, i, isGuess));
      hidden += isGuess ? 1 : 0;
    }
    if (hidden > 0) {
      note(
          fmt::format("{}: the driver does not say where {} of its links lead: taken as to a "
                      "switch that this machine does not show",
                      gpu.address, hidden));
    }
    found_.links.insert(found_.links.end(), links.begin(), links.end());
  }

  DeviceLink linkOf(const Gpu& gpu, unsigned int index, bool& isGuess) const {
    DeviceLink link;
    link.from = gpu.address;
    link.rate = rateOf(gpu, index, link.isAssumed);
    NvmlPciInfo remote{};
    if (nvml_.getRemotePciInfo(gpu.handle, index, &remote) == kNvmlSuccess) {
      link.to = addressOf(remote);
    }
    link.end = endOf(gpu, index, link.to, isGuess);
    if (link.end == LinkEnd::kHost || isGuess) link.to.clear();
    return link;
  }

  LinkEnd endOf(const Gpu& gpu, unsigned int index, const std::string& to, bool& isGuess) const {
    int type = -1;
    if (nvml_.getRemoteType != nullptr &&
        nvml_.getRemoteType(gpu.handle, index, &type) == kNvmlSuccess) {
      if (type == kNvmlRemoteGpu) return LinkEnd::kDevice;
      if (type == kNvmlRemoteNpu) return LinkEnd::kHost;
      if (type == kNvmlRemoteSwitch) return LinkEnd::kSwitch;
    }
    const bool isDevice = std::any_of(gpus_.begin(), gpus_.end(),
                                      [&](const Gpu& other) { return other.address == to; });
    if (isDevice) return LinkEnd::kDevice;
    // PCI class 0x0680 is "bridge, other": NVSwitches, and with 01 POWER processors.
    const std::string pciClass = classOf(to);
    if (pciClass.starts_with("0x068001")) return LinkEnd::kHost;
    // NCCL takes what nobody knows for a hidden switch, too (NVIDIA/nccl issue 1182).
    isGuess = !pciClass.starts_with("0x0680");
    return LinkEnd::kSwitch;
  }

  std::string classOf(const std::string& address) const {
    std::ifstream file(root_ + "/sys/bus/pci/devices/" + address + "/class");
    std::string text;
    file >> text;
    return text;
  }

  // What programs get by the device's model, but no more than the driver says that the wires carry.
  int64_t rateOf(const Gpu& gpu, unsigned int index, bool& isAssumed) const {
    const int64_t wires = wireRate(gpu, index);
    isAssumed = gpu.sm == 0 && wires == 0;
    const int64_t programs = topology::nccl::nvlinkRate(gpu.sm);
    if (wires == 0) return programs;
    return gpu.sm == 0 ? wires : std::min(wires, programs);
  }

  // In kB/s; 0: not told.
  int64_t wireRate(const Gpu& gpu, unsigned int index) const {
    if (nvml_.getFields == nullptr) return 0;
    std::array<NvmlFieldValue, 2> values{};
    values[0].field = kNvmlFieldSpeedOfLink;
    values[0].scope = index;
    values[1].field = kNvmlFieldSpeedOfAll;
    if (nvml_.getFields(gpu.handle, static_cast<int>(values.size()), values.data()) != 0) return 0;
    for (const NvmlFieldValue& value : values) {
      if (value.status != kNvmlSuccess) continue;
      const bool isWide = value.type == kNvmlTypeUnsignedLongLong;
      if (!isWide && value.type != kNvmlTypeUnsignedInt) continue;
      const uint64_t megabytes = isWide ? value.value.wide : value.value.number;
      if (megabytes > 0 && megabytes < 1'000'000) return static_cast<int64_t>(megabytes) * 1'000;
    }
    return 0;
  }

  const Nvml& nvml_;
  const std::string& root_;
  std::vector<Gpu> gpus_;
  ir::DeviceLinks found_;
};

class NvmlProbe final : public LinkProbe {
 public:
  std::string_view name() const override { return "cuda"; }
  ir::DeviceLinks probe(std::string& reason) const override {
    return probeLinks("libnvidia-ml.so.1", {}, reason);
  }
};

}  // namespace

ir::DeviceLinks probeLinks(const std::string& library, const std::string& root,
                           std::string& reason) {
  if (!hasPciDevice(topology::nccl::kNvidia, root)) {
    reason = "no PCI device of this vendor (0x10de)";
    return {};
  }
  const auto nvml = openNvml(library);
  if (!nvml.isOk()) {
    reason = nvml.status().text();
    return {};
  }
  Reader reader(*nvml, root);
  if (const int error = nvml->init(); error != kNvmlSuccess) {
    reason = reader.errorText(error) + " from nvmlInit_v2";
    return {};
  }
  ir::DeviceLinks found = reader.read(reason);
  nvml->shutdown();
  return found;
}

const LinkProbe* linkProbe() {
  static const NvmlProbe kProbe;
  return &kProbe;
}

}  // namespace tutti::device::cuda
