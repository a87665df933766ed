#include "src/executor/engine.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cstring>

#include "src/base/clock.h"
#include "src/base/errors.h"
#include "src/base/hash.h"
#include "src/executor/progress_thread.h"
#include "src/executor/waiter.h"
#include "transports/segment.h"

namespace tutti::executor {

using base::Code;
using base::Status;

Engine::Engine(EngineOptions options)
    : options_(std::move(options)),
      peers_(static_cast<size_t>(options_.size)),
      queue_(options_.device->queue()),
      spinNs_(options_.wait.spinNs) {
  for (ir::Rank rank = 0; rank < options_.size; ++rank) {
    auto* connection = options_.connections[static_cast<size_t>(rank)];
    if (connection == nullptr) continue;
    auto& peer = peers_[static_cast<size_t>(rank)];
    peer.connection = connection;
    peer.segment = connection->segment();
    peer.remote = connection->remote();
    hasMapped_ |= peer.remote == nullptr;
    if (peer.remote != nullptr) peer.remote->follow(&presence_);
  }
  transports::prepareSleeping();
}

// Streams that wait for an operation are let go, whatever became of it.
Engine::~Engine() {
  ProgressThread::instance().remove(*this);
  const std::lock_guard lock(mutex_);
  failLocked(failure());
  finishAsync();
  for (auto& peer : peers_) {
    if (peer.remote != nullptr) peer.remote->follow(nullptr);
  }
}

Operation* Engine::take() {
  if (pool_.empty()) return new Operation;
  Operation* operation = pool_.back().release();
  pool_.pop_back();
  return operation;
}

// Gives the operation its place in the order of things.
void Engine::admit(Operation& operation) {
  const Program& program = operation.programs->main;
  operation.program = &program;
  operation.isStarted = operation.isDone = operation.isAsync = false;
  operation.lanes.assign(program.lanes.size(), {});
  operation.number = program.isCollective ? nextNumber_++ : 0;
  operation.signature = program.signature;
  operation.part = 0;
  operation.stillSinceNs = 0;
  if (program.isCollective) {
    // Ranks that disagreed once, without one reading from the other, notice at the next operation.
    history_ = (history_ ^ program.signature) * 0x9e3779b97f4a7c15u;
    history_ ^= history_ >> 29;
    operation.signature = history_;
  } else {
    auto& peer = peers_[static_cast<size_t>(program.call.root)];
    const bool isSend = program.call.collective == ir::Collective::kSend;
    operation.turn = isSend ? peer.sendsQueued++ : peer.receivesQueued++;
    if (operation.request.isPart) {
      operation.part = nextNumber_ - 1;
      operation.signature = base::hash64(history_, program.signature);
    }
  }
  active_.push_back(&operation);
}

Operation* Engine::enqueue(Request&& request) {
  Operation* operation = take();
  operation->request = std::move(request);
  operation->programs = operation->request.programs.get();
  operation->status = {};
  admit(*operation);
  return operation;
}

Status Engine::run(const Programs& programs, const void* input, void* output,
                   const device::Factor& factor) {
  Operation* operation = take();
  operation->request.input = input;
  operation->request.output = output;
  operation->request.factor = factor;
  operation->programs = &programs;
  admit(*operation);
  if (!progress() || !operation->isDone) return wait(operation);
  active_.pop_back();
  Status status = std::exchange(operation->status, {});
  pool_.emplace_back(operation);
  settle();
  return status;
}

Operation* Engine::start(Request request) {
  std::unique_lock lock(mutex_, std::defer_lock);
  if (hasAsync()) lock.lock();
  return enqueue(std::move(request));
}

void Engine::startAsync(Request request) {
  {
    const std::lock_guard lock(mutex_);
    enqueue(std::move(request))->isAsync = true;
    asyncCount_.fetch_add(1, std::memory_order_release);
  }
  ProgressThread::instance().add(*this);
}

void Engine::release(Operation* operation) {
  operation->request = {};
  pool_.emplace_back(operation);
}

bool Engine::mayStart(Operation& operation) {
  const auto& gate = operation.request.gate;
  if (gate && gate->load(std::memory_order_acquire) == 0) return false;
  if (operation.number != 0) {
    if (operation.number != completedOps_ + 1 || !isBoardFree(operation.number)) return false;
    if (operation.programs->staged != nullptr) foreseeProgram(operation);
    auto& request = operation.request;
    if (request.scalar != nullptr) [[unlikely]] {
      std::memcpy(&request.factor.bits, request.scalar,
                  ir::sizeOf(operation.programs->main.call.type));
    }
    recordOperation(operation);
    return true;
  }
  const auto& call = operation.program->call;
  const auto& peer = peers_[static_cast<size_t>(call.root)];
  return operation.turn ==
         (call.collective == ir::Collective::kSend ? peer.sendsDone : peer.receivesDone);
}

bool Engine::isBoardFree(uint64_t number) {
  if (leastCompleted_ + transports::kBoardOps >= number) return true;
  uint64_t least = number;  // for a rank without peers
  for (auto& peer : peers_) {
    if (peer.connection == nullptr || peer.remote != nullptr) continue;
    if (peer.completedOps + transports::kBoardOps < number) {
      peer.completedOps = peer.segment.header().completedOps.load(std::memory_order_acquire);
    }
    least = std::min(least, peer.completedOps);
  }
  leastCompleted_ = least;
  return leastCompleted_ + transports::kBoardOps >= number;
}

void Engine::recordOperation(const Operation& operation) {
  auto& header = options_.segment.header();
  auto& record = header.log[operation.number % transports::kOpLogSize];
  const auto& call = operation.program->call;
  constexpr auto kRelaxed = std::memory_order_relaxed;
  record.number.store(0, kRelaxed);
  record.signature.store(operation.program->signature, kRelaxed);
  record.count.store(call.count, kRelaxed);
  record.collective.store(static_cast<uint32_t>(call.collective), kRelaxed);
  record.type.store(static_cast<uint32_t>(call.type), kRelaxed);
  record.op.store(static_cast<uint32_t>(call.op), kRelaxed);
  record.root.store(static_cast<uint32_t>(call.root), kRelaxed);
  record.number.store(operation.number, std::memory_order_release);
}

bool Engine::progress() {
  if (hasFailed()) [[unlikely]] {
    failLocked(failure());
    return true;
  }
  bool hasMoved = moveMessages();
  for (size_t i = 0; i < active_.size(); ++i) {
    Operation& operation = *active_[i];
    if (operation.isDone) continue;
    if (!operation.isStarted) {
      if (!mayStart(operation)) continue;
      operation.isStarted = true;
      operation.stillSinceNs = 0;
      hasMoved = true;
    }
    if (advance(operation)) {
      operation.stillSinceNs = 0;
      hasMoved = true;
    }
    if (hasFailed()) [[unlikely]] {
      failLocked(failure());
      return true;
    }
  }
  return hasMoved;
}

bool Engine::advance(Operation& operation) {
  bool hasMoved = false;
  bool isDone = true;
  const Program* program = operation.program;
  for (size_t i = 0; i < program->lanes.size(); ++i) {
    auto& state = operation.lanes[i];
    const auto& lane = program->lanes[i];
    if (state.iteration >= lane.iterations || lane.stepCount == 0) continue;
    hasMoved |= advanceLane(operation, lane, state);
    if (operation.program != program) return true;  // went over to the fallback
    isDone &= state.iteration >= lane.iterations;
  }
  if (isDone) complete(operation);
  return hasMoved || isDone;
}

bool Engine::advanceLane(Operation& operation, const FlatLane& lane, LaneState& state) {
  bool hasMoved = false;
  const Program* program = operation.program;
  while (state.iteration < lane.iterations) {
    const FlatStep& step = program->steps[lane.stepBegin + state.step];
    const Outcome outcome = runStep(operation, state, step);
    if (operation.program != program) return true;
    if (outcome == Outcome::kBlocked) return hasMoved;
    hasMoved = true;
    if (outcome == Outcome::kPartial) return true;  // let other lanes and operations run
    state.done = 0;
    if (++state.step == lane.stepCount) {
      state.step = 0;
      ++state.iteration;
      // Lanes that take turns find in the cache what the other has just moved.
      if (program->lanes.size() > 1 && step.hasMessage) return true;
    }
  }
  return hasMoved;
}

void Engine::complete(Operation& operation) {
  operation.isDone = true;
  if (operation.request.doneNs != nullptr) [[unlikely]]
    *operation.request.doneNs = base::nowNs();
  if (operation.number != 0) {
    completedOps_ = operation.number;
    options_.segment.header().completedOps.store(operation.number, std::memory_order_release);
    ringEveryone();  // a rank that is far ahead waits for this before it uses its posts again
    // No message tells remote ranks that wait for this one that it moves nothing.
    if (operation.lanes.empty() && !ir::isOfMessages(operation.program->call.collective)) {
      publishState(true);
    }
    return;
  }
  const auto& call = operation.program->call;
  auto& peer = peers_[static_cast<size_t>(call.root)];
  ++(call.collective == ir::Collective::kSend ? peer.sendsDone : peer.receivesDone);
}

bool Engine::progressAsync() {
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || !hasAsync()) return false;
  const bool hasMoved = progress();
  finishAsync();
  return hasMoved;
}

// Frees what is done and nobody waits for. The count goes down last: it hands the engine back.
void Engine::finishAsync() {
  int finished = 0;
  for (size_t i = 0; i < active_.size();) {
    Operation* operation = active_[i];
    if (!operation->isDone || !operation->isAsync) {
      ++i;
      continue;
    }
    active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(i));
    const auto flag = operation->request.release;
    auto* order = operation->request.order;
    if (flag) {
      flag->store(1, std::memory_order_release);
      if (order != nullptr) order->notify(flag.get());
    }
    release(operation);
    ++finished;
  }
  // Counted as one more operation until what was sent has left.
  if (isSettling_) ++finished;
  isSettling_ = finished > 0 && !hasFailed() && !settleDrivers();
  if (isSettling_) --finished;
  if (finished > 0) asyncCount_.fetch_sub(finished, std::memory_order_release);
}

void Engine::drainAsync() {
  Waiter waiter(*this);
  // What was sent leaves only as far as its receivers take it: that is not waited for for ever.
  constexpr int64_t kMostSettlingNs = 2'000'000'000;
  int64_t settlingSinceNs = 0;
  while (hasAsync()) {
    bool hasMoved = false;
    if (std::unique_lock lock(mutex_, std::try_to_lock); lock.owns_lock()) {
      hasMoved = progress();
      finishAsync();
      const bool isOnlySettling = isSettling_ && asyncCount_.load(std::memory_order_relaxed) == 1;
      if (!isOnlySettling) settlingSinceNs = 0;
      if (isOnlySettling && settlingSinceNs == 0) settlingSinceNs = base::nowNs();
    }
    if (settlingSinceNs != 0 && base::nowNs() - settlingSinceNs > kMostSettlingNs) return;
    if (hasMoved) {
      waiter.reset();
    } else if (hasAsync()) {
      waiter.pause();
    }
  }
}

Status Engine::wait(Operation* operation) {
  const Pending pending{this, operation};
  return waitAll({&pending, 1});
}

Status Engine::waitAll(std::span<const Pending> pending) {
  Status first;
  Waiter waiter(pending);
  bool isDone = false;
  while (!isDone) {
    bool hasMoved = false;
    isDone = true;
    for (const auto& [engine, operation] : pending) {
      std::unique_lock lock(engine->mutex_, std::defer_lock);
      const bool isShared = engine->hasAsync();
      if (isShared && !lock.try_lock()) {
        isDone = false;
        continue;
      }
      // What others of this thread wait for may be this engine's to pass on.
      const bool hasDrivers = !engine->options_.drivers.empty();
      if (!operation->isDone || hasDrivers) hasMoved |= engine->progress();
      isDone &= operation->isDone;
      if (isShared) engine->finishAsync();
    }
    if (hasMoved) {
      waiter.reset();
    } else if (!isDone) {
      waiter.pause();
    }
  }
  for (const auto& [engine, operation] : pending) {
    std::unique_lock lock(engine->mutex_, std::defer_lock);
    if (engine->hasAsync()) lock.lock();
    if (first.isOk() && !operation->status.isOk()) first = operation->status;
    std::erase(engine->active_, operation);
    engine->release(operation);
    engine->settle();
  }
  return first;
}

void Engine::leave() {
  auto running = static_cast<uint32_t>(transports::RankState::kRunning);
  options_.segment.header().state.compare_exchange_strong(
      running, static_cast<uint32_t>(transports::RankState::kLeft), std::memory_order_release);
  ringEveryone();
  if (!options_.drivers.empty() && !hasFailed()) leaveRemotes();
}

void Engine::abort(Status why) { fail(std::move(why)); }

// The first failure stands; operations end when their driver comes by.
void Engine::fail(Status why) {
  {
    const std::lock_guard lock(failureMutex_);
    if (!failure_.isOk()) return;
    failure_ = std::move(why);
    // The first cause travels, so that all name the same culprit.
    auto& text = options_.segment.header().failure;
    const auto length = std::min(failure_.text().size(), sizeof(text) - 1);
    std::copy_n(failure_.text().data(), length, text);
    text[length] = '\0';
  }
  failed_.store(true, std::memory_order_release);
  options_.segment.header().state.store(static_cast<uint32_t>(transports::RankState::kFailed),
                                        std::memory_order_release);
  ringEveryone();
  transports::ringSlow(bell());
}

Status Engine::failure() const {
  const std::lock_guard lock(failureMutex_);
  return failure_;
}

void Engine::failLocked(const Status& why) {
  for (auto* operation : active_) {
    if (operation->isDone) continue;
    operation->isDone = true;
    operation->status = why;
    if (!operation->isStarted || operation->number == 0) continue;
    // From here on this rank touches nothing of its peers'.
    options_.segment.header().completedOps.store(operation->number, std::memory_order_release);
    awaitQuiet(*operation);
  }
  publishState(true);
  settleDrivers();
}

// The user may free the buffers once the call returns, so peers that read or write them in place
// must have stopped: they hear of the failure while they wait, within milliseconds. New ones find
// the exposure withdrawn.
void Engine::awaitQuiet(const Operation& operation) {
  if (!operation.program->needsPeerMemory || !operation.program->isExposing) return;
  constexpr int64_t kMostNs = 500'000'000;  // a peer that died never answers
  for (int number = 0; number < ir::Limits::kPosts; ++number) {
    options_.segment.post(operation.number, number).tag.store(0, std::memory_order_release);
  }
  transports::fenceEverywhere();
  const int64_t until = base::nowNs() + kMostNs;
  while (!isQuiet(operation) && base::nowNs() < until) sched_yield();
}

bool Engine::isQuiet(const Operation& operation) const {
  for (const auto& peer : peers_) {
    if (peer.connection == nullptr) continue;
    const auto& header = peer.segment.header();
    const auto& record = header.log[operation.number % transports::kOpLogSize];
    const bool hasBegun = record.number.load(std::memory_order_acquire) == operation.number;
    const bool hasEnded = header.completedOps.load(std::memory_order_acquire) >= operation.number;
    if (hasBegun && !hasEnded) return false;
  }
  return true;
}

void Engine::ringEveryone() {
  for (auto& peer : peers_) {
    if (peer.connection != nullptr) transports::ringIfSleeping(peer.segment.header().bell);
  }
}

std::string Engine::describe(ir::Rank rank) const {
  return options_.describeRank ? options_.describeRank(rank) : fmt::format("rank {}", rank);
}

}  // namespace tutti::executor
