// Ranks for the tests of the control plane: as threads, and as forked processes.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "src/base/clock.h"
#include "src/bootstrap/control_plane.h"
#include "src/bootstrap/plane.h"
#include "tests/support/sanitized.h"

namespace tutti::bootstrap::test {

using std::chrono::milliseconds;
using Plane = std::unique_ptr<ControlPlane>;

inline UniqueId newId() {
  auto id = createUniqueId();
  EXPECT_TRUE(id.isOk()) << id.status().toString();
  return *id;
}

// For what must come to an end: long enough for slow machines.
inline constexpr milliseconds kPatience{tutti::test::kIsSanitized ? 80000 : 20000};

inline base::Result<Plane> joinAs(const UniqueId& id, int rank, int size,
                                  milliseconds timeout = kPatience, int fanOut = kFanOut) {
  return joinWithFanOut({.ids = {&id, 1}, .rank = rank, .size = size, .timeout = timeout}, fanOut);
}

// Runs body(rank) for every rank in a thread of its own.
inline void runThreads(int size, const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) threads.emplace_back([&, rank] { body(rank); });
  for (std::thread& thread : threads) thread.join();
}

// Waits for the first failure; nothing after `limit`.
inline std::optional<PeerFailure> awaitFailure(ControlPlane& plane, milliseconds limit) {
  const int64_t end = base::nowMs() + limit.count();
  while (base::nowMs() < end) {
    if (plane.hasFailed()) return plane.failure();
    std::this_thread::sleep_for(milliseconds(2));
  }
  return plane.failure();
}

// Memory shared with forked children.
template <typename T>
class Shared {
 public:
  Shared() {
    void* memory =
        mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    value_ = new (memory) T();
  }
  ~Shared() { munmap(value_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T* operator->() { return value_; }
  T& operator*() { return *value_; }

 private:
  T* value_;
};

// Forked children; those left are killed at the end.
class Processes {
 public:
  ~Processes() {
    for (const pid_t pid : pids_) {
      if (pid <= 0) continue;
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
  }

  // Forks a child that runs body and ends with its result, without atexit handlers.
  size_t start(const std::function<int()>& body) {
    const pid_t pid = fork();
    if (pid == 0) _exit(body());
    pids_.push_back(pid);
    return pids_.size() - 1;
  }

  void signal(size_t index, int number) { kill(pids_[index], number); }
  pid_t pid(size_t index) const { return pids_[index]; }

  // The exit code of a child, -1 if a signal ended it.
  int wait(size_t index) {
    int status = 0;
    waitpid(std::exchange(pids_[index], -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  std::vector<pid_t> pids_;
};

}  // namespace tutti::bootstrap::test
