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
  // A forked child gets one of its own: the parent's thread is not there.
  static ProgressThread& instance();

  // Drives `engine` until it has no asynchronous operation left. Any thread.
  void add(Engine& engine);
  // After this the thread does not touch `engine` any more. Blocks while it does.
  void remove(Engine& engine);
  // Something an operation waits for (a stream's flag) may have happened. Any thread; takes a lock
  // that nobody holds while calling others.
  void wake();

 private:
  ProgressThread(uint32_t generation, ProgressThread* parent)
      : generation_(generation), parent_(parent) {}
  void run();
  bool pass(bool isTimeToLook);

  const uint32_t generation_;     // base::forkGeneration of the process it belongs to
  ProgressThread* const parent_;  // of the process that forked this one: never used again, kept

  std::mutex mutex_;  // guards all below; never held while engines move
  std::condition_variable changed_;
  std::condition_variable passed_;
  std::vector<Engine*> engines_;
  std::vector<Engine*> inPass_;  // those that the thread touches now
  uint64_t wakes_ = 0;
  bool isStarted_ = false;
};

}  // namespace tutti::executor
