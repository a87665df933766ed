// FlowNetwork: transfers that share links, and the clock. The core of the simulator; knows nothing
// of ranks and Schedules.
//
// A transfer is a flow of bytes: it takes one rate on its whole path at once, and all flows under
// way share the path's constraints max-min fairly (fair_share.h). Flows on one path have the same
// rate at all times, so a path keeps one account of what each flow on it has been given, and a flow
// ends where the account has grown by its bytes: the cost of an event does not depend on how many
// there are.
#pragma once

#include <cstdint>
#include <queue>
#include <span>
#include <vector>

#include "src/sim/event_heap.h"
#include "src/sim/fair_share.h"
#include "topology/graph.h"

namespace tutti::sim {

// A resource with one owner, used by one thread. What is passed in must be in range: paths and
// constraints that it made, links of its topology, times and delays of 0 and more.
class FlowNetwork {
 public:
  // Rates are at most 2^-toleranceBits below fair ones: see FairShare. The topology has passed
  // topology::check and outlives the network.
  explicit FlowNetwork(const topology::Topology& topology, int toleranceBits = kToleranceBits);
  FlowNetwork(const FlowNetwork&) = delete;
  FlowNetwork& operator=(const FlowNetwork&) = delete;

  static constexpr int kToleranceBits = 20;

  // Something beside the topology that paths may pass, in kB/s.
  ConstraintIndex addConstraint(int64_t capacity) { return shares_.addConstraint(capacity); }

  // The links and the shared resources that they are charged to. A link that is crossed twice is
  // charged twice. `cap` bounds each flow, in kB/s; 0: no bound. The same question gets a new path.
  PathIndex addPath(std::span<const topology::LinkIndex> links, int64_t cap = 0);
  PathIndex addPath(ConstraintIndex constraint);

  Time now() const { return now_; }

  // Something that ends, under a name of the caller's: a flow of `bytes` that joins the others
  // after `delay`, or a time that passes. No bytes: only the delay passes.
  void start(PathIndex path, uint64_t bytes, Time delay, uint64_t name);
  void wait(Time delay, uint64_t name);

  // Goes on to the next time at which something ends; `ended` are the names, in an order that
  // depends on nothing but what was started. False, and it is still now, if nothing will ever end.
  // What ends after the clock's last picosecond never does.
  bool advance(std::vector<uint64_t>& ended);

  // Is something under way?
  bool isIdle() const { return started_ == ended_; }

  // Bytes of flows started so far, by link and by shared resource (in its units).
  std::vector<uint64_t> bytesOfLinks() const;
  std::vector<uint64_t> bytesOfResources() const;

  uint64_t flows() const { return flows_; }
  uint64_t relaxations() const { return shares_.relaxations(); }

 private:
  struct Flow {
    Wide end;  // where the path's account must be
    uint64_t number;
    uint64_t name;
    bool operator<(const Flow& other) const {
      return end != other.end ? end > other.end : number > other.number;
    }
  };
  struct Path {
    std::vector<topology::LinkIndex> links;
    std::vector<Use> resources;
    std::vector<Flow> flows;  // a heap, the first to end in front
    Wide account = 0;         // rate x time given to each flow, up to `since`
    Time since = 0;
    Rate rate = 0;
    uint64_t bytes = 0;
  };
  // A flow that is not under way yet, or a mere wait (no path).
  struct Timer {
    Time time;
    uint64_t number;
    uint64_t name;
    uint64_t bytes;
    PathIndex path;
    bool operator>(const Timer& other) const {
      return time != other.time ? time > other.time : number > other.number;
    }
  };

  Path& at(PathIndex index) { return paths_[static_cast<size_t>(index)]; }
  void join(PathIndex index, uint64_t bytes, uint64_t number, uint64_t name);
  void settle();
  void bookUntilNow(Path& path) const;
  Time endOfFirst(const Path& path) const;
  void takeTimers(std::vector<uint64_t>& ended);
  void takeFlows(std::vector<uint64_t>& ended);

  size_t linkCount_;
  size_t resourceCount_;
  std::vector<std::vector<Use>> charges_;  // of each link: resources, counted from 0
  FairShare shares_;
  std::vector<Path> paths_;
  std::vector<PathIndex> moved_;  // paths whose first flow is another one
  EventHeap ends_;                // paths, by a time at or before which nothing on them ends
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  Time now_ = 0;
  uint64_t started_ = 0;  // flows and waits
  uint64_t ended_ = 0;
  uint64_t flows_ = 0;
};

}  // namespace tutti::sim
