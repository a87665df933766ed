// A network that joins machines, described in a few words:
//
//   star       every NIC at one non-blocking switch, at its own speed; star:50: at 50 GB/s
//   rails:50   NIC i of every machine at switch "rail<i>"; rails:50,up=200: these at a core, with
//              200 GB/s from each
//   fat:leaf=8,nic=50,over=2
//              8 machines at each leaf switch, and from each leaf half of what its NICs carry to
//              the core; up=400 instead of over=2: 400 GB/s from each leaf. fat:8:50:400 is short
//              for fat:leaf=8,nic=50,up=400
//   wan:AB=10Gb,BC=40Gb,CA=100Gb
//              sites A, B and C, a switch each, joined in pairs (longer names: oslo-rome=10Gb);
//              A=10Gb joins site A to a core instead. The machines are dealt to the sites in order,
//              in equal parts
//
// Options, separated by commas: nic=RATE of each NIC, where its own speed is not wanted;
// latency=TIME of each link at a NIC (wan: of each between sites), without it 1us (wan: 10ms).
// RATE: GB/s, or with a unit: 10Gb, 100Mb, 1.25GB, 500MB, each with or without "/s".
// TIME: 300ns, 5us, 20ms, 1s.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"

namespace tutti::topology {

enum class NetworkKind : uint8_t { kStar, kRails, kFat, kWan };

struct SiteLink {
  int32_t a = 0;  // into NetworkSpec::sites
  int32_t b = 0;  // likewise, or kCore
  int64_t capacity = 0;
  bool operator==(const SiteLink&) const = default;
};
inline constexpr int32_t kCore = -1;

struct NetworkSpec {
  NetworkKind kind = NetworkKind::kStar;
  int64_t nicCapacity = 0;         // kB/s; 0: the NIC's own
  int64_t latencyNs = 1000;        // see above
  int64_t upCapacity = 0;          // of a leaf or rail to the core; 0: none, or by `over`
  int64_t over = 0;                // oversubscription of a leaf in thousandths; 0: not said
  int32_t leafMachines = 0;        // of kFat
  std::vector<std::string> sites;  // of kWan, in order of appearance
  std::vector<SiteLink> siteLinks;
  bool operator==(const NetworkSpec&) const = default;
};

// Errors (kErrInvalidArgument) say what is wrong and what may stand there.
base::Result<NetworkSpec> parseNetwork(std::string_view text);

// In words, for people: "one switch, 50 GB/s for each NIC".
std::string toString(const NetworkSpec& network);

}  // namespace tutti::topology
