#include "src/comm/handle.h"

#include <fmt/format.h>

#include <chrono>

#include "src/base/errors.h"
#include "src/base/log.h"

namespace tutti::comm {

using base::Code;
using base::Status;

namespace {

Status gone() {
  return {Code::kInvalidArgument, base::kErrUseAfterDestroy,
          "the communicator was destroyed or aborted; make a new one"};
}

// Handles stay reachable, so that leak checkers see what they are.
class HandleList {
 public:
  static HandleList& instance() {
    static auto* const list = new HandleList;
    return *list;
  }
  void add(Handle* handle) {
    const std::lock_guard lock(mutex_);
    handles_.push_back(handle);
  }

 private:
  std::mutex mutex_;
  std::vector<Handle*> handles_;
};

}  // namespace

Handle* Handle::create(const CommConfig& config) {
  auto* handle = new Handle(config);
  HandleList::instance().add(handle);
  return handle;
}

base::Result<Handle*> Handle::from(void* pointer) {
  auto* handle = static_cast<Handle*>(pointer);
  if (handle == nullptr) {
    return Status(Code::kInvalidArgument, base::kErrInvalidArgument, "the communicator is null");
  }
  if (reinterpret_cast<uintptr_t>(pointer) % alignof(Handle) != 0 || handle->magic_ != kMagic) {
    return Status(Code::kInvalidArgument, base::kErrInvalidArgument,
                  "the communicator is no communicator of this library");
  }
  return handle;
}

Status Handle::initialize(InitArgs args, bool inThread) {
  return initialize([args = std::move(args)] { return args; }, inThread);
}

Status Handle::initialize(MakeArgs makeArgs, bool inThread) {
  if (config_.isBlocking && !inThread) return initializeNow(makeArgs);
  const std::lock_guard lock(threadMutex_);
  thread_ = std::thread([this, makeArgs = std::move(makeArgs)] {
    const Status status = initializeNow(makeArgs);
    if (!status.isOk()) TUTTI_LOG_WARN("init failed: {}", status.toString());
  });
  return {Code::kInProgress, 0, "the communicator is being made; poll tuttiCommGetAsyncError"};
}

namespace {

// Also the body of threads, which no exception may leave.
base::Result<std::unique_ptr<Communicator>> createGuarded(const Handle::MakeArgs& makeArgs,
                                                          const std::atomic<bool>* isAborted) {
  try {
    TUTTI_ASSIGN_OR_RETURN(const InitArgs args, makeArgs());
    if (args.size == 0) return std::unique_ptr<Communicator>();
    return Communicator::create(args, isAborted);
  } catch (const std::exception& error) {
    return base::failureOf(error);
  }
}

}  // namespace

Status Handle::initializeNow(const MakeArgs& makeArgs) {
  auto communicator = createGuarded(makeArgs, &isAborted_);
  if (!communicator.isOk()) {
    remember(communicator.status());
    state_.store(State::kFailed, std::memory_order_release);
    return communicator.status();
  }
  if (*communicator == nullptr) {
    state_.store(State::kGone, std::memory_order_release);
    return {};
  }
  communicator_ = communicator.take();
  config_ = communicator_->config();
  state_.store(State::kReady, std::memory_order_release);
  return {};
}

base::Result<Communicator*> Handle::ready() {
  if (isForeign()) [[unlikely]] {
    return Status(Code::kInvalidUsage, base::kErrForked,
                  "the communicator belongs to the parent process; make one after the fork");
  }
  switch (state()) {
    case State::kReady: return communicator_.get();
    case State::kInitializing:
      return Status(Code::kInvalidArgument, base::kErrUseAfterDestroy,
                    "the communicator is still being made; poll tuttiCommGetAsyncError until it no "
                    "longer says tuttiInProgress");
    case State::kFailed: return firstFailure().withContext("the communicator could not be made");
    case State::kFinalized:
      return Status(Code::kInvalidUsage, base::kErrUseAfterFinalize,
                    "the communicator was finalized; only destroy, abort and queries are allowed");
    case State::kGone: break;
  }
  return gone();
}

base::Result<Communicator*> Handle::queryable() {
  if (state() == State::kFinalized && !isForeign()) return communicator_.get();
  return ready();
}

Status Handle::finalize() {
  if (!isForeign()) joinThread();
  const Call call(*this);
  TUTTI_RETURN_IF_ERROR(ready().status());
  const bool inThread = !config_.isBlocking && isBusy();
  auto expected = State::kReady;  // else an abort came in between
  if (!inThread) {
    const Status status = finalizeNow();
    state_.compare_exchange_strong(expected, State::kFinalized, std::memory_order_seq_cst);
    return status;
  }
  isFinalizing_.store(true, std::memory_order_release);
  state_.compare_exchange_strong(expected, State::kFinalized, std::memory_order_seq_cst);
  const std::lock_guard lock(threadMutex_);
  thread_ = std::thread([this, inside = std::make_unique<Call>(*this)] {
    remember(finalizeNow());
    isFinalizing_.store(false, std::memory_order_release);
  });
  return {Code::kInProgress, 0, "operations are under way; poll tuttiCommGetAsyncError"};
}

// The caller is inside a Call.
Status Handle::finalizeNow() {
  awaitTurns();
  return communicator_->finalize();
}

bool Handle::isBusy() {
  const std::lock_guard lock(turnMutex_);
  return turnsTaken_ != turnsEnded_ || communicator_->engine().hasAsync();
}

void Handle::adopt(Handle& other) {
  const std::lock_guard lock(mutex_);
  adopted_.push_back(&other);
}

Handle::Turn::Turn(Handle& handle) : call_(handle), handle_(handle) {
  const std::lock_guard lock(handle.turnMutex_);
  number_ = handle.turnsTaken_++;
}

void Handle::Turn::await() {
  std::unique_lock lock(handle_.turnMutex_);
  handle_.turnEnded_.wait(lock, [&] { return handle_.turnsEnded_ == number_; });
}

Handle::Turn::~Turn() {
  await();
  const std::lock_guard lock(handle_.turnMutex_);
  ++handle_.turnsEnded_;
  handle_.turnEnded_.notify_all();
}

void Handle::awaitTurns() {
  std::unique_lock lock(turnMutex_);
  turnEnded_.wait(lock, [&] { return turnsEnded_ == turnsTaken_; });
}

Status Handle::destroy() {
  if (!isForeign()) {
    if (state() == State::kInitializing) cancelInit();  // nobody will use what is being made
    joinThread();
  }
  // A failure that was already reported does not make destroying one.
  if (state() == State::kReady && !isForeign()) static_cast<void>(finalize());
  return free() ? Status() : gone();
}

void Handle::cancelInit() { isAborted_.store(true, std::memory_order_release); }

Status Handle::abort() {
  cancelInit();
  if (!isForeign() && state() == State::kInitializing) joinThread();
  {
    const Call call(*this);
    if (state() == State::kGone) return gone();
    if (communicator_ != nullptr && !isForeign()) {
      communicator_->abort({Code::kInvalidUsage, base::kErrPeerAborted,
                            "this rank's communicator was aborted by tuttiCommAbort"});
    }
  }
  return free() ? Status() : gone();
}

// False if another thread did it before. The state goes first: a call that comes later sees it, one
// that is inside is waited for. In a forked child everything stays as it is: it is the parent's.
bool Handle::free() {
  if (state_.exchange(State::kGone, std::memory_order_seq_cst) == State::kGone) return false;
  if (isForeign()) {
    static_cast<void>(communicator_.release());
    return true;
  }
  while (callsInside_.load(std::memory_order_seq_cst) > 0) {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  joinThread();
  communicator_.reset();
  const std::lock_guard lock(mutex_);
  for (Handle* other : adopted_) other->joinThread();
  adopted_.clear();
  return true;
}

Status Handle::awaitInit() {
  joinThread();
  return state() == State::kFailed ? firstFailure() : Status();
}

// Whoever comes second waits as well.
void Handle::joinThread() {
  const std::lock_guard lock(threadMutex_);
  if (thread_.joinable()) thread_.join();
}

Status Handle::asyncStatus() {
  switch (state()) {
    case State::kInitializing: return {Code::kInProgress, 0, "the communicator is being made"};
    case State::kFailed: return firstFailure();
    case State::kGone: return gone();
    case State::kReady:
    case State::kFinalized: break;
  }
  const Call call(*this);
  TUTTI_ASSIGN_OR_RETURN(Communicator * communicator, queryable());
  Status status = communicator->asyncStatus();
  const bool isUnderWay = !config_.isBlocking && (isFinalizing_.load() || isBusy());
  if (status.isOk() && isUnderWay) return {Code::kInProgress, 0, "operations are under way"};
  if (status.code() != Code::kInProgress) remember(status);
  return status;
}

void Handle::remember(const Status& status) {
  if (status.isOk() || status.code() == Code::kInProgress) return;
  const std::lock_guard lock(mutex_);
  if (failure_.isOk()) failure_ = status;
}

Status Handle::firstFailure() {
  const std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace tutti::comm
