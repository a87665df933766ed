// One machine (or several) as a file or the kernel describes it: what contains what, and which
// devices are linked beside that. Readers fill this in, the sanitiser corrects it (sanitise.h),
// and toTopology makes a graph of it. Private to this folder and its tests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "topology/graph.h"

namespace tutti::topology {

// A PCI Express link as it is written down; 0: not said.
struct PciLink {
  int32_t megatransfers = 0;  // a second on one lane: 16'000 is 16 GT/s
  int32_t lanes = 0;
  bool operator==(const PciLink&) const = default;
};

// Stands for what a source does not say.
inline constexpr PciLink kDefaultPciLink{8'000, 16};

// What a link gives applications each way, in kB/s: lanes * speed / 80 GB/s, where speed is 15, 30,
// 60, 120, 240, 480 for 2.5, 5, 8, 16, 32, 64 GT/s (NCCL's constants, protocol overhead off). 0 if
// a part is not said or is none that exists.
int64_t effectiveRate(PciLink link);

// What the wires carry, in kB/s: after line encoding, before packet headers. 0 likewise.
int64_t wireRate(PciLink link);

// Of "16.0 GT/s PCIe", "16 GT/s": 16'000; 0 where it is no speed of PCI Express.
int32_t parseMegatransfers(std::string_view text);

// "16 GT/s x16", "? GT/s x?".
std::string toString(PciLink link);

// Of a NIC that does not say: 10 Gb/s, in kB/s.
inline constexpr int64_t kDefaultNicRate = kGigabyte * 10 / 8;

// How a part hangs on its parent.
enum class Attachment : uint8_t {
  kPci,    // a PCI Express link of its own
  kShare,  // a part of its parent's PCI function: a port of a NIC, a piece of a device
  kNone,   // no PCI link is known: a NIC made of software, whatever has no parent
};

struct Part {
  NodeKind kind = NodeKind::kBridge;
  Attachment attachment = Attachment::kNone;
  int32_t parent = -1;  // the part that contains it, before it in Machine::parts; -1: none
  int32_t order = -1;   // ranks and NICs: the number that the source gives it; -1: none
  int line = 0;         // in the file; 0: none
  std::string id;       // for people; made unique by toTopology
  std::string host;
  std::string vendor;
  std::string model;
  std::string address;
  PciLink pci;  // with kPci
  // kB/s. Of a NIC what its port carries (0: nothing is known of its ports, below 0: its source
  // has no rate for it), of a host what joins it to the other processors of the machine, of a rank
  // with kShare what joins it to its device.
  int64_t rate = 0;
  int64_t latencyNs = 0;  // what a NIC's network adds to a crossing of its link
  Provenance provenance = Provenance::kDeclared;  // of the link to its parent
  bool hasRdma = false;                           // a NIC with RDMA, as far as the source tells
  bool mayBeConsole = false;                      // a display controller that cannot render
  bool isUsed = true;                             // false: not part of the fabric
};

// `count` links alike between two parts, each way. While a file is read `from` is the side that
// lists it; the sanitiser makes one of what both sides list.
struct Wire {
  int32_t from = 0;
  int32_t to = 0;
  int32_t count = 1;
  int64_t rate = 0;  // kB/s of one; 0 with LinkKind::kPci: as the PCI links of both ends
  LinkKind kind = LinkKind::kDevice;
  Provenance provenance = Provenance::kDeclared;
  int line = 0;
};

struct Machine {
  std::string name;  // for people
  std::string file;  // that it was read from, for texts; empty: none
  std::vector<Part> parts;
  std::vector<Wire> wires;
};

// What a reader gives: a machine as described, and what it passed over.
struct Draft {
  Machine machine;
  std::vector<std::string> notes;
};

// "0000:C1:00.0", "c1:0.0" -> "0000:c1:00.0"; lower case and complete. Text of another form comes
// back in lower case.
std::string normalAddress(std::string_view address);
// Is what normalAddress gave such an address?
bool isPciAddress(std::string_view normal);

// What joins two processors of one machine, in kB/s, by what they say of themselves; `vendor` as
// /proc/cpuinfo has it. Unknown processors get a cautious value.
int64_t socketRate(std::string_view vendor, std::string_view arch, int family, int model);

// The model of a host in Node::model: "x86_64 6/143". Empty and negative parts are left out.
std::string hostModel(std::string_view arch, int family, int model);

// A display controller that cannot render and hangs on less than four lanes shows pictures only.
bool isConsole(const Part& part);

// Numbers ranks in the order of their addresses: order 0.., ids "gpu0".. . For sources that give
// no numbers. Consoles get none.
void numberRanks(Machine& machine);

// Of crossing a link of that kind, in ns, between two devices or between one and a switch.
int64_t tableLatency(LinkKind kind, bool isToSwitch);

// The graph. Ranks come first, in their order, then switches, NICs, bridges and hosts. Bridges and
// hosts with nothing below are left out. All processors of one machine are joined with each
// other. Where there are several hosts, all NICs of the highest rate are joined by one switch
// that never blocks. Latencies are of a table by kind. Only for what was sanitised.
Topology toTopology(const Machine& machine);

}  // namespace tutti::topology
