// Engine: runs the operations of one communicator on this rank.
//
// Operations are state machines that never block inside a step; whoever waits for one drives all of
// them. Collectives run one after the other in the order they were started; sends and receives run
// beside them, in order per peer and direction.
//
// Threads: start, progress and wait are called by one thread at a time (the engine locks itself
// only while asynchronous operations are under way, which the process's progress thread drives);
// abort, hasFailed and failure by any thread.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "src/base/status.h"
#include "src/device/device.h"
#include "src/executor/operation.h"
#include "src/executor/program.h"
#include "transports/mapped.h"
#include "transports/meter.h"
#include "transports/transport.h"

namespace tutti::executor {

// How long a wait polls before it lets others run. Nanoseconds.
struct WaitPolicy {
  uint64_t spinNs = 20000;      // poll without giving the core away
  uint64_t yieldNs = 50000;     // then poll with sched_yield between
  uint64_t sleepNs = 20000000;  // then sleep at most this long before looking for failures
};

// A driver that waits looks for failures this often.
inline constexpr int64_t kLookEveryNs = 2'000'000;

struct EngineOptions {
  ir::Rank rank = 0;
  int size = 1;
  transports::SegmentView segment;  // this rank's own
  // By rank; null for this rank. Owned by the communicator, outlive the engine.
  std::vector<transports::Connection*> connections;
  // Of the connections whose peers share no memory with this rank. Outlive the engine, too.
  std::vector<transports::Driver*> drivers;
  device::Device* device = nullptr;
  bool isOneProcess = false;  // all ranks share this process
  bool canCopyPeers = false;  // kernel-assisted copies work between all ranks
  WaitPolicy wait;
  std::chrono::milliseconds timeout{30000};  // zero: for ever
  // Asked now and then while waiting; a failure ends all operations. Any thread.
  std::function<base::Status()> externalFailure;
  // "rank 3 (process 4711 on host a)"
  std::function<std::string(ir::Rank)> describeRank;
};

struct Exposure;

class Engine {
 public:
  explicit Engine(EngineOptions options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Queues an operation; the pointer is valid until finish(). Does not block.
  Operation* start(Request request);
  // As start for a request with gate and release; the progress thread drives and finishes it.
  void startAsync(Request request);

  // Runs what can run now. Does not block. True if anything moved.
  bool progress();

  // Drives until `operation` is done, then frees it and returns its result. Blocks.
  base::Status wait(Operation* operation);

  // start and wait in one, where nothing else is under way: the way of small messages. `programs`
  // outlives the call.
  base::Status run(const Programs& programs, const void* input, void* output,
                   const device::Factor& factor);
  // May run be used now? The order matters: while there is asynchronous work, active_ is not this
  // thread's to look at.
  bool isIdle() const { return !hasAsync() && active_.empty(); }

  // Drives several engines of one thread until all their operations are done. Blocks.
  struct Pending {
    Engine* engine;
    Operation* operation;
  };
  static base::Status waitAll(std::span<const Pending> pending);

  // Tells peers that this rank takes part in nothing any more. Blocks for a moment where some are
  // remote, until they have what was sent to them or say the same.
  void leave();

  // Ends everything with `why`, now and in future. Any thread.
  void abort(base::Status why);
  bool hasFailed() const { return failed_.load(std::memory_order_acquire); }
  base::Status failure() const;

  bool hasAsync() const { return asyncCount_.load(std::memory_order_acquire) > 0; }
  // Blocks until no asynchronous operation is left, or the engine failed.
  void drainAsync();

  // The number of the collective that is started next. The thread that starts them.
  uint64_t nextNumber() const { return nextNumber_; }

  // Where a driver of this engine sleeps.
  transports::Bell& bell() { return options_.segment.header().bell; }
  const EngineOptions& options() const { return options_; }

  // How long to spin before the core is given away. Shorter after spinning was in vain: the rank
  // that is waited for may be on this very core, and then only giving it away helps. Waiting thread
  // only.
  uint64_t spinNs() const { return spinNs_; }
  void spinFailed() {
    spinNs_ = std::min(std::max(spinNs_ / 2, kLeastSpinNs), options_.wait.spinNs);
  }
  void spinHelped() {
    if (spinNs_ < options_.wait.spinNs) spinNs_ = std::min(2 * spinNs_, options_.wait.spinNs);
  }

  // Gives up if there is a reason: ranks that disagree, a peer that is gone, an operation that did
  // not move for longer than the timeout. The time counts from the first look after its last move,
  // so a driver looks every few milliseconds while it waits.
  void lookForFailures();

  // Blocks until a peer rings, something arrives for a driver, or a driver wants to be called;
  // `nanoseconds` at most. May return early. Waiting thread only.
  void sleep(uint64_t nanoseconds);

  // For the progress thread: as progress and lookForFailures, but only while there is asynchronous
  // work and nobody else is at it.
  bool progressAsync();
  void lookForFailuresAsync();

 private:
  enum class Outcome { kBlocked, kPartial, kDone };

  // What this rank knows of one peer.
  struct Peer {
    transports::SegmentView segment;
    transports::Connection* connection = nullptr;
    transports::Remote* remote = nullptr;  // null: mapped
    uint64_t completedOps = 0;             // at least
    uint64_t slotCut = 0;  // Program::slotCut of the last that sent messages in such slots
    // Sends and receives run in order: queued so far, and done so far.
    uint64_t sendsQueued = 0, sendsDone = 0;
    uint64_t receivesQueued = 0, receivesDone = 0;
    struct Fifo {
      uint64_t sent = 0;
      uint64_t received = 0;
      uint64_t acknowledged = 0;
    };
    std::array<Fifo, ir::Limits::kChannels + ir::Limits::kNarrowChannels> fifos;  // wide ones first
  };

  // What became of the last collectives of one kind and size that wanted peers' buffers in place:
  // after each failure, twice as many run without asking. All ranks see the same exposures, and
  // collectives start in order, so all ranks hold the same outlooks.
  struct Outlook {
    uint8_t left = 0;   // collectives that still run without asking
    uint8_t pause = 0;  // how many did so after the last failure
  };
  static constexpr int kSizeClasses = 64;  // by powers of two
  static constexpr uint64_t kLeastSpinNs = 500;

  // An operand of the running step, as an address; or a peer's address to be copied.
  struct Cursor {
    std::byte* pointer = nullptr;
    uint64_t remote = 0;  // used where pointer is null
    transports::Connection* connection = nullptr;
    const device::Factor* factor = nullptr;
    bool isUser = false;  // memory of a user's buffer, as opposed to a slot or scratch
  };

  Operation* take();
  void admit(Operation& operation);
  Operation* enqueue(Request&& request);
  void release(Operation* operation);
  bool mayStart(Operation& operation);
  bool begin(Operation& operation);
  void recordOperation(const Operation& operation);
  bool isBoardFree(uint64_t number);
  bool moveMessages();
  bool settleDrivers();
  void settle();
  void publishState(bool isUrgent);
  bool hasAnyoneStayed() const;
  void leaveRemotes();
  bool advance(Operation& operation);
  bool advanceLane(Operation& operation, const FlatLane& lane, LaneState& state);
  void complete(Operation& operation);
  void finishAsync();
  void lookLocked();
  bool isTooLong(const Operation& operation, int64_t waitedMs) const;
  void fail(base::Status why);
  void failLocked(const base::Status& why);
  void awaitQuiet(const Operation& operation);
  bool isQuiet(const Operation& operation) const;

  Outcome runStep(Operation& operation, LaneState& state, const FlatStep& step);
  Outcome expose(Operation& operation, const FlatStep& step);
  Outcome attach(Operation& operation, const FlatStep& step);
  bool isReachable(const Program& program, ir::Rank rank, const Exposure& exposure) const;
  void use(Operation& operation, const Program& program);
  Outlook& outlookOf(const Operation& operation);
  void foreseeProgram(Operation& operation);
  void decide(Operation& operation, bool isReachable);
  bool attachPeer(Operation& operation, ir::Rank rank, const Exposure& exposure);
  Outcome signal(Operation& operation, const FlatStep& step);
  Outcome waitPosts(Operation& operation, const FlatStep& step);
  Outcome transfer(Operation& operation, LaneState& state, const FlatStep& step);
  Outcome transferSimple(Operation& operation, const FlatStep& step, const FlatOperand* operands,
                         size_t operandCount);
  bool hasWithdrawn(const Program& program, const FlatStep& step);
  bool resolve(Operation& operation, const FlatOperand& operand, bool isSource, uint64_t bytes,
               Cursor& cursor);
  static void place(Cursor& cursor, const FlatOperand& operand, const Program& program,
                    const FlatStep& step, const LaneState& state, uint32_t p,
                    uint64_t messageOffset);
  bool resolveMessageSource(Operation& operation, const FlatOperand& operand, uint64_t bytes,
                            Cursor& cursor);
  bool resolveArrival(Operation& operation, const FlatOperand& operand, Cursor& cursor);
  bool resolveMessageDestination(Operation& operation, const FlatOperand& operand, uint64_t bytes,
                                 Cursor& cursor);
  bool areSlotsEmpty(Peer& peer) const;
  void resolveUser(Operation& operation, const FlatOperand& operand, Cursor& cursor);
  void publish(Operation& operation, const FlatStep& step, uint64_t bytes);
  void publishRemote(const Operation& operation, const FlatOperand& operand, bool isSource,
                     uint64_t bytes);
  void combine(const Program& program, const FlatStep& step, std::span<Cursor> cursors,
               uint64_t bytes);
  void combineLocal(const Program& program, const FlatStep& step, std::span<Cursor> cursors,
                    uint64_t bytes);
  void reduceInto(const Program& program, const FlatStep& step, std::span<const Cursor> sources,
                  std::span<const Cursor> destinations, uint64_t bytes);
  void combineMany(const Program& program, const FlatStep& step, std::span<Cursor> cursors,
                   uint64_t bytes);
  static bool isPlainCopy(const Program& program, const FlatStep& step,
                          std::span<const Cursor> cursors);
  void copyDirectly(const Cursor& source, const Cursor& destination, uint64_t bytes);
  void combineByCopy(const Program& program, const FlatStep& step, std::span<Cursor> cursors,
                     uint64_t bytes);
  bool isTagReady(Operation& operation, ir::Rank rank, uint64_t tag, uint64_t expected);
  bool isClear(const Operation& operation, ir::Rank rank) const;
  void post(Operation& operation, uint32_t number, uint64_t bytes);
  void ringEveryone();
  void prefetchNextPost(uint64_t bytes);

  base::Status findMismatch(const Operation& operation) const;
  base::Status findDeparture() const;
  bool differs(ir::Rank rank, uint64_t number) const;
  base::Status mismatch(const Operation& operation, ir::Rank rank) const;
  base::Status pairMismatch(const Operation& operation, ir::Rank rank) const;
  std::string nameOf(const Operation& operation) const;
  uint64_t firstDifference(ir::Rank rank, uint64_t number) const;
  base::Status timeoutReport(const Operation& operation) const;
  std::vector<ir::Rank> lateRanks(const Operation& operation) const;
  bool isWaitingForPeers(const Operation& operation) const;
  bool isWaitingFor(const Operation& operation, ir::Rank rank) const;
  std::string describe(ir::Rank rank) const;

  EngineOptions options_;
  std::vector<Peer> peers_;
  device::WorkQueue& queue_;
  std::vector<std::byte> scratch_;
  std::vector<std::byte> bounce_;
  std::vector<std::byte> copyBuffer_;
  std::array<std::array<Outlook, kSizeClasses>, ir::kCollectiveCount> outlooks_{};
  std::vector<Cursor> cursors_;     // of the running step, at the start of each buffer
  std::vector<Cursor> runCursors_;  // at the bytes being worked on

  std::vector<std::unique_ptr<Operation>> pool_;
  std::vector<Operation*> active_;
  uint64_t prefetchedFor_ = 0;  // number of the collective whose post was fetched early
  uint64_t history_ = 0;        // digest of all collectives so far
  uint64_t nextNumber_ = 1;     // of the next collective to be started
  uint64_t completedOps_ = 0;
  uint64_t leastCompleted_ = 0;  // by any peer, at least
  uint64_t spinNs_;

  std::mutex mutex_;
  std::atomic<int> asyncCount_{0};
  bool isSettling_ = false;  // counted in asyncCount_: the drivers' messages are still leaving
  bool hasMapped_ = false;   // peers that ring the bell
  transports::Presence presence_;  // of whoever drives this; under mutex_ while there is async work
  std::atomic<bool> failed_{false};
  mutable std::mutex failureMutex_;
  base::Status failure_;
};

}  // namespace tutti::executor
