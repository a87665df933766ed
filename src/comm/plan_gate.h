// Where the thread that starts collectives and the control plane's thread agree from which
// collective on another plan holds, without either waiting for the other to come by.
//
// The thread says which collective it is about to plan, then looks whether somebody wants to know.
// The other says that it wants to know, then reads which one that is. Both in one order that all
// threads see (sequential consistency), so either the first sees the wish and waits, or the second
// sees the number. What is decided holds from a later number on than any rank named.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "topology/graph.h"

namespace tutti::comm {

// From this collective on, ranks plan for this fabric.
struct Switch {
  uint64_t round = 0;
  uint64_t from = 0;
  topology::Topology topology;
  std::string reason;
};

class PlanGate {
 public:
  // ---- The thread that starts collectives ----

  // May collective `number`, the next one, be planned as before? Costs a store and a load; false:
  // ask enter.
  bool pass(uint64_t number) {
    next_.store(number, std::memory_order_seq_cst);
    return !isWatched_.load(std::memory_order_seq_cst);
  }

  enum class Entry { kPass, kWait, kSwitch };
  // kWait: not yet, see await. kSwitch: after going over to `due`.
  Entry enter(uint64_t number, Switch& due);

  // Until something may have changed, `most` at most.
  void await(std::chrono::milliseconds most);

  // ---- The control plane's thread ----

  struct Answer {
    uint64_t next = 0;       // the collective that may be being planned; none is later
    bool isPending = false;  // this rank has not gone over to what was decided before
  };
  // Nothing is planned until `round` is decided or given up. Nothing, if it was already.
  std::optional<Answer> hold(uint64_t round);
  void decide(Switch decided);
  void giveUp(uint64_t round);

 private:
  void end(uint64_t round);

  std::atomic<uint64_t> next_{0};
  std::atomic<bool> isWatched_{false};  // held, or a switch is due
  std::mutex mutex_;                    // all below
  std::condition_variable changed_;
  uint64_t heldBy_ = 0;  // the round; 0: none
  uint64_t ended_ = 0;   // rounds up to this one are over
  std::optional<Switch> due_;
};

}  // namespace tutti::comm
