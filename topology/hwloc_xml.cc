#include "topology/hwloc_xml.h"

#include <fmt/format.h>

#include <charconv>
#include <map>

#include "topology/decimal.h"

namespace tutti::topology {
namespace {

// Values of osdev_type: a number up to version 2, one of several bits since version 3.
struct OsDeviceTypes {
  std::string_view network, rdma, coprocessor;
};
constexpr OsDeviceTypes kTypes2{"2", "3", "5"};
constexpr OsDeviceTypes kTypes3{"16", "32", "8"};

// hwloc gives what a link's wires carry, in GB/s.
PciLink linkOfRate(std::string_view text) {
  const auto rate = scaleDecimal(text, 6);
  if (!rate || rate->value <= 0) return {};
  for (const int32_t lanes : {16, 8, 4, 2, 1, 12, 32}) {
    for (const int32_t speed : {2'500, 5'000, 8'000, 16'000, 32'000, 64'000}) {
      const int64_t wire = wireRate({speed, lanes});
      const int64_t distance = wire > rate->value ? wire - rate->value : rate->value - wire;
      if (distance <= wire / 100) return {speed, lanes};
    }
  }
  return {};
}

// The lowest index in "0x00000003" or "0x1,0x00000000" (words of 32 bits, the highest first); else
// -1.
int32_t firstOfSet(std::string_view text) {
  int32_t base = 0;
  while (!text.empty()) {
    const size_t comma = text.rfind(',');
    std::string_view word = comma == text.npos ? text : text.substr(comma + 1);
    text = comma == text.npos ? std::string_view() : text.substr(0, comma);
    if (word.starts_with("0x")) word.remove_prefix(2);
    uint32_t bits = 0;
    std::from_chars(word.data(), word.data() + word.size(), bits, 16);
    if (bits != 0) return base + __builtin_ctz(bits);
    base += 32;
  }
  return -1;
}

std::string_view infoOf(const XmlElement& object, std::string_view name) {
  for (const XmlElement& child : object.children) {
    if (child.name == "info" && child.get("name") == name) return child.get("value");
  }
  return {};
}

int toInt(std::string_view text, int fallback) {
  int value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() ? value : fallback;
}

class HwlocReader {
 public:
  explicit HwlocReader(std::string_view file) { machine().file = file; }

  base::Result<Draft> read(const XmlElement& root) {
    if (root.get("version").starts_with("3")) types_ = kTypes3;
    findNodes(root, {});
    if (hosts_.empty()) addHost(0, root.line, {});
    walk(root, hosts_.begin()->second);
    numberRanks(machine());
    return std::move(draft_);
  }

 private:
  struct Processor {
    std::string_view arch, vendor;
    int family = -1;
    int model = -1;
  };

  Machine& machine() { return draft_.machine; }

  int32_t add(Part part) {
    machine().parts.push_back(std::move(part));
    return static_cast<int32_t>(machine().parts.size()) - 1;
  }

  void addHost(int32_t index, int line, const Processor& processor) {
    if (hosts_.contains(index)) return;
    Part host;
    host.kind = NodeKind::kHost;
    host.line = line;
    host.host = "host0";
    host.id = fmt::format("numa{}", index);
    host.vendor = processor.vendor;
    host.model = hostModel(processor.arch, processor.family, processor.model);
    host.rate = socketRate(processor.vendor, processor.arch, processor.family, processor.model);
    hosts_[index] = add(std::move(host));
  }

  // NUMA nodes with the processor around them. Memory without processors (bit sets differ) is one,
  // too: devices may be near it.
  void findNodes(const XmlElement& object, Processor processor) {
    if (const auto arch = infoOf(object, "Architecture"); !arch.empty()) processor.arch = arch;
    if (const auto vendor = infoOf(object, "CPUVendor"); !vendor.empty()) {
      processor.vendor = vendor;
      processor.family = toInt(infoOf(object, "CPUFamilyNumber"), -1);
      processor.model = toInt(infoOf(object, "CPUModelNumber"), -1);
    }
    if (object.get("type") == "NUMANode") {
      addHost(toInt(object.get("os_index"), 0), object.line, processor);
    }
    for (const XmlElement& child : object.children) {
      if (child.name == "object") findNodes(child, processor);
    }
  }

  // `parent` is the host or bridge that what comes next hangs on.
  void walk(const XmlElement& object, int32_t parent) {
    const auto near = hosts_.find(firstOfSet(object.get("nodeset")));
    if (near != hosts_.end()) parent = near->second;
    const std::string_view type = object.get("type");
    if (type == "PCIDev") return addFunction(object, parent);
    // A host bridge is where the PCI tree begins: no link of its own.
    const bool isBridge = type == "Bridge" && object.get("bridge_type").starts_with("1");
    if (isBridge) {
      Part bridge = function(object, parent);
      bridge.id = "pci " + bridge.address;
      parent = add(std::move(bridge));
    }
    for (const XmlElement& child : object.children) {
      if (child.name == "object") walk(child, parent);
    }
  }

  Part function(const XmlElement& object, int32_t parent) {
    Part part;
    part.attachment = Attachment::kPci;
    part.parent = parent;
    part.line = object.line;
    part.host = "host0";
    part.address = normalAddress(object.get("pci_busid"));
    part.pci = linkOfRate(object.get("pci_link_speed"));
    // "0302 [10de:20b0] [10de:134f] a1"
    const std::string_view type = object.get("pci_type");
    if (type.size() >= 16 && type[5] == '[' && type[10] == ':') {
      part.vendor = "0x" + std::string(type.substr(6, 4));
      part.model = "0x" + std::string(type.substr(11, 4));
    }
    return part;
  }

  void addFunction(const XmlElement& object, int32_t parent) {
    const std::string_view type = object.get("pci_type");
    std::string_view network, rdma;
    bool isCoprocessor = false;
    bool canRender = false;
    for (const XmlElement& child : object.children) {
      const std::string_view deviceType = child.get("osdev_type");
      if (child.name != "object" || child.get("type") != "OSDev") continue;
      if (deviceType == types_.network) network = child.get("name");
      if (deviceType == types_.rdma) rdma = child.get("name");
      isCoprocessor = isCoprocessor || deviceType == types_.coprocessor;
      canRender = canRender || child.get("name").starts_with("renderD");
    }
    Part part = function(object, parent);
    if (isCoprocessor || type.starts_with("03") || type.starts_with("12")) {
      part.kind = NodeKind::kRank;
      part.mayBeConsole = type.starts_with("0300") && !isCoprocessor && !canRender;
    } else if (type.starts_with("02")) {
      part.kind = NodeKind::kNic;
      part.hasRdma = !rdma.empty();
      part.id = fmt::format("nic {}", part.hasRdma      ? rdma
                                      : network.empty() ? std::string_view(part.address)
                                                        : network);
    } else {
      return;
    }
    add(std::move(part));
  }

  Draft draft_;
  OsDeviceTypes types_ = kTypes2;
  std::map<int32_t, int32_t> hosts_;  // parts by index of NUMA node
};

}  // namespace

base::Result<Draft> readHwlocXml(const XmlElement& root, std::string_view file) {
  return HwlocReader(file).read(root);
}

}  // namespace tutti::topology
