#include "topology/nccl_xml_read.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "topology/decimal.h"
#include "topology/nccl_xml_tables.h"

namespace tutti::topology {
namespace {

constexpr int64_t kMostNumber = 1'000'000'000'000;

enum class PciClass { kUnknown, kBridge, kDevice, kNic, kSwitch };

PciClass classOf(std::string_view text) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  if (text.starts_with("0680")) return PciClass::kSwitch;
  if (text.starts_with("0604") || text.starts_with("0801")) return PciClass::kBridge;
  if (text.starts_with("03") || text.starts_with("12")) return PciClass::kDevice;
  return text.starts_with("02") ? PciClass::kNic : PciClass::kUnknown;
}

// The elements in one <pci>, by what they become.
struct Contents {
  std::vector<const XmlElement*> devices;
  std::vector<const XmlElement*> nets;
  bool hasFunctions = false;  // <pci> in it
  size_t count() const { return devices.size() + nets.size(); }
};

class NcclReader {
 public:
  explicit NcclReader(std::string_view file) : file_(file) { machine().file = file_; }

  base::Result<Draft> read(const XmlElement& system) {
    TUTTI_RETURN_IF_ERROR(checkVersion(system));
    nameHosts(system);
    int32_t implicit = -1;  // the processor of what stands outside of one
    for (const XmlElement& child : system.children) {
      if (child.name == "cpu") {
        readCpu(child);
      } else {
        if (implicit < 0 && isKnown(child.name)) {
          note(child.line, fmt::format("<{}> is in no <cpu>: taken as of one more", child.name));
          implicit = addHost(child, {});
        }
        readContained(child, implicit, system);
      }
    }
    findFunctions();
    if (listedDevices_ == nextNumber_ && hosts_.size() <= 1) numberRanks(machine());
    for (const Listed& link : links_) resolve(link);
    return std::move(draft_);
  }

 private:
  // An <nvlink>, <xgmi>, <c2c> or <pcilink>, whose target may come later in the file.
  struct Listed {
    int32_t from;
    const XmlElement* element;
  };

  struct NumaNumbers {
    std::set<int32_t> used;
    int32_t free = 0;  // all below are used
  };

  Machine& machine() { return draft_.machine; }
  Part& part(int32_t index) { return machine().parts[static_cast<size_t>(index)]; }

  void note(int line, const std::string& text) {
    draft_.notes.push_back(fmt::format("{}:{}: {}", file_, line, text));
  }

  static bool isKnown(std::string_view name) {
    return name == "pci" || name == "nic" || name == "net" || name == "gpu";
  }

  void passOver(const XmlElement& element, const XmlElement& parent) {
    if (!passedOver_.insert({parent.name, element.name}).second) return;
    note(element.line,
         fmt::format("<{}> in <{}> passed over: not known there", element.name, parent.name));
  }

  // Decimal or 0x..; what is missing or empty is `fallback`, and so is what is no number, noted.
  int64_t number(const XmlElement& element, std::string_view attribute, int64_t fallback) {
    std::string_view text = element.get(attribute);
    if (text.empty()) return fallback;
    const bool isHex = text.starts_with("0x") || text.starts_with("0X");
    if (isHex) text.remove_prefix(2);
    int64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value, isHex ? 16 : 10);
    if (error == std::errc() && rest == end && value <= kMostNumber && value >= -kMostNumber) {
      return value;
    }
    note(element.line, fmt::format("<{}> {}=\"{}\" passed over: not a number that makes sense",
                                   element.name, attribute, element.get(attribute)));
    return fallback;
  }

  int32_t smallNumber(const XmlElement& element, std::string_view attribute, int32_t fallback) {
    const int64_t value = number(element, attribute, fallback);
    return value >= -1 && value <= 1'000'000 ? static_cast<int32_t>(value) : fallback;
  }

  base::Status checkVersion(const XmlElement& system) {
    if (system.name != "system") {
      return errorAt(file_, system.line, fmt::format("<{}> where <system> should be", system.name));
    }
    const std::string* version = system.find("version");
    if (version == nullptr) {
      note(system.line, "no version: read as version 1");
    } else if (*version != "1" && *version != "2") {
      return errorAt(file_, system.line,
                     fmt::format("version \"{}\" of the schema is not known: 1 (NCCL) and 2 (RCCL) "
                                 "are; convert the file or write the version that it follows",
                                 *version));
    }
    return base::Status::ok();
  }

  void nameHosts(const XmlElement& system) {
    for (const XmlElement& child : system.children) {
      if (child.name != "cpu") continue;
      hosts_.try_emplace(std::string(child.get("host_hash")), fmt::format("host{}", hosts_.size()));
    }
    if (hosts_.size() == 1) hosts_.begin()->second = "host0";
  }

  // "host1/" where ids of several hosts would be alike.
  std::string prefix(const std::string& host) const {
    return hosts_.size() > 1 && !host.empty() ? host + "/" : "";
  }

  int32_t add(Part part) {
    machine().parts.push_back(std::move(part));
    return static_cast<int32_t>(machine().parts.size()) - 1;
  }

  int32_t addHost(const XmlElement& element, std::string_view hostHash) {
    const auto named = hosts_.find(std::string(hostHash));
    Part host;
    host.kind = NodeKind::kHost;
    host.line = element.line;
    host.host = named == hosts_.end() ? "host0" : named->second;
    auto& numbers = numaNumbers_[host.host];
    int32_t number = smallNumber(element, "numaid", -1);
    if (number < 0) {
      while (numbers.used.contains(numbers.free)) ++numbers.free;
      number = numbers.free;
    }
    numbers.used.insert(number);
    host.id = fmt::format("{}numa{}", prefix(host.host), number);
    return add(std::move(host));
  }

  void readCpu(const XmlElement& cpu) {
    const int32_t index = addHost(cpu, cpu.get("host_hash"));
    const int family = smallNumber(cpu, "familyid", -1);
    const int model = smallNumber(cpu, "modelid", -1);
    Part& host = part(index);
    host.vendor = cpu.get("vendor");
    host.model = hostModel(cpu.get("arch"), family, model);
    host.rate = socketRate(host.vendor, cpu.get("arch"), family, model);
    for (const XmlElement& child : cpu.children) readContained(child, index, cpu);
  }

  void readContained(const XmlElement& element, int32_t parent, const XmlElement& container) {
    if (element.name == "pci") return readPci(element, parent);
    if (element.name == "gpu") {
      Part device = contained(element, parent, Attachment::kPci);
      return addDevice(device, element);
    }
    if (element.name == "net") return addNet(element, parent, Attachment::kNone, {});
    if (element.name != "nic") return passOver(element, container);
    for (const XmlElement& net : element.children) {
      if (net.name == "net") {
        addNet(net, parent, Attachment::kNone, {});
      } else {
        passOver(net, element);
      }
    }
  }

  Part contained(const XmlElement& element, int32_t parent, Attachment attachment) {
    Part found;
    found.parent = parent;
    found.attachment = attachment;
    found.line = element.line;
    found.host = part(parent).host;
    return found;
  }

  Contents contentsOf(const XmlElement& pci) {
    Contents contents;
    for (const XmlElement& child : pci.children) {
      if (child.name == "gpu") contents.devices.push_back(&child);
      if (child.name == "net") contents.nets.push_back(&child);
      if (child.name == "pci") contents.hasFunctions = true;
      if (child.name != "nic") continue;
      for (const XmlElement& net : child.children) {
        if (net.name == "net") contents.nets.push_back(&net);
      }
    }
    return contents;
  }

  // A function with one device or one port is that; with several things in it, it is a bridge to
  // them.
  void readPci(const XmlElement& pci, int32_t parent) {
    const PciClass pciClass = classOf(pci.get("class"));
    const Contents contents = contentsOf(pci);
    if (pciClass == PciClass::kSwitch && contents.count() == 0) return readSwitch(pci, parent);
    Part function = contained(pci, parent, Attachment::kPci);
    function.address = normalAddress(pci.get("busid"));
    const bool isAddress = function.address.empty() || isPciAddress(function.address);
    if (!isAddress) note(pci.line, fmt::format("busid=\"{}\" is no PCI address", function.address));
    function.vendor = pci.get("vendor");
    function.model = pci.get("device");
    function.pci.megatransfers = parseMegatransfers(pci.get("link_speed"));
    function.pci.lanes = smallNumber(pci, "link_width", 0);
    const bool isOne = !contents.hasFunctions && contents.count() == 1;
    const bool isLeaf = !contents.hasFunctions && contents.count() == 0;
    if (isOne && !contents.devices.empty()) return addDevice(function, *contents.devices[0]);
    if (isOne) return addNic(function, *contents.nets[0]);
    if (isLeaf && pciClass == PciClass::kDevice) return addListedDevice(function);
    if (isLeaf && pciClass == PciClass::kNic) return addListedNic(function);
    function.id = prefix(function.host) + "pci " + addressText(function);
    const Part copy = function;
    const int32_t index = add(std::move(function));
    for (const XmlElement* device : contents.devices) {
      Part piece = contained(*device, index, Attachment::kShare);
      piece.address = copy.address;
      piece.vendor = copy.vendor;
      piece.rate = nccl::kLocalRate;
      piece.provenance = Provenance::kTable;
      addDevice(piece, *device);
    }
    for (const XmlElement* net : contents.nets) addNet(*net, index, Attachment::kShare, copy);
    for (const XmlElement& child : pci.children) readInFunction(child, index, pci);
  }

  void readInFunction(const XmlElement& child, int32_t function, const XmlElement& pci) {
    if (child.name == "pci") return readPci(child, function);
    if (child.name == "pcilink") return links_.push_back({function, &child});
    if (!isKnown(child.name)) passOver(child, pci);
  }

  static std::string addressText(const Part& function) {
    return function.address.empty() ? fmt::format("of line {}", function.line) : function.address;
  }

  // The switch stays a part of its own, without a PCI link: no data goes that way.
  void readSwitch(const XmlElement& pci, int32_t parent) {
    const std::string host = part(parent).host;
    const int32_t index = switchOf(host, std::string(pci.get("fabric")), pci.line);
    functions_[{host, normalAddress(pci.get("busid"))}] = index;
    for (const XmlElement& child : pci.children) {
      if (child.name == "nvlink") {
        links_.push_back({index, &child});
      } else {
        passOver(child, pci);
      }
    }
  }

  int32_t switchOf(const std::string& host, const std::string& fabric, int line) {
    const auto [at, isNew] = fabrics_.try_emplace({host, fabric}, -1);
    if (!isNew) return at->second;
    Part found;
    found.kind = NodeKind::kSwitch;
    found.line = line;
    found.host = host;
    found.vendor = nccl::kNvidia;
    found.id = prefix(host) + std::string(nccl::kSwitchId) + (fabric.empty() ? "" : " " + fabric);
    return at->second = add(std::move(found));
  }

  // `device` has its place and what its function says. The pieces of one device list all of its
  // links each: they are the function's.
  void addDevice(Part device, const XmlElement& gpu) {
    const int32_t dev = smallNumber(gpu, "dev", -1);
    const int32_t piece = smallNumber(gpu, "mlopart", -1);
    const int32_t rank = smallNumber(gpu, "rank", -1);
    const int64_t sm = number(gpu, "sm", 0);
    device.kind = NodeKind::kRank;
    device.line = gpu.line;
    device.order = rank >= 0 ? rank : hosts_.size() > 1 ? -1 : dev;
    device.id = fmt::format("{}gpu{}", prefix(device.host), dev >= 0 ? dev : nextNumber_);
    if (piece >= 0) device.id += fmt::format(".{}", piece);
    ++nextNumber_;
    if (gpu.find("gcn") != nullptr) {
      device.model = nccl::modelOfGcn(gpu.get("gcn"));
      if (device.vendor.empty()) device.vendor = nccl::kAmd;
    } else if (sm > 0) {
      device.model = nccl::modelOfSm(sm);
      if (device.vendor.empty()) device.vendor = nccl::kNvidia;
    }
    const bool isPiece = device.attachment == Attachment::kShare;
    const int32_t function = device.parent;
    const int32_t index = add(std::move(device));
    if (isPiece && !hasLinks_.insert(function).second) return;
    if (isPiece) part(function).model = part(index).model;
    for (const XmlElement& child : gpu.children) {
      if (child.name == "nvlink" || child.name == "xgmi" || child.name == "c2c") {
        links_.push_back({isPiece ? function : index, &child});
      } else {
        passOver(child, gpu);
      }
    }
  }

  void addListedDevice(Part device) {
    device.kind = NodeKind::kRank;
    device.id = fmt::format("{}gpu{}", prefix(device.host), nextNumber_++);
    ++listedDevices_;
    note(device.line, fmt::format("pci {}: no <gpu> in it, taken as a device by its class",
                                  addressText(device)));
    add(std::move(device));
  }

  void addListedNic(Part nic) {
    nic.kind = NodeKind::kNic;
    nic.id = prefix(nic.host) + "nic " + addressText(nic);
    add(std::move(nic));
  }

  void addNet(const XmlElement& net, int32_t parent, Attachment attachment, const Part& function) {
    Part nic = contained(net, parent, attachment);
    nic.address = function.address;
    nic.vendor = function.vendor;
    nic.model = function.model;
    addNic(std::move(nic), net);
  }

  void addNic(Part nic, const XmlElement& net) {
    const std::string name(net.get("name"));
    nic.kind = NodeKind::kNic;
    nic.line = net.line;
    nic.order = smallNumber(net, "dev", -1);
    nic.id = prefix(nic.host) + "nic " + (name.empty() ? addressText(nic) : name);
    const int64_t megabits = number(net, "speed", 0);
    nic.rate = std::min(megabits * 125, kMostCapacity);
    if (megabits <= 0) nic.rate = net.get("speed").empty() ? 0 : -1;
    // Half of the network's latency at each of its two ends.
    const auto latency = scaleDecimal(net.get("latency"), 3);
    if (latency) nic.latencyNs = std::clamp<int64_t>(latency->value / 2, 0, 1'000'000'000);
    add(std::move(nic));
  }

  int32_t hostOf(int32_t index) {
    while (index >= 0 && part(index).kind != NodeKind::kHost) index = part(index).parent;
    return index;
  }

  void resolve(const Listed& link) {
    const XmlElement& element = *link.element;
    Wire wire;
    wire.from = link.from;
    wire.line = element.line;
    wire.count =
        static_cast<int32_t>(std::clamp<int64_t>(number(element, "count", 1), -(1 << 20), 1 << 20));
    if (element.name == "c2c") {
      wire.to = hostOf(link.from);
      wire.kind = LinkKind::kChip;
      wire.rate = std::clamp<int64_t>(number(element, "bw", 0), 0, kMostCapacity / 1'000) * 1'000;
      if (wire.rate == 0) return note(element.line, "<c2c> without a bandwidth left out");
    } else {
      wire.to = targetOf(link);
      if (wire.to < 0) {
        return note(element.line,
                    fmt::format("{}: <{}> to \"{}\" left out: not in this file", part(link.from).id,
                                element.name, element.get("target")));
      }
      setRate(wire, element);
    }
    machine().wires.push_back(wire);
  }

  void findFunctions() {
    for (size_t i = 0; i < machine().parts.size(); ++i) {
      const Part& p = machine().parts[i];
      if (p.attachment != Attachment::kPci || p.address.empty()) continue;
      functions_.try_emplace({p.host, p.address}, static_cast<int32_t>(i));
    }
  }

  int32_t targetOf(const Listed& link) {
    const XmlElement& element = *link.element;
    const std::string host = part(link.from).host;
    const std::string target = normalAddress(element.get("target"));
    if (target == nccl::kSwitchPlaceholder) {
      return switchOf(hosts_.size() > 1 ? std::string() : host, {}, element.line);
    }
    const auto listed = functions_.find({host, target});
    if (listed != functions_.end()) return listed->second;
    const std::string_view targetClass = element.get("tclass");
    if (targetClass.starts_with("0x068001")) return hostOf(link.from);
    const bool isSwitch = classOf(targetClass) == PciClass::kSwitch;
    return isSwitch ? switchOf(host, {}, element.line) : -1;
  }

  void setRate(Wire& wire, const XmlElement& element) {
    if (element.name == "pcilink") {
      wire.kind = LinkKind::kPci;
      wire.provenance = Provenance::kTable;
      return;
    }
    if (part(wire.to).kind == NodeKind::kHost) wire.kind = LinkKind::kChip;
    const auto own = nccl::deviceRate(part(wire.from).model);
    const auto other = nccl::deviceRate(part(wire.to).model);
    if (!own && !other) {
      wire.provenance = Provenance::kTable;
      wire.rate = element.name == "xgmi" ? nccl::xgmiRate({}) : nccl::nvlinkRate(0);
    } else {
      wire.rate = std::min(own.value_or(kMostCapacity), other.value_or(kMostCapacity));
    }
  }

  std::string file_;
  Draft draft_;
  std::map<std::string, std::string> hosts_;                          // by host_hash
  std::map<std::string, NumaNumbers> numaNumbers_;                    // by host
  std::map<std::pair<std::string, std::string>, int32_t> functions_;  // by host and address
  std::map<std::pair<std::string, std::string>, int32_t> fabrics_;    // by host and name
  std::set<std::pair<std::string, std::string>> passedOver_;  // by element around and element
  std::set<int32_t> hasLinks_;  // functions of several pieces whose links were read
  std::vector<Listed> links_;
  int32_t nextNumber_ = 0;
  int32_t listedDevices_ = 0;  // those by address and class only
};

}  // namespace

base::Result<Draft> readNcclXml(const XmlElement& system, std::string_view file) {
  return NcclReader(file).read(system);
}

}  // namespace tutti::topology
