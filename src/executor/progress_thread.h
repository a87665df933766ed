// The one thread of the process that drives asynchronous operations of all engines. Started when
// first needed; sleeps while there is nothing to do.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace tutti::executor {

class Engine;

class ProgressThread {
 public:
  static ProgressThread& instance();

  // Drives `engine` until it has no asynchronous operation left. Any thread.
  void add(Engine& engine);
  // After this the thread does not touch `engine` any more. Blocks while it does.
  void remove(Engine& engine);
  // Something an operation waits for (a stream's flag) may have happened.
  void wake();

 private:
  ProgressThread() = default;
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Engine*> engines_;
  uint64_t wakes_ = 0;
  bool isStarted_ = false;
};

}  // namespace tutti::executor
