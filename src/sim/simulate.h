// The simulator: how long a collective takes on a fabric, by the Schedules that the executor runs.
//
// A step starts as in src/ir/schedule.h: when its messages, free slots and posts are there. Then
// - what it reads and writes of peers' buffers, and posted data that it reads, crosses the fabric,
//   all operands side by side; copying and combining occupy the rank's own engines meanwhile;
// - when all of that is done the step ends: its messages are sent on, and the slots of those read
//   are free.
// A message is prepared (messageNs), waits until the one before it on its connection has left,
// takes the bandwidth that it gets among all that is under way (flow_network.h), and arrives a
// latency after its last byte left. So messages of a connection follow each other without gaps
// while slots last; the next is prepared while one is sent. That its slot is free the sender knows
// a latency after the message was read. A post is seen by each rank after messageNs and the latency
// between them. Reading a peer's buffer costs the latency there and back, writing to it one way.
//
// Only sizes are looked at, no data. Whether a Schedule is right is schedule::validate's question;
// here it must run to its end. Limits (channels, slot bytes) are not checked: what does not exist
// yet can be tried out.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "src/base/status.h"
#include "src/ir/call.h"
#include "src/ir/schedule.h"
#include "topology/graph.h"
#include "topology/routes.h"

namespace tutti::sim {

inline constexpr int kLinkKinds = 6;  // of topology::LinkKind

// In kB/s where it is a capacity, 0 standing for one without end.
struct Options {
  // To hand a message over, beside the latency of the links, by topology::LinkKind; a route costs
  // what the dearest of its links does. Defaults: what posting costs a kernel on a device and a
  // processor that drives a NIC.
  std::array<int64_t, kLinkKinds> messageNs = {300, 300, 300, 300, 700, 300};
  // The most that one connection gets, by kind: a TCP stream, one queue pair.
  std::array<int64_t, kLinkKinds> flowCapacity = {};
  int64_t copyCapacity = 0;    // of a rank: bytes moved, for each destination in its own memory
  int64_t reduceCapacity = 0;  // of a rank: bytes combined, counting every source
  int64_t stepNs = 0;          // the executor's own work for a step
  int fifoSlots = ir::Limits::kFifoSlots;
  // Rates are at most 2^-toleranceBits below max-min fair ones, never above. Few bits are faster
  // where thousands of transfers are under way.
  int toleranceBits = 10;
  std::vector<topology::Route> routes;  // where a plan chose them; RouteTable finds the others
  // V forms: elements of each rank's block; call.count is their sum.
  std::vector<uint64_t> counts;
};

struct Outcome {
  int64_t ns = 0;               // until the last rank is done
  std::vector<int64_t> rankNs;  // until each is
  // planBytes(call) over the time: what perf tools call algorithm bandwidth. 0 where no time
  // passes.
  double algorithmGbPerS = 0;
  uint64_t transfers = 0;           // messages, and accesses to peers' memory
  std::vector<uint64_t> linkBytes;  // by LinkIndex
  std::vector<double> linkUse;      // of the capacity over the whole time, 0 .. 1
  std::vector<uint64_t> resourceBytes;
  std::vector<double> resourceUse;
  // Links that carried something, the most used first; of equal ones the first.
  std::vector<topology::LinkIndex> busiest;
  bool operator==(const Outcome&) const = default;
};

// Simulates the Schedules of all ranks, in order, on a topology that has as many. Deterministic,
// and times are the same on every machine. About 3 us for a message on a cluster of boxes, 25 us
// where thousands share one switch; 2 KiB for each FIFO. Fails with
// - invalid argument: the topology fails topology::check; the number of schedules, options, counts
//   or routes are not possible; two ranks have no way; it would take more than 100 days;
// - internal error: schedules that can not be run, and those that stop half-way (deadlock): the
//   text says who waits for what.
base::Result<Outcome> simulate(const topology::Topology& topology,
                               const std::vector<ir::Schedule>& schedules, const ir::Call& call,
                               const Options& options = {});

}  // namespace tutti::sim
