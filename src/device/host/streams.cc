#include "src/device/host/streams.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>

#include <system_error>
#include <utility>

#include "src/base/errors.h"
#include "src/device/host/kernels.h"

namespace tutti::device::host {

namespace {

using base::Code;
using base::Status;

// A copy of this size takes as long as waking a thread does, about 5 us.
constexpr size_t kInlineCopyBytes = size_t{32} << 10;

// "tutti" and zeros: no pointer has these upper bits on any 64-bit machine.
constexpr uintptr_t kHandleBase = static_cast<uintptr_t>(0x7475'7474'6900'0000);

template <typename... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <typename... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

// Signals are the program's, for its own threads.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

HostStream::~HostStream() { stop(); }

void HostStream::run(const Task& task) {
  std::visit(Overloaded{[](const After& after) {
                          after.flag->store(1, std::memory_order_release);
                          if (after.wake != nullptr) after.wake(after.wakeContext);
                        },
                        [](const Hold& hold) { hold.flag->wait(0, std::memory_order_acquire); },
                        [](const Copy& copy) {
                          host::copy(copy.destination, copy.source, copy.bytes, false);
                        }},
             task);
}

Status HostStream::after(Flag* flag, void (*wake)(void*), void* wakeContext) {
  const After task{flag, wake, wakeContext};
  Lock lock(mutex_);
  dropReleasedHolds();
  if (!isDone()) return pushForWorker(task);
  lock.unlock();
  run(task);
  return {};
}

Status HostStream::hold(std::shared_ptr<Flag> flag) {
  const Lock lock(mutex_);
  dropReleasedHolds();
  if (isDone() && flag->load(std::memory_order_acquire) != 0) return {};
  push(Hold{std::move(flag)});  // who synchronizes waits for the flag itself: no thread for that
  return {};
}

Status HostStream::enqueueCopy(void* destination, const void* source, size_t bytes) {
  const Copy task{destination, source, bytes};
  Lock lock(mutex_);
  dropReleasedHolds();
  if (!isDone() || bytes > kInlineCopyBytes) return pushForWorker(task);
  lock.unlock();
  run(task);
  return {};
}

bool HostStream::isIdle() {
  const Lock lock(mutex_);
  dropReleasedHolds();
  return isDone();
}

void HostStream::push(Task task) {
  tasks_.push_back(std::move(task));
  ++enqueued_;
}

Status HostStream::pushForWorker(Task task) {
  if (isStopping_) {
    return {Code::kInvalidUsage, base::kErrInvalidArgument, "the stream is being destroyed"};
  }
  TUTTI_RETURN_IF_ERROR(startWorker());
  push(std::move(task));
  isWanted_ = true;
  changed_.notify_all();
  return {};
}

Status HostStream::startWorker() {
  if (worker_.joinable()) return {};
  const SignalsBlocked blocked;
  try {
    worker_ = std::thread([this] { work(); });
  } catch (const std::system_error& error) {
    return {Code::kSystemError, base::kErrDeviceFailed,
            fmt::format("cannot start the thread of a stream: {}", error.what())};
  }
  return {};
}

void HostStream::work() {
  pthread_setname_np(pthread_self(), "tutti-stream");
  Lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return isStopping_ || (isWanted_ && !isRunning_); });
    if (isStopping_) return;
    runFront(lock);
  }
}

void HostStream::runFront(Lock& lock) {
  {
    const Task task = std::move(tasks_.front());
    tasks_.pop_front();
    isRunning_ = true;
    lock.unlock();
    run(task);
  }
  lock.lock();
  isRunning_ = false;
  ++finished_;
  if (tasks_.empty()) isWanted_ = false;
  changed_.notify_all();
}

void HostStream::dropReleasedHolds() {
  const uint64_t before = finished_;
  while (!isRunning_ && !tasks_.empty()) {
    const Hold* hold = std::get_if<Hold>(&tasks_.front());
    if (hold == nullptr || hold->flag->load(std::memory_order_acquire) == 0) break;
    tasks_.pop_front();
    ++finished_;
  }
  if (tasks_.empty()) isWanted_ = false;
  if (finished_ != before) changed_.notify_all();
}

void HostStream::drain() {
  Lock lock(mutex_);
  const uint64_t target = enqueued_;
  while (finished_ < target) {
    if (isRunning_) {
      changed_.wait(lock);
    } else {
      runFront(lock);
    }
  }
}

void HostStream::stop() {
  drain();
  {
    const Lock lock(mutex_);
    isStopping_ = true;
    changed_.notify_all();
  }
  if (worker_.joinable()) worker_.join();
}

bool HostStream::isOwnWorker() {
  const Lock lock(mutex_);
  return worker_.get_id() == std::this_thread::get_id();
}

base::Result<std::shared_ptr<HostStream>> HostStreams::find(void* stream) const {
  const std::shared_lock lock(mutex_);
  const auto found = streams_.find(reinterpret_cast<uintptr_t>(stream));
  if (found == streams_.end()) {
    return Status(Code::kInvalidArgument, base::kErrInvalidArgument,
                  fmt::format("{} is not a stream of the host device: it was destroyed, or belongs "
                              "to another device",
                              stream));
  }
  if (found->second->owner() != process_.get()) {
    return Status(Code::kInvalidUsage, base::kErrInvalidArgument,
                  "the stream was made before a fork and belongs to the parent process");
  }
  return found->second;
}

base::Result<void*> HostStreams::createStream() {
  auto stream = std::make_shared<HostStream>(process_.get());
  const std::unique_lock lock(mutex_);
  const uintptr_t handle = kHandleBase + ++created_;
  streams_.emplace(handle, std::move(stream));
  return reinterpret_cast<void*>(handle);  // NOLINT(performance-no-int-to-ptr): a name, no address
}

Status HostStreams::destroyStream(void* stream) {
  if (stream == nullptr) return {};
  TUTTI_ASSIGN_OR_RETURN(const std::shared_ptr<HostStream> found, find(stream));
  if (found->isOwnWorker()) {
    return {Code::kInvalidUsage, base::kErrInvalidArgument,
            "a stream cannot be destroyed by its own work"};
  }
  {
    const std::unique_lock lock(mutex_);
    if (streams_.erase(reinterpret_cast<uintptr_t>(stream)) == 0) {
      return {Code::kInvalidArgument, base::kErrInvalidArgument,
              "the stream is being destroyed by another thread"};
    }
  }
  found->stop();
  return {};
}

Status HostStreams::synchronize(void* stream) {
  if (stream == nullptr) return {};
  TUTTI_ASSIGN_OR_RETURN(const std::shared_ptr<HostStream> found, find(stream));
  found->drain();
  return {};
}

base::Result<bool> HostStreams::isIdle(void* stream) {
  if (stream == nullptr) return true;
  TUTTI_ASSIGN_OR_RETURN(const std::shared_ptr<HostStream> found, find(stream));
  return found->isIdle();
}

Status HostStreams::after(void* stream, std::atomic<uint32_t>* flag, void (*wake)(void*),
                          void* wakeContext) {
  if (stream == nullptr) {
    flag->store(1, std::memory_order_release);
    if (wake != nullptr) wake(wakeContext);
    return {};
  }
  TUTTI_ASSIGN_OR_RETURN(const std::shared_ptr<HostStream> found, find(stream));
  return found->after(flag, wake, wakeContext);
}

Status HostStreams::hold(void* stream, std::shared_ptr<std::atomic<uint32_t>> flag) {
  TUTTI_ASSIGN_OR_RETURN(const std::shared_ptr<HostStream> found, find(stream));
  return found->hold(std::move(flag));
}

void HostStreams::notify(std::atomic<uint32_t>* flag) { flag->notify_all(); }

Status HostStreams::enqueueCopy(void* stream, void* destination, const void* source, size_t bytes) {
  if (stream == nullptr) {
    host::copy(destination, source, bytes, false);
    return {};
  }
  TUTTI_ASSIGN_OR_RETURN(const std::shared_ptr<HostStream> found, find(stream));
  return found->enqueueCopy(destination, source, bytes);
}

}  // namespace tutti::device::host
