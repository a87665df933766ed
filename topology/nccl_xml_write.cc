#include "topology/nccl_xml.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "src/base/errors.h"
#include "src/base/hash.h"
#include "topology/decimal.h"
#include "topology/differences.h"
#include "topology/load.h"
#include "topology/machine.h"
#include "topology/nccl_xml_tables.h"
#include "topology/xml.h"

namespace tutti::topology {
namespace {

constexpr int32_t kSpeeds[] = {2'500, 5'000, 8'000, 16'000, 32'000, 64'000};
constexpr int32_t kLanes[] = {16, 8, 4, 2, 1, 12, 32};
constexpr int64_t kNetSpeeds[] = {10'000,  25'000,  40'000,  50'000,
                                  100'000, 200'000, 400'000, 800'000};

// The link that gives exactly `rate`, 16 lanes preferred.
std::optional<PciLink> exactLink(int64_t rate) {
  for (const int32_t lanes : kLanes) {
    for (const int32_t speed : kSpeeds) {
      if (effectiveRate({speed, lanes}) == rate) return PciLink{speed, lanes};
    }
  }
  return std::nullopt;
}

// The fastest link of up to `rate`, but at least the slowest one.
PciLink linkBelow(int64_t rate) {
  PciLink best{kSpeeds[0], 1};
  for (const int32_t lanes : kLanes) {
    for (const int32_t speed : kSpeeds) {
      const PciLink link{speed, lanes};
      if (effectiveRate(link) <= rate && effectiveRate(link) > effectiveRate(best)) best = link;
    }
  }
  return best;
}

// The slowest link of 16 lanes for a NIC of that rate.
PciLink linkAbove(int64_t rate) {
  for (const int32_t speed : kSpeeds) {
    if (effectiveRate({speed, 16}) >= rate) return {speed, 16};
  }
  return {kSpeeds[std::size(kSpeeds) - 1], 32};
}

std::string speedText(PciLink link) {
  return fmt::format("{}.{} GT/s PCIe", link.megatransfers / 1'000,
                     link.megatransfers % 1'000 / 100);
}

class NcclWriter {
 public:
  explicit NcclWriter(const Topology& topology)
      : topology_(topology),
        adjacency_(adjacency(topology)),
        ranks_(topology.rankOfNode()),
        children_(topology.nodes.size()),
        nicNumbers_(topology.nodes.size()),
        parent_(topology.nodes.size(), -1),
        parentLink_(topology.nodes.size(), -1) {}

  std::string write() {
    countHosts();
    findParents();
    nameFunctions();
    const bool isAmd =
        std::any_of(topology_.nodes.begin(), topology_.nodes.end(), [](const Node& node) {
          return node.kind == NodeKind::kRank && node.model.starts_with("gfx");
        });
    line("<system version=\"{}\">", isAmd ? 2 : 1);
    ++depth_;
    for (NodeIndex i = 0; i < count(); ++i) {
      if (node(i).kind == NodeKind::kHost) writeHost(i);
    }
    for (const std::string& host : orphanHosts()) writeOrphans(host);
    --depth_;
    line("</system>");
    return std::move(text_);
  }

 private:
  NodeIndex count() const { return static_cast<NodeIndex>(topology_.nodes.size()); }
  const Node& node(NodeIndex index) const { return topology_.nodes[static_cast<size_t>(index)]; }
  const Link& link(LinkIndex index) const { return topology_.links[static_cast<size_t>(index)]; }
  const std::vector<LinkIndex>& out(NodeIndex index) const {
    return adjacency_.out[static_cast<size_t>(index)];
  }

  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    text_.append(2 * depth_, ' ');
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    text_ += '\n';
  }

  // NICs are numbered within their host.
  void countHosts() {
    std::set<std::string_view> hosts;
    std::map<std::string_view, int> nics;
    for (size_t i = 0; i < topology_.nodes.size(); ++i) {
      const Node& n = topology_.nodes[i];
      if (n.kind == NodeKind::kHost) hosts.insert(n.host);
      if (n.kind == NodeKind::kNic) nicNumbers_[i] = nics[n.host]++;
    }
    hasSeveralHosts_ = hosts.size() > 1;
  }

  // The tree of containers: what PCI links reach from the processors, breadth first.
  void findParents() {
    std::vector<NodeIndex> open;
    for (NodeIndex i = 0; i < count(); ++i) {
      if (node(i).kind == NodeKind::kHost) open.push_back(i);
    }
    for (size_t next = 0; next < open.size(); ++next) {
      for (const LinkIndex index : out(open[next])) {
        const Link& l = link(index);
        const NodeKind kind = node(l.to).kind;
        const bool isPiece = kind == NodeKind::kRank && l.kind == LinkKind::kOther;
        const bool canContain = l.kind == LinkKind::kPci || isPiece;
        const bool isTaken = parent_[static_cast<size_t>(l.to)] >= 0;
        if (!canContain || isTaken || kind == NodeKind::kHost || kind == NodeKind::kSwitch)
          continue;
        parent_[static_cast<size_t>(l.to)] = l.from;
        parentLink_[static_cast<size_t>(l.to)] = index;
        children_[static_cast<size_t>(l.from)].push_back(l.to);
        if (kind == NodeKind::kBridge) open.push_back(l.to);
      }
    }
  }

  // Whatever is a PCI function needs an address; those made up are on a bus that no machine has.
  void nameFunctions() {
    for (NodeIndex i = 0; i < count(); ++i) {
      const Node& n = node(i);
      const bool isMadeUp = n.address.empty() && n.kind != NodeKind::kHost;
      addresses_.push_back(
          isMadeUp ? fmt::format("ffff:{:02x}:{:02x}.0", 0x80 + i / 32 % 128, i % 32) : n.address);
    }
  }

  const std::string& address(NodeIndex index) const {
    return addresses_[static_cast<size_t>(index)];
  }

  std::string hashText(const std::string& host) const {
    return hasSeveralHosts_ ? fmt::format(" host_hash=\"0x{:x}\"", base::hash64(host)) : "";
  }

  void writeHost(NodeIndex index) {
    const Node& n = node(index);
    const size_t digits = n.id.find_last_not_of("0123456789") + 1;
    std::string attributes = hashText(n.host);
    fmt::format_to(std::back_inserter(attributes), " numaid=\"{}\"",
                   digits < n.id.size() ? n.id.substr(digits) : "-1");
    const size_t slash = n.model.find('/');
    const size_t blank = slash == std::string::npos ? n.model.size() : n.model.rfind(' ', slash);
    const std::string arch = blank == std::string::npos ? "" : n.model.substr(0, blank);
    addAttribute(attributes, "arch", arch);
    addAttribute(attributes, "vendor", n.vendor);
    if (slash != std::string::npos) {
      const size_t family = blank == std::string::npos ? 0 : blank + 1;
      addAttribute(attributes, "familyid", n.model.substr(family, slash - family));
      addAttribute(attributes, "modelid", n.model.substr(slash + 1));
    }
    line("<cpu{}>", attributes);
    ++depth_;
    writeChildren(index);
    if (writtenHosts_.insert(n.host).second) writeSwitches(n.host);
    --depth_;
    line("</cpu>");
  }

  static void addAttribute(std::string& attributes, std::string_view name, std::string_view value) {
    if (value.empty()) return;
    fmt::format_to(std::back_inserter(attributes), " {}=\"{}\"", name, xmlEscaped(value));
  }

  void writeChildren(NodeIndex parent) {
    auto& children = children_[static_cast<size_t>(parent)];
    std::sort(children.begin(), children.end());
    for (const NodeKind kind : {NodeKind::kRank, NodeKind::kNic, NodeKind::kBridge}) {
      for (const NodeIndex child : children) {
        if (node(child).kind == kind) writeNode(child);
      }
    }
  }

  void writeNode(NodeIndex index) {
    const Node& n = node(index);
    const NodeIndex parent = parent_[static_cast<size_t>(index)];
    const bool isPiece = parent >= 0 && node(parent).kind == NodeKind::kBridge &&
                         !n.address.empty() && n.address == node(parent).address;
    if (n.kind == NodeKind::kNic) return writeNic(index, isPiece);
    if (n.kind == NodeKind::kRank && isPiece) return writeDevice(index, parent);
    openFunction(index, n.kind == NodeKind::kRank ? deviceClass(n) : "0x060400", linkText(index));
    if (n.kind == NodeKind::kRank) {
      writeDevice(index, index);
    } else {
      writeChildren(index);
      writePciLinks(index);
    }
    closeFunction();
  }

  static std::string_view deviceClass(const Node& n) {
    if (n.model.starts_with("gfx94") || n.model.starts_with("gfx95")) return "0x120000";
    return n.model.starts_with("gfx") ? "0x038000" : "0x030200";
  }

  void openFunction(NodeIndex index, std::string_view functionClass, const std::string& pciLink) {
    const Node& n = node(index);
    std::string attributes;
    addAttribute(attributes, "vendor", n.vendor);
    if (n.model.starts_with("0x")) addAttribute(attributes, "device", n.model);
    line("<pci busid=\"{}\" class=\"{}\"{}{}>", xmlEscaped(address(index)), functionClass,
         attributes, pciLink);
    ++depth_;
  }

  void closeFunction() {
    --depth_;
    line("</pci>");
  }

  static std::string linkAttributes(PciLink pci) {
    return fmt::format(" link_speed=\"{}\" link_width=\"{}\"", speedText(pci), pci.lanes);
  }

  // What is only assumed is left out, so that it is assumed again.
  std::string linkText(NodeIndex index) const {
    const LinkIndex up = parentLink_[static_cast<size_t>(index)];
    if (up < 0) return {};
    const Link& l = link(up);
    const PciLink pci = exactLink(l.capacity).value_or(linkBelow(l.capacity));
    const bool isTable = l.provenance == Provenance::kTable;
    if (isTable && pci == kDefaultPciLink) return {};
    if (isTable && pci.lanes == kDefaultPciLink.lanes) {
      return linkAttributes({pci.megatransfers, 0});
    }
    for (const int32_t lanes : kLanes) {
      const bool isSame = effectiveRate({kDefaultPciLink.megatransfers, lanes}) == l.capacity;
      if (isTable && isSame) return fmt::format(" link_width=\"{}\"", lanes);
    }
    return linkAttributes(pci);
  }

  // The links of a device are its function's, where several devices are pieces of one.
  void writeDevice(NodeIndex index, NodeIndex function) {
    const Node& n = node(index);
    const size_t at = n.id.rfind("gpu");
    std::string number = at == std::string::npos ? "" : n.id.substr(at + 3);
    const size_t dot = number.find('.');
    std::string attributes;
    addAttribute(attributes, "dev", number.substr(0, std::min(dot, number.find('#'))));
    if (n.model.starts_with("gfx")) addAttribute(attributes, "gcn", n.model);
    if (n.model.starts_with("sm")) addAttribute(attributes, "sm", n.model.substr(2));
    if (dot != std::string::npos) addAttribute(attributes, "mlopart", number.substr(dot + 1));
    line("<gpu{} rank=\"{}\">", attributes, ranks_[static_cast<size_t>(index)]);
    ++depth_;
    for (const LinkIndex i : out(function)) {
      if (link(i).kind == LinkKind::kDevice) writeDeviceLink(link(i));
      if (link(i).kind != LinkKind::kChip || node(link(i).to).kind != NodeKind::kHost) continue;
      line("<c2c bw=\"{}\" count=\"1\"/>", link(i).capacity / 1'000);
    }
    --depth_;
    line("</gpu>");
  }

  void writeDeviceLink(const Link& l) {
    const Node& from = node(l.from);
    const Node& to = node(l.to);
    const bool isAmd = from.model.starts_with("gfx");
    int64_t rate = std::min(nccl::deviceRate(from.model).value_or(kMostCapacity),
                            nccl::deviceRate(to.model).value_or(kMostCapacity));
    if (rate == kMostCapacity) rate = nccl::nvlinkRate(0);
    const bool isSwitch = to.kind == NodeKind::kSwitch;
    const bool isForAll = isSwitch && to.host.empty() && hasSeveralHosts_;
    line("<{} target=\"{}\" count=\"{}\" tclass=\"{}\"/>", isAmd ? "xgmi" : "nvlink",
         isForAll ? nccl::kSwitchPlaceholder : std::string_view(address(l.to)),
         std::max<int64_t>(1, l.capacity / rate), isSwitch ? nccl::kSwitchClass : deviceClass(to));
  }

  // Links between switches of PCI that are no part of the tree.
  void writePciLinks(NodeIndex index) {
    for (const LinkIndex i : out(index)) {
      const Link& l = link(i);
      const bool isTree = parent_[static_cast<size_t>(l.to)] == index ||
                          parent_[static_cast<size_t>(index)] == l.to;
      if (l.kind != LinkKind::kPci || isTree || node(l.to).kind != NodeKind::kBridge) continue;
      line("<pcilink target=\"{}\"/>", xmlEscaped(address(l.to)));
    }
  }

  void writeNic(NodeIndex index, bool isPort) {
    const Node& n = node(index);
    const LinkIndex up = parentLink_[static_cast<size_t>(index)];
    const bool isSoftware =
        n.address.empty() && up >= 0 && node(link(up).from).kind == NodeKind::kHost;
    const int64_t rate = up >= 0 ? link(up).capacity : networkRate(index);
    // What was only assumed is to be assumed again: 10 Gb/s, or what the PCI link has.
    const bool isTable = up >= 0 && link(up).provenance == Provenance::kTable;
    const bool isSlow = isTable && rate == kDefaultNicRate;
    if (isPort || isSoftware) {
      const bool isFunctions = isTable && isPort && rate == rateAbove(link(up).from);
      return writeNet(index, isSlow ? 0 : isFunctions ? -1 : rate / 125);
    }
    const auto exact = exactLink(rate);
    const bool isLinks = isTable && exact;
    openFunction(index, "0x020000", linkAttributes(exact.value_or(linkAbove(rate))));
    if (!isLinks || !n.id.ends_with("nic " + n.address)) {
      writeNet(index, isSlow ? 0 : isLinks ? -1 : speedOfNic(rate, exact));
    }
    closeFunction();
  }

  // A NIC that gives what its link does has the next speed that NICs come with.
  static int64_t speedOfNic(int64_t rate, const std::optional<PciLink>& exact) {
    const auto* above = std::lower_bound(std::begin(kNetSpeeds), std::end(kNetSpeeds), rate / 125);
    const bool isRound = exact && above != std::end(kNetSpeeds) && *above * 125 <= wireRate(*exact);
    return isRound ? *above : rate / 125;
  }

  // Of the link that a function hangs on.
  int64_t rateAbove(NodeIndex function) const {
    const LinkIndex up = parentLink_[static_cast<size_t>(function)];
    return up < 0 ? 0 : link(up).capacity;
  }

  int64_t networkRate(NodeIndex index) const {
    int64_t rate = kDefaultNicRate;
    for (const LinkIndex i : out(index)) rate = link(i).capacity;
    return rate;
  }

  // In Mb/s; 0: none, -1: not said.
  void writeNet(NodeIndex index, int64_t megabits) {
    const Node& n = node(index);
    const size_t at = n.id.find("nic ");
    const std::string name = at == std::string::npos ? n.id : n.id.substr(at + 4);
    std::string attributes;
    addAttribute(attributes, "name", name.substr(0, name.find('#')));
    const LinkIndex up = parentLink_[static_cast<size_t>(index)];
    const int64_t extra = up < 0 ? 0 : link(up).latencyNs - tableLatency(LinkKind::kPci, false);
    if (megabits >= 0) addAttribute(attributes, "speed", std::to_string(megabits));
    if (extra > 0) addAttribute(attributes, "latency", decimalText(2 * extra, 3));
    line("<nic>");
    ++depth_;
    line("<net{} dev=\"{}\"/>", attributes, nicNumbers_[static_cast<size_t>(index)]);
    --depth_;
    line("</nic>");
  }

  // All but a host's one plain switch are listed, with a fabric of their own.
  void writeSwitches(const std::string& host) {
    for (NodeIndex i = 0; i < count(); ++i) {
      const Node& n = node(i);
      const bool isHere = n.kind == NodeKind::kSwitch && n.host == host;
      const bool isPlain = n.id.ends_with(nccl::kSwitchId);
      if (!isHere || isPlain) continue;
      const bool isOfDevices = std::any_of(out(i).begin(), out(i).end(), [&](LinkIndex index) {
        return link(index).kind == LinkKind::kDevice;
      });
      if (!isOfDevices) continue;
      const std::string mark = std::string(nccl::kSwitchId) + " ";
      const size_t at = n.id.find(mark);
      const std::string name = at == std::string::npos ? n.id : n.id.substr(at + mark.size());
      line("<pci busid=\"{}\" class=\"{}\" fabric=\"{}\">", address(i), nccl::kSwitchClass,
           xmlEscaped(name));
      ++depth_;
      for (const LinkIndex index : out(i)) {
        const bool isToSwitch = node(link(index).to).kind == NodeKind::kSwitch;
        if (isToSwitch && link(index).kind == LinkKind::kDevice) writeDeviceLink(link(index));
      }
      closeFunction();
    }
  }

  bool isOrphan(NodeIndex index) const {
    const NodeKind kind = node(index).kind;
    return parent_[static_cast<size_t>(index)] < 0 &&
           (kind == NodeKind::kRank || kind == NodeKind::kNic);
  }

  std::set<std::string> orphanHosts() const {
    std::set<std::string> hosts;
    for (NodeIndex i = 0; i < count(); ++i) {
      if (isOrphan(i)) hosts.insert(node(i).host);
    }
    return hosts;
  }

  // The schema has no device outside of a processor.
  void writeOrphans(const std::string& host) {
    line("<cpu{}>", hashText(host));
    ++depth_;
    for (NodeIndex i = 0; i < count(); ++i) {
      if (isOrphan(i) && node(i).host == host) writeNode(i);
    }
    if (writtenHosts_.insert(host).second) writeSwitches(host);
    --depth_;
    line("</cpu>");
  }

  const Topology& topology_;
  Adjacency adjacency_;
  std::vector<int32_t> ranks_;
  std::vector<std::vector<NodeIndex>> children_;
  std::vector<int> nicNumbers_;
  std::vector<NodeIndex> parent_;
  std::vector<LinkIndex> parentLink_;
  std::vector<std::string> addresses_;
  std::set<std::string> writtenHosts_;
  bool hasSeveralHosts_ = false;
  std::string text_;
  size_t depth_ = 0;
};

}  // namespace

base::Result<NcclXml> toNcclXml(const Topology& topology) {
  NcclXml xml;
  xml.text = NcclWriter(topology).write();
  auto again = parseTopology(xml.text, "what was written");
  if (!again) return again.status().withContext("this topology cannot be written as NCCL's XML");
  xml.notes = differences(topology, again->topology);
  return xml;
}

}  // namespace tutti::topology
