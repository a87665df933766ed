// Waiter: what a driver does between polls that moved nothing. Spins for a moment, then gives the
// core away, then sleeps until a peer rings; now and then looks for reasons to give up.
//
// 4 ranks on 2 cores must not collapse: with more ranks than cores it yields almost at once, since
// the peer it waits for needs the core (WaitPolicy).
#pragma once

#include <cstdint>
#include <span>

#include "src/executor/engine.h"

namespace tutti::executor {

class Waiter {
 public:
  // For asynchronous operations of one engine.
  explicit Waiter(Engine& engine) : engine_(&engine), freePolls_(freePolls(engine)) {}
  // For blocking operations, perhaps of several engines.
  explicit Waiter(std::span<const Engine::Pending> pending)
      : engine_(pending.empty() ? nullptr : pending[0].engine),
        pending_(pending),
        freePolls_(engine_ == nullptr ? 0 : freePolls(*engine_)) {}

  // Something moved: start over.
  void reset() {
    if (!hasYielded_ && engine_ != nullptr) engine_->spinHelped();
    hasYielded_ = false;
    polls_ = 0;
    sinceNs_ = 0;
  }

  // Nothing moved. Returns after a moment; fails the engines when it is time to give up.
  void pause() {
    if (++polls_ < freePolls_) {
      relax();
      return;
    }
    slowPause();
  }

 private:
  // Polls before the clock is read for the first time: well below a microsecond. None where the
  // core is to be given away at once.
  static uint32_t freePolls(const Engine& engine) {
    return engine.options().wait.spinNs == 0 ? 0 : 16;
  }

  static void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb" ::: "memory");
#endif
  }

  void slowPause();
  void sleep(uint64_t nanoseconds);
  void lookForFailures();
  bool isDone() const;

  Engine* engine_;
  std::span<const Engine::Pending> pending_;
  uint32_t freePolls_;
  bool hasYielded_ = false;  // since something moved
  uint32_t polls_ = 0;
  int64_t sinceNs_ = 0;  // since when nothing moved
  int64_t nextLookNs_ = 0;
};

}  // namespace tutti::executor
