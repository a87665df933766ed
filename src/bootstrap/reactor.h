// The one thread of a process that does all control traffic: it waits for sockets, timers and
// posted tasks, sleeps in epoll when there is nothing to do, and is started by its first use.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>
#include <vector>

#include "src/base/fd.h"
#include "src/base/status.h"

namespace tutti::bootstrap {

inline constexpr int64_t kMs = 1'000'000;  // nanoseconds

// Lives until the process ends; its thread is detached and touches nothing that exit destroys. A
// child made by fork gets a new one: the parent's sockets are closed in the child, so that a
// parent's death is seen by its peers although children live on.
class Reactor {
 public:
  using Task = std::function<void()>;
  using Handler = std::function<void(uint32_t events)>;

  // This process's reactor; started if needed. Fails if no thread or descriptor can be had.
  static base::Result<Reactor*> ofProcess();

  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  // False in a child of the process that made it: nothing posted would ever run.
  bool isOfThisProcess() const;

  // Runs `task` on the reactor's thread, in order of posting. Any thread. Does not block.
  void post(Task task);

  // Runs `task` on the reactor's thread and waits until it is done.
  void call(const Task& task);

  // The rest is for the reactor's thread only.

  // Calls `handler` with EPOLL* events while the descriptor is watched. Returns a token.
  uint64_t watch(int fd, uint32_t events, Handler handler);
  void rewatch(uint64_t token, uint32_t events);
  void unwatch(uint64_t token);

  // Calls `task` once at or after `deadlineNs` (base::nowNs). Returns a token.
  uint64_t at(int64_t deadlineNs, Task task);
  void cancel(uint64_t timer);

  // When this thread last came back from being stopped (SIGSTOP, suspend) for a second or more, in
  // which it could not hear anyone; 0: never.
  int64_t resumedAtNs() const { return resumedAtNs_; }

  // The time (base::nowNs) that this turn's timers go by. A timer that compares it with
  // resumedAtNs() never takes a stop of this thread for silence of others.
  int64_t turnNs() const { return turnNs_; }

 private:
  struct Watch {
    int fd;
    std::shared_ptr<Handler> handler;
  };

  Reactor() = default;
  base::Status start();
  void run();
  void runTasks();
  void runTimers();
  int waitMs() const;
  int64_t noteGap(int64_t lastNs, int plannedMs);  // returns the time now

  static void beforeFork();
  static void afterForkInParent();
  static void afterForkInChild();

  pid_t pid_ = 0;
  base::UniqueFd epoll_;
  base::UniqueFd wake_;
  std::mutex tasksMutex_;
  std::vector<Task> tasks_;
  std::unordered_map<uint64_t, Watch> watches_;
  std::mutex openMutex_;  // guards open_, held over fork
  std::set<int> open_;    // descriptors to close in a forked child
  std::map<std::pair<int64_t, uint64_t>, Task> timers_;
  std::unordered_map<uint64_t, int64_t> timerDeadlines_;
  uint64_t nextToken_ = 1;
  int64_t resumedAtNs_ = 0;
  int64_t turnNs_ = 0;
};

}  // namespace tutti::bootstrap
