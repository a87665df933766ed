// Run: lanes that go through their steps on a FlowNetwork. Private to this room.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/base/status.h"
#include "src/sim/flow_network.h"
#include "src/sim/script.h"

namespace tutti::sim {

class Run {
 public:
  // All outlive it. `schedules` are those that the script was written from, for texts.
  Run(const Script& script, const std::vector<ir::Schedule>& schedules, const Options& options,
      FlowNetwork& network);

  // To the end of all lanes. Fails where lanes are left that nothing will wake.
  base::Status run();

  // When the last lane of each rank ended.
  const std::vector<Time>& rankEnds() const { return rankEnds_; }
  uint64_t transfers() const { return transfers_; }

 private:
  // kReady: in ready_, or at work on its own. kBlocked: a need's time is not known yet. kBusy:
  // until an event of its own.
  enum class Mood : uint8_t { kReady, kBlocked, kBusy, kDone };
  struct LaneState {
    uint64_t iteration = 0;
    uint32_t step = 0;
    uint32_t need = 0;     // those of the step before it are settled
    uint32_t pending = 0;  // parts of the running step
    Mood mood = Mood::kReady;
    bool isRunning = false;        // its step has started
    Time earliest = 0;             // at which the settled needs are met
    uint64_t bytes = 0;            // of the running step
    std::vector<int32_t> waiters;  // lanes that wait for a step of this one
  };
  // One slot of a connection; times are kNever until they are known.
  struct Slot {
    uint64_t bytes = 0;
    Time prepared = 0;
    Time arrives = 0;
    Time isFree = 0;  // as the sender sees it
    int32_t way = 0;
  };
  struct ConnectionState {
    uint64_t posted = 0;
    uint64_t left = 0;  // the sender's end
    uint64_t taken = 0;
    Time prepared = 0;  // the last message
    Time arrived = 0;   // likewise
  };
  struct Post {
    Time made = kNever;
    uint64_t bytes = 0;
    std::vector<int32_t> waiters;
  };
  // What an event of the network is about: a lane or a connection.
  static uint64_t nameOf(int32_t lane) { return static_cast<uint64_t>(lane) << 1; }
  static uint64_t nameOfConnection(int32_t connection) {
    return (static_cast<uint64_t>(connection) << 1) + 1;
  }

  LaneState& lane(int32_t index) { return lanes_[static_cast<size_t>(index)]; }
  const Way& wayAt(int32_t index) const { return script_.ways[static_cast<size_t>(index)]; }
  const ScriptLane& plan(int32_t index) const { return script_.lanes[static_cast<size_t>(index)]; }
  Slot& slot(int32_t connection, uint64_t message) {
    return slots_[static_cast<size_t>(connection) * slotCount_ + message % slotCount_];
  }
  std::span<const Need> needsOf(int32_t lane) const;
  const ScriptStep& stepOf(int32_t lane) const;

  void makeReady(int32_t index);
  void goOn(int32_t index);
  bool settleNeeds(int32_t index);
  Time timeOf(int32_t index, const Need& need);
  bool hasRun(const Need& need, uint64_t iteration);
  void await(int32_t index, const Need& need);
  void startStep(int32_t index);
  uint64_t lengthOf(int32_t index);
  void work(int32_t index, const std::vector<PathIndex>& engines, uint64_t bytes);
  void endStep(int32_t index);
  void wake(std::vector<int32_t>& waiters);
  void post(const Need& need, uint64_t bytes);
  void send(int32_t connection);
  void leave(int32_t connection);
  void take(int32_t connection);
  void wakeFor(int32_t lane, NeedKind kind, int32_t connection);
  base::Status stuck();
  std::string waitText(int32_t index, std::optional<int32_t>& waitsFor) const;
  int32_t posterOf(int32_t post) const;

  const Script& script_;
  const std::vector<ir::Schedule>& schedules_;
  const Options& options_;
  FlowNetwork& network_;
  uint64_t slotCount_;
  std::vector<LaneState> lanes_;
  std::vector<ConnectionState> connections_;
  std::vector<Slot> slots_;
  std::vector<Post> posts_;
  std::vector<PathIndex> copyEngines_;  // by rank; empty: they take no time
  std::vector<PathIndex> reduceEngines_;
  std::vector<int32_t> ready_;
  std::vector<Time> rankEnds_;
  uint64_t transfers_ = 0;
};

}  // namespace tutti::sim
