// What a tuttiComm_t points to. A handle is never freed: used after destroy it says so instead of
// crashing (about 200 bytes per communicator ever made). The communicator behind it is.
//
// One user thread is inside at a time; abort and the queries come from any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "src/base/fork.h"
#include "src/base/status.h"
#include "src/comm/communicator.h"

namespace tutti::comm {

class Handle {
 public:
  enum class State : uint32_t { kInitializing, kReady, kFailed, kFinalized, kGone };

  // Allocates a handle for the rest of the process's life.
  static Handle* create(const CommConfig& config);

  // The handle behind a user's pointer; null, or a pointer that is none, is an error.
  static base::Result<Handle*> from(void* pointer);

  // Finds out what to join; runs where the joining does. A size of 0: nothing, the handle is gone.
  using MakeArgs = std::function<base::Result<InitArgs>()>;

  // Joins, in this thread or (non-blocking, or `inThread`) in one of its own: in progress then.
  base::Status initialize(MakeArgs makeArgs, bool inThread = false);
  base::Status initialize(InitArgs args, bool inThread = false);
  // Waits for that thread, if there is one; how it ended.
  base::Status awaitInit();
  // Waits for the thread of `other`, which nobody else knows, before this one goes.
  void adopt(Handle& other);

  State state() const { return state_.load(std::memory_order_seq_cst); }
  const CommConfig& config() const { return config_; }

  // The communicator, for a call that moves data or belongs to the user thread. Fails by state. The
  // caller is inside a Call, or another thread may free what this returns.
  base::Result<Communicator*> ready();
  // For queries, which are also allowed after finalize and after a failure.
  base::Result<Communicator*> queryable();

  // What is being made in another thread ends early, with an error. Any thread.
  void cancelInit();
  // In progress where the communicator does not block and something is under way.
  base::Status finalize();
  base::Status destroy();
  base::Status abort();
  // Success, in progress, or the first failure of this communicator.
  base::Status asyncStatus();

  // Remembers the first failure of a call.
  void remember(const base::Status& status);
  base::Status firstFailure();

  // While an object lives, abort() waits before it frees the communicator.
  class Call {
   public:
    explicit Call(Handle& handle) : handle_(handle) {
      handle_.callsInside_.fetch_add(1, std::memory_order_seq_cst);
    }
    ~Call() { handle_.callsInside_.fetch_sub(1, std::memory_order_release); }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    Handle& handle_;
  };

  // A turn at the control plane, on which ranks meet in the order of their calls: turns come in the
  // order in which they were taken, in whatever thread. While one lives, abort() waits.
  class Turn {
   public:
    explicit Turn(Handle& handle);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    void await();  // blocks until the turns before it have ended

   private:
    Call call_;
    Handle& handle_;
    uint64_t number_;
  };

 private:
  explicit Handle(const CommConfig& config) : config_(config) {}
  base::Status initializeNow(const MakeArgs& makeArgs);
  base::Status finalizeNow();
  bool isBusy();
  void awaitTurns();
  void joinThread();
  bool free();
  // In a child of the process that made it, whose peers and threads are the parent's.
  bool isForeign() const { return generation_ != base::forkGeneration(); }

  static constexpr uint64_t kMagic = 0x69747475542e6d63;
  uint64_t magic_ = kMagic;
  uint32_t generation_ = base::forkGeneration();
  CommConfig config_;
  std::atomic<State> state_{State::kInitializing};
  std::atomic<int> callsInside_{0};
  std::atomic<bool> isAborted_{false};
  std::unique_ptr<Communicator> communicator_;
  std::mutex threadMutex_;
  std::thread thread_;  // makes or finalizes the communicator; under threadMutex_
  std::atomic<bool> isFinalizing_{false};
  std::mutex turnMutex_;
  std::condition_variable turnEnded_;
  uint64_t turnsTaken_ = 0, turnsEnded_ = 0;  // under turnMutex_
  std::mutex mutex_;                          // failure_, adopted_
  base::Status failure_;
  std::vector<Handle*> adopted_;
};

}  // namespace tutti::comm
