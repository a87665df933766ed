// tuttiHostStream: queues of work in host memory, each in its own order.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <variant>

#include "src/device/device.h"
#include "src/device/host/process.h"

namespace tutti::device::host {

// One queue. Its tasks run one at a time, in order, in whichever thread gets to them: its worker,
// started by the first task that needs one, or a thread that synchronizes. Thread safe.
class HostStream {
 public:
  explicit HostStream(pid_t owner) : owner_(owner) {}
  ~HostStream();
  HostStream(const HostStream&) = delete;
  HostStream& operator=(const HostStream&) = delete;

  using Flag = std::atomic<uint32_t>;

  // As in StreamOrder. What an idle stream can do on the spot is done in the caller's thread:
  // setting the flag and calling wake, small copies.
  base::Status after(Flag* flag, void (*wake)(void*), void* wakeContext);
  base::Status hold(std::shared_ptr<Flag> flag);
  base::Status enqueueCopy(void* destination, const void* source, size_t bytes);
  bool isIdle();

  // Runs or awaits the tasks enqueued so far.
  void drain();
  // Drains and ends the worker. Not from the worker itself.
  void stop();
  bool isOwnWorker();

  // The process that made it: a forked child has the queue but not its worker.
  pid_t owner() const { return owner_; }

 private:
  struct After {
    Flag* flag;
    void (*wake)(void*);
    void* wakeContext;
  };
  struct Hold {
    std::shared_ptr<Flag> flag;
  };
  struct Copy {
    void* destination;
    const void* source;
    size_t bytes;
  };
  using Task = std::variant<After, Hold, Copy>;
  using Lock = std::unique_lock<std::mutex>;

  static void run(const Task& task);
  void push(Task task);
  // For a task that must run although nobody synchronizes. Fails if there can be no thread.
  base::Status pushForWorker(Task task);
  base::Status startWorker();
  void work();
  void runFront(Lock& lock);
  void dropReleasedHolds();
  bool isDone() const { return finished_ == enqueued_; }

  std::mutex mutex_;                 // guards what follows
  std::condition_variable changed_;  // a task came or went, or the stream stops
  std::deque<Task> tasks_;
  uint64_t enqueued_ = 0;
  uint64_t finished_ = 0;
  bool isRunning_ = false;  // some thread is in a task, which is no longer in tasks_
  bool isWanted_ = false;   // tasks_ holds something that nobody may wait for but the worker
  bool isStopping_ = false;
  std::thread worker_;
  const pid_t owner_;
};

// The streams of the process by handle. A handle is a number that is no address and never comes
// twice, so that a foreign or outdated one is recognised. The null stream does its work at once.
class HostStreams final : public StreamOrder {
 public:
  base::Result<void*> createStream() override;
  base::Status destroyStream(void* stream) override;
  base::Status synchronize(void* stream) override;
  base::Result<bool> isIdle(void* stream) override;
  base::Status after(void* stream, std::atomic<uint32_t>* flag, void (*wake)(void*),
                     void* wakeContext) override;
  base::Status hold(void* stream, std::shared_ptr<std::atomic<uint32_t>> flag) override;
  void notify(std::atomic<uint32_t>* flag) override;
  base::Status enqueueCopy(void* stream, void* destination, const void* source,
                           size_t bytes) override;

 private:
  base::Result<std::shared_ptr<HostStream>> find(void* stream) const;

  ProcessId process_;
  mutable std::shared_mutex mutex_;  // guards what follows
  std::map<uintptr_t, std::shared_ptr<HostStream>> streams_;
  uintptr_t created_ = 0;
};

}  // namespace tutti::device::host
