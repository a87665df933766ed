#include "src/device/hip/links.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <utility>

#include "src/device/hip/links_driver.h"
#include "src/device/library.h"
#include "topology/nccl_xml_tables.h"

namespace tutti::device::hip {

namespace {

using ir::DeviceLink;

base::Result<Smi> openSmi(std::span<const std::string> names) {
  TUTTI_ASSIGN_OR_RETURN(Library library, Library::open(names));
  Smi smi;
  library.need("rsmi_init", smi.init);
  library.need("rsmi_shut_down", smi.shutdown);
  library.need("rsmi_num_monitor_devices", smi.getCount);
  library.need("rsmi_dev_pci_id_get", smi.getPciId);
  library.need("rsmi_topo_get_link_type", smi.getLinkType);
  library.need("rsmi_topo_get_link_weight", smi.getLinkWeight);
  TUTTI_RETURN_IF_ERROR(library.missing());
  library.find("rsmi_minmax_bandwidth_get", smi.getBandwidth);
  library.find("rsmi_status_string", smi.getStatusText);
  return smi;
}

using Models = std::map<std::string, std::string>;  // by PCI address

// "gfx90a" of 90010, which is 9.0.10, as the kernel writes it (gfx_target_version).
std::string modelOf(uint64_t version) {
  if (version == 0) return {};
  return fmt::format("gfx{}{:x}{:x}", version / 10'000, version / 100 % 100, version % 100);
}

// The devices of the kernel's driver (amdkfd): nodes with SIMD units.
Models devicesOfKernel(const std::string& root) {
  Models models;
  std::error_code error;
  std::filesystem::directory_iterator node(root + "/sys/class/kfd/kfd/topology/nodes", error);
  for (; !error && node != end(node); node.increment(error)) {
    std::ifstream file(node->path() / "properties");
    std::map<std::string, uint64_t> properties;
    std::string key;
    for (uint64_t value = 0; file >> key >> value;) properties[key] = value;
    if (properties["simd_count"] == 0) continue;
    const auto place = static_cast<uint32_t>(properties["location_id"]);
    const auto domain = static_cast<uint32_t>(properties["domain"]);
    models[ir::pciAddress(domain, place >> 8 & 0xff, place >> 3 & 0x1f, place & 7)] =
        modelOf(properties["gfx_target_version"]);
  }
  return models;
}

// Weights of a pair with a link of its own; multiples of 15 are pairs of one hive farther apart
// (amdkfd: 15 for each hop; 13 and 41 as RCCL takes them).
bool isDirect(uint64_t weight) { return weight == 13 || weight == 15 || weight == 41; }
bool isFarther(uint64_t weight) { return weight > 15 && weight % 15 == 0; }

// Between init and shutdown.
class Reader {
 public:
  Reader(const Smi& smi, const Models& models) : smi_(smi), models_(models) {}

  std::string errorText(SmiStatus status) const {
    const char* text = nullptr;
    if (smi_.getStatusText != nullptr) smi_.getStatusText(status, &text);
    return fmt::format("ROCm SMI error {} ({})", static_cast<uint32_t>(status),
                       text == nullptr ? "?" : text);
  }

  ir::DeviceLinks read(std::string& reason) {
    uint32_t count = 0;
    if (const SmiStatus status = smi_.getCount(&count); status != kSmiSuccess) {
      reason = errorText(status) + " when asked how many devices there are";
      return {};
    }
    for (uint32_t i = 0; i < count; ++i) addDevice(i);
    if (gpus_.empty()) reason = fmt::format("none of the driver's {} devices answers", count);
    for (const Gpu& gpu : gpus_) addLinks(gpu);
    return std::move(found_);
  }

 private:
  struct Gpu {
    uint32_t index = 0;
    std::string address;
    std::string model;
  };

  void note(std::string text) { found_.notes.push_back(std::move(text)); }

  // The partitions of one device have its address; the first stands for all of them.
  void addDevice(uint32_t index) {
    uint64_t id = 0;
    if (const SmiStatus status = smi_.getPciId(index, &id); status != kSmiSuccess) {
      return note(fmt::format("device {}: {}", index, errorText(status)));
    }
    Gpu gpu;
    gpu.index = index;
    gpu.address = ir::pciAddress(static_cast<uint32_t>(id >> 32), id >> 8 & 0xff, id >> 3 & 0x1f,
                                 static_cast<uint32_t>(id & 7));
    const bool isKnown = std::any_of(
        gpus_.begin(), gpus_.end(), [&](const Gpu& other) { return other.address == gpu.address; });
    if (isKnown) return;
    const auto model = models_.find(gpu.address);
    if (model != models_.end()) gpu.model = model->second;
    found_.devices.push_back({gpu.address, gpu.model});
    gpus_.push_back(std::move(gpu));
  }

  // A pair that the driver cannot tell of is left out; the far end's list may still have it.
  void addLinks(const Gpu& gpu) {
    std::string firstError;
    int errors = 0;
    for (const Gpu& other : gpus_) {
      if (other.index == gpu.index) continue;
      DeviceLink link;
      const SmiStatus status = readLink(gpu, other, link);
      if (status == kSmiSuccess && link.count > 0) found_.links.push_back(std::move(link));
      if (status == kSmiSuccess || status == kSmiNotSupported) continue;
      if (errors++ == 0) {
        firstError =
            fmt::format("{} when asked for its way to {}", errorText(status), other.address);
      }
    }
    if (errors == 0) return;
    note(fmt::format("{}: {}: links to {} device{} left out", gpu.address, firstError, errors,
                     errors == 1 ? "" : "s"));
  }

  // Count 0 where the two have none.
  SmiStatus readLink(const Gpu& gpu, const Gpu& other, DeviceLink& link) {
    link = {.from = gpu.address, .to = other.address, .count = 0};
    uint64_t hops = 0;
    uint64_t weight = 0;
    SmiLinkType type = kSmiLinkUndefined;
    SmiStatus status = smi_.getLinkType(gpu.index, other.index, &hops, &type);
    if (status != kSmiSuccess || type != kSmiLinkXgmi) return status;
    status = smi_.getLinkWeight(gpu.index, other.index, &weight);
    if (status != kSmiSuccess || isFarther(weight)) return status;
    if (!isDirect(weight)) {
      note(fmt::format("{}: weight {} of the way to {} is not known: taken as no link of its own",
                       gpu.address, weight, other.address));
      return kSmiSuccess;
    }
    setRate(gpu, other, link);
    return kSmiSuccess;
  }

  // What programs get by the device's model, but no more than the driver says that the wires carry.
  void setRate(const Gpu& gpu, const Gpu& other, DeviceLink& link) {
    constexpr uint64_t kMostRate = 10'000'000;  // MB/s; more is no rate
    constexpr uint64_t kMostLinks = 64;         // of a pair; likewise
    uint64_t one = 0;
    uint64_t all = 0;
    const bool isTold = smi_.getBandwidth != nullptr &&
                        smi_.getBandwidth(gpu.index, other.index, &one, &all) == kSmiSuccess &&
                        one > 0 && all >= one && all <= kMostRate && all / one <= kMostLinks;
    link.count = isTold ? static_cast<int32_t>(all / one) : 1;
    link.rate = topology::nccl::xgmiRate(gpu.model);
    link.isAssumed = gpu.model.empty() && !isTold;
    if (!isTold) return;
    const auto wires = static_cast<int64_t>(one) * 1'000;
    link.rate = gpu.model.empty() ? wires : std::min(link.rate, wires);
  }

  const Smi& smi_;
  const Models& models_;
  std::vector<Gpu> gpus_;
  ir::DeviceLinks found_;
};

class SmiProbe final : public LinkProbe {
 public:
  std::string_view name() const override { return "hip"; }
  ir::DeviceLinks probe(std::string& reason) const override {
    static const std::array<std::string, 6> kLibraries = {
        "librocm_smi64.so.7", "librocm_smi64.so.6", "librocm_smi64.so.5",
        "librocm_smi64.so.1", "librocm_smi64.so",   "/opt/rocm/lib/librocm_smi64.so"};
    return probeLinks(kLibraries, {}, reason);
  }
};

}  // namespace

// Without a device rsmi_init prints to stderr, so the kernel is asked first.
ir::DeviceLinks probeLinks(std::span<const std::string> libraries, const std::string& root,
                           std::string& reason) {
  const Models models = devicesOfKernel(root);
  if (models.empty()) {
    reason = "no device of the kernel's driver (/sys/class/kfd)";
    return {};
  }
  const auto smi = openSmi(libraries);
  if (!smi.isOk()) {
    reason = smi.status().text();
    return {};
  }
  Reader reader(*smi, models);
  if (const SmiStatus status = smi->init(0); status != kSmiSuccess) {
    reason = reader.errorText(status) + " from rsmi_init";
    return {};
  }
  ir::DeviceLinks found = reader.read(reason);
  smi->shutdown();
  return found;
}

const LinkProbe* linkProbe() {
  static const SmiProbe kProbe;
  return &kProbe;
}

}  // namespace tutti::device::hip
