// The kernel's own description (Documentation/ABI/testing/sysfs-bus-pci, sysfs-class-net,
// stable/sysfs-class-infiniband).
#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>

#include "topology/cgroup.h"
#include "topology/discover_sources.h"

namespace tutti::topology {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> namesIn(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string textOf(const std::string& path) { return readSmallFile(path).value_or(""); }

int32_t numberOf(const std::string& path) {
  const auto number = parseNumber(textOf(path));
  return number && *number <= 1'000'000 ? static_cast<int32_t>(*number) : 0;
}

bool exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// "0000:c1:00.0"
bool isAddress(std::string_view name) {
  return name.size() >= 12 && name[name.size() - 2] == '.' && name[name.size() - 5] == ':' &&
         std::isxdigit(static_cast<unsigned char>(name[0])) != 0;
}

// A value of /proc/cpuinfo; of the first processor.
std::string cpuField(const std::string& cpuinfo, std::string_view key) {
  const size_t line = ("\n" + cpuinfo).find(fmt::format("\n{}", key));
  const size_t colon = line == std::string::npos ? line : cpuinfo.find(':', line);
  if (colon == std::string::npos) return {};
  const size_t end = std::min(cpuinfo.find('\n', colon), cpuinfo.size());
  const size_t start = cpuinfo.find_first_not_of(" \t", colon + 1);
  return start < end ? cpuinfo.substr(start, end - start) : std::string();
}

class SysfsReader {
 public:
  explicit SysfsReader(const std::string& root) : root_(root) {}

  Draft read() {
    addHosts();
    for (const std::string& name : namesIn(folder())) {
      const std::string type = textOf(folder() + name + "/class").substr(0, 4);
      if (type == "0x03" || type == "0x12" || type == "0x02") addFunction(name);
    }
    numberRanks(draft_.machine);
    return std::move(draft_);
  }

 private:
  std::string folder() const { return root_ + "/sys/bus/pci/devices/"; }

  int32_t add(Part part) {
    draft_.machine.parts.push_back(std::move(part));
    return static_cast<int32_t>(draft_.machine.parts.size()) - 1;
  }

  void addHosts() {
    const std::string cpuinfo = textOf(root_ + "/proc/cpuinfo");
    Part host;
    host.kind = NodeKind::kHost;
    host.host = "host0";
    host.vendor = cpuField(cpuinfo, "vendor_id");
    utsname kernel;
    const std::string arch = uname(&kernel) == 0 ? kernel.machine : "";
    const auto family = parseNumber(cpuField(cpuinfo, "cpu family"));
    const auto model = parseNumber(cpuField(cpuinfo, "model\t"));
    const int familyNumber = family ? static_cast<int>(*family) : -1;
    const int modelNumber = model ? static_cast<int>(*model) : -1;
    host.model = hostModel(arch, familyNumber, modelNumber);
    host.rate = socketRate(host.vendor, arch, familyNumber, modelNumber);
    for (const std::string& name : namesIn(root_ + "/sys/devices/system/node")) {
      const auto index = name.starts_with("node") ? parseNumber(name.substr(4)) : std::nullopt;
      if (!index) continue;
      host.id = fmt::format("numa{}", *index);
      hosts_[static_cast<int>(*index)] = add(host);
    }
    if (!hosts_.empty()) return;
    host.id = "numa0";
    hosts_[0] = add(host);
  }

  // The bridges on the way to a function are the folders around its own.
  void addFunction(const std::string& address) {
    std::error_code error;
    const fs::path place = fs::canonical(folder() + address, error);
    if (error) return;
    int32_t parent = hostOf(address);
    for (const fs::path& step : place) {
      const std::string name = step.string();
      if (!isAddress(name)) continue;
      const auto known = functions_.find(name);
      parent = known != functions_.end() ? known->second : addPart(name, parent, name == address);
    }
  }

  int32_t hostOf(const std::string& address) const {
    const auto node = parseNumber(textOf(folder() + address + "/numa_node"));
    const auto found = node ? hosts_.find(static_cast<int>(*node)) : hosts_.end();
    return found != hosts_.end() ? found->second : hosts_.begin()->second;
  }

  int32_t addPart(const std::string& address, int32_t parent, bool isDevice) {
    const std::string type = textOf(folder() + address + "/class");
    const bool isNic = type.starts_with("0x02");
    Part part;
    part.kind = !isDevice ? NodeKind::kBridge : isNic ? NodeKind::kNic : NodeKind::kRank;
    part.attachment = Attachment::kPci;
    part.parent = parent;
    part.host = "host0";
    part.address = address;
    part.vendor = textOf(folder() + address + "/vendor");
    part.model = textOf(folder() + address + "/device");
    part.id = (isNic ? "nic " : "pci ") + address;
    part.mayBeConsole = type.starts_with("0x0300");
    return functions_[address] = add(std::move(part));
  }

  const std::string& root_;
  Draft draft_;
  std::map<int, int32_t> hosts_;              // parts by NUMA node
  std::map<std::string, int32_t> functions_;  // parts by address
};

// What sysfs says of one PCI function.
class Describer {
 public:
  Describer(Draft& draft, const std::string& root) : draft_(draft), root_(root) {}

  void describe(Part& part) {
    const std::string folder = root_ + "/sys/bus/pci/devices/" + part.address;
    describeLink(part, folder);
    if (part.kind == NodeKind::kRank && part.mayBeConsole) {
      const auto names = namesIn(folder + "/drm");
      part.mayBeConsole = std::none_of(names.begin(), names.end(), [](const std::string& name) {
        return name.starts_with("renderD");
      });
    }
    if (part.kind == NodeKind::kNic) describeNic(part, folder);
  }

 private:
  void note(const Part& part, const std::string& text) {
    draft_.notes.push_back(fmt::format("{}: {}", part.id, text));
  }

  void leaveOut(Part& part, const std::string& why) {
    part.isUsed = false;
    note(part, why + ": left out");
  }

  // Devices slow their links down while idle, so the speed is what both ends can do. The width is
  // the present one: lanes that are missing stay missing.
  void describeLink(Part& part, const std::string& folder) {
    const int32_t now = parseMegatransfers(textOf(folder + "/current_link_speed"));
    int32_t best = parseMegatransfers(textOf(folder + "/max_link_speed"));
    std::error_code error;
    const fs::path above = fs::canonical(folder, error).parent_path();
    if (!error && isAddress(above.filename().string())) {
      const int32_t other = parseMegatransfers(textOf(above.string() + "/max_link_speed"));
      if (other > 0) best = std::min(best, other);
    }
    const int32_t width = numberOf(folder + "/current_link_width");
    const PciLink link{std::max(now, best),
                       width > 0 ? width : numberOf(folder + "/max_link_width")};
    if (now > 0 && now < best && link.lanes > 0) {
      note(part,
           fmt::format("PCI link {} taken as {}, which both ends can do: it is slow while idle",
                       toString({now, link.lanes}), toString(link)));
    }
    if (link.megatransfers > 0) part.pci.megatransfers = link.megatransfers;
    if (link.lanes > 0) part.pci.lanes = link.lanes;
  }

  void describeNic(Part& part, const std::string& folder) {
    const auto rdma = namesIn(folder + "/infiniband");
    std::string netFolder = folder + "/net/";
    for (const std::string& name : namesIn(folder)) {
      if (name.starts_with("virtio")) netFolder = fmt::format("{}/{}/net/", folder, name);
    }
    const auto networks = namesIn(netFolder);
    if (exists(folder + "/physfn")) return leaveOut(part, "a virtual function");
    if (rdma.empty() && networks.empty()) return leaveOut(part, "no driver has it");
    part.hasRdma = !rdma.empty();
    part.id = "nic " + (part.hasRdma ? rdma.front() : networks.front());
    part.rate = part.hasRdma ? rdmaRate(folder + "/infiniband/" + rdma.front() + "/ports/") : 0;
    bool isUp = part.rate > 0;
    for (const std::string& network : networks) {
      const std::string port = netFolder + network;
      const std::string state = textOf(port + "/operstate");
      if (state == "down" || state == "notpresent" || state == "lowerlayerdown") continue;
      isUp = true;
      const int64_t megabits = numberOf(port + "/speed");  // -1 is no number
      if (!part.hasRdma) part.rate = std::max(part.rate, megabits * 125);
    }
    if (!isUp) return leaveOut(part, "no port is up");
    if (part.rate == 0) part.rate = -1;
  }

  // "100 Gb/sec (4X EDR)" of all ports that are up, in kB/s.
  static int64_t rdmaRate(const std::string& ports) {
    int64_t rate = 0;
    for (const std::string& port : namesIn(ports)) {
      if (textOf(ports + port + "/state").find("ACTIVE") == std::string::npos) continue;
      rate += int64_t{numberOf(ports + port + "/rate")} * 125'000;
    }
    return rate;
  }

  Draft& draft_;
  const std::string& root_;
};

}  // namespace

Draft readMachineFromSysfs(const std::string& root) {
  Draft draft = SysfsReader(root).read();
  describeFunctions(draft, root);
  numberRanks(draft.machine);
  return draft;
}

void describeFunctions(Draft& draft, const std::string& root) {
  Describer describer(draft, root);
  for (Part& part : draft.machine.parts) {
    if (part.attachment == Attachment::kPci) describer.describe(part);
  }
}

}  // namespace tutti::topology
