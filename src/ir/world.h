// World: what the ranks told each other at init. Every choice is a pure function of it and a Call.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/ir/types.h"

namespace tutti::ir {

// How two ranks can exchange data; larger is nearer. Symmetric.
enum class Reach : uint8_t {
  kNone = 0,
  kMessage,  // a transport that sends and receives (network)
  kMapped,   // both map one segment of memory: boards and FIFO slots (same host, or same process)
  kAddress,  // as kMapped, and each can address all of the other's memory (same process)
};

struct RankInfo {
  std::string host;      // host identity; equal strings share a host
  std::string hostName;  // for people
  std::string machine;   // of the hosts that share its kernel and cores; empty: it shares none
  uint64_t process = 0;  // equal values (on one host) share a process
  int32_t pid = 0;
  std::string device;              // "host", "opencl:0"
  bool isDeviceExclusive = false;  // no two ranks of a communicator may use it
  std::string version;             // library version
  int32_t cores = 1;               // cores this process may run on
  uint64_t coreSet = 0;  // digest of which cores; on one machine, equal values share all their
                         // cores and different ones are taken to share none
  bool operator==(const RankInfo&) const = default;
};

// Time and rate constants of the cost model, in nanoseconds and bytes per second. Rank 0's are sent
// to all ranks, so that machines of different make decide alike.
struct CostConstants {
  double signalNs = 200;                  // one flag, one cache line, from core to core
  double stepNs = 40;                     // one step of the executor
  double switchNs = 2000;                 // one context switch, where ranks outnumber cores
  double copyBytesPerSecond = 7.5e9;      // one core, both ends in cache
  double memoryBytesPerSecond = 22.5e9;   // all cores together, reads plus writes, out of cache
  double reduceBytesPerSecond = 12e9;     // one core, source bytes, in cache
  double slotNs = 500;                    // one end of one FIFO message: tag and acknowledgement
  double peerCallNs = 3000;               // one kernel-assisted copy, whatever its length
  double peerCopyBytesPerSecond = 5.5e9;  // one core, kernel-assisted copy, in its cache
  double peerCopySharedBytesPerSecond = 4.7e9;  // the same, in the cache that cores share
  double peerCopyMemoryBytesPerSecond = 3.2e9;  // the same, out of cache
  double slotBytesPerSecond = 23e9;  // one core, written for or read from another core's cache
  double messageNs = 20000;          // kMessage: one message
  double messageBytesPerSecond = 2.5e9;
  double cacheBytes = 1.05e6;      // per core
  double sharedCacheBytes = 32e6;  // of all cores; larger working sets run at memory speed
  bool operator==(const CostConstants&) const = default;
};

struct World {
  std::vector<RankInfo> ranks;
  std::vector<Reach> reach;  // size x size, row-major
  bool canCopyPeer = false;  // process_vm_readv/writev was tried and works between all local pairs
  CostConstants costs;

  int size() const { return static_cast<int>(ranks.size()); }
  Reach reachBetween(Rank a, Rank b) const {
    return reach[static_cast<size_t>(a) * ranks.size() + static_cast<size_t>(b)];
  }
  // Do all pairs share mapped memory?
  bool isAllMapped() const;
  // The largest number of ranks per core over all core sets of all machines, at least 1.
  double ranksPerCore() const;
  // Two ranks of one host that use one exclusive device, if there are any.
  std::optional<std::pair<Rank, Rank>> ranksOfOneDevice() const;
  // 64-bit digest of everything above; equal on all ranks or init fails.
  uint64_t digest() const;
  bool operator==(const World&) const = default;
};

}  // namespace tutti::ir
