// Runs the Schedules of all ranks on symbolic memory. Private to this room.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "src/base/status.h"
#include "src/ir/call.h"
#include "src/ir/schedule.h"
#include "src/schedule/check.h"
#include "src/schedule/layout.h"
#include "src/schedule/symbolic.h"

namespace tutti::schedule {

// In which order lanes take turns.
enum class Turns { kInTurn, kLastFirst, kRandom };

// One run. The Schedules have passed checkForm.
class Replay {
 public:
  Replay(std::span<const ir::Schedule> ranks, const ir::Call& call,
         std::span<const Layout> layouts);

  // Runs to the end, or to the first step that is wrong, or until no lane can go on.
  base::Status run(Turns turns, uint64_t seed);

  // After run: results, leftovers, and buffers that others still use.
  base::Status checkEnd();

 private:
  // What one operand holds: the lengths of its blocks, and their contents one after the other.
  struct Value {
    std::vector<int64_t> lengths;
    Pieces pieces;
  };
  struct Message {
    Value value;
    std::shared_ptr<const Clock> clock;
  };
  struct Post {
    bool isMade = false;
    ir::StepKind kind = ir::StepKind::kMove;  // kMove: data
    Message message;
  };
  struct LaneState {
    const ir::Schedule* schedule;
    const ir::Lane* lane;
    size_t index;  // in its Schedule
    uint64_t iterations;
    uint64_t iteration = 0;
    size_t step = 0;
    Clock clock;
    bool isDone() const { return iteration == iterations || lane->steps.empty(); }
  };

  void addLanes(const ir::Schedule& schedule);
  void fillInputs();

  // What a step waits for: a step of another lane, a post, a message or a free slot.
  enum class Lack { kNone, kStep, kPost, kMessage, kSlot };
  struct Awaited {
    Lack lack = Lack::kNone;
    int number = 0;  // of the step, post or channel
    int of = 0;      // lane or rank
  };
  Awaited waitsFor(const LaneState& lane) const;
  static std::string describe(const Awaited& awaited);
  bool hasRun(size_t lane, int32_t step, uint64_t iteration) const;
  std::optional<base::Status> takeTurn(size_t lane);
  base::Status deadlock() const;

  base::Status runStep(size_t lane);
  std::string runData(size_t lane);
  std::string runPost(size_t lane);
  void finishStep(size_t lane);

  std::string takeMessages(size_t lane, std::vector<Value>& values);
  std::string readBlocks(size_t lane, std::vector<Value>& values);
  std::string combine(size_t lane, const std::vector<Value>& values, Value& result);
  std::string writeBlocks(size_t lane, const Value& result);
  std::string sendMessages(size_t lane, const Value& result);

  std::string checkContents(const ir::Operand& operand, Value& value) const;
  std::string checkReach(size_t lane, const ir::Operand& operand) const;
  std::string checkOverlap(size_t lane) const;
  std::string takePost(const ir::Operand& operand, const std::vector<int64_t>* lengths,
                       Value& value) const;

  base::Status checkResult(const ir::Schedule& schedule);
  std::string compareResult(const ir::Schedule& schedule, const Pieces& found) const;
  Pieces expectedCopy(const ir::Schedule& schedule) const;
  base::Status checkAccess(const ir::Schedule& schedule);

  std::vector<Extent> locate(const LaneState& lane, const ir::Step& step,
                             const ir::Operand& operand) const;
  std::string name(const Moment& moment) const;
  std::string where(const LaneState& lane) const;
  // Messages in a FIFO.
  size_t waiting(ir::Rank from, ir::Rank to, int channel) const;
  Post& post(ir::Rank rank, int number);
  const Post& post(ir::Rank rank, int number) const;
  const ir::Step& stepOf(const LaneState& lane) const { return lane.lane->steps[lane.step]; }

  std::span<const ir::Schedule> ranks_;
  const ir::Call& call_;
  std::span<const Layout> layouts_;
  Expressions expressions_;
  std::vector<SymbolicMemory> memories_;
  std::vector<LaneState> lanes_;
  std::vector<size_t> firstLanes_;  // of each rank, in lanes_
  std::map<std::tuple<ir::Rank, ir::Rank, int>, std::deque<Message>> fifos_;  // those in use
  std::vector<Post> posts_;
  std::vector<Moment> exposures_;                             // by rank
  std::map<std::pair<ir::Rank, ir::Rank>, Moment> attached_;  // (rank, to whom)
  // Clocks after the steps that Step::afterLane names: (lane, step, iteration).
  std::map<std::tuple<size_t, size_t, uint64_t>, Clock> marks_;
  std::map<std::pair<size_t, size_t>, bool> isMarked_;
};

}  // namespace tutti::schedule
