#include "src/bootstrap/reactor.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include "src/base/clock.h"
#include "src/base/descriptors.h"
#include "src/base/errors.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;

namespace {

constexpr int64_t kGapNs = 1'000'000'000;

// The process's reactor. Never destroyed: its thread runs until the process is gone.
constinit std::atomic<Reactor*> current{nullptr};
constinit std::mutex startMutex;

}  // namespace

base::Result<Reactor*> Reactor::ofProcess() {
  Reactor* reactor = current.load(std::memory_order_acquire);
  if (reactor != nullptr) return reactor;
  const std::lock_guard lock(startMutex);
  reactor = current.load(std::memory_order_acquire);
  if (reactor != nullptr) return reactor;
  static const int registered = pthread_atfork(beforeFork, afterForkInParent, afterForkInChild);
  static_cast<void>(registered);
  std::unique_ptr<Reactor> fresh(new Reactor());
  TUTTI_RETURN_IF_ERROR(fresh->start());
  reactor = fresh.release();
  current.store(reactor, std::memory_order_release);
  return reactor;
}

void Reactor::beforeFork() {
  startMutex.lock();
  if (Reactor* reactor = current.load()) reactor->openMutex_.lock();
}

void Reactor::afterForkInParent() {
  if (Reactor* reactor = current.load()) reactor->openMutex_.unlock();
  startMutex.unlock();
}

void Reactor::afterForkInChild() {
  if (Reactor* reactor = current.load()) {
    for (const int fd : reactor->open_) close(fd);
    reactor->openMutex_.unlock();
    // Kept in memory: communicators of the parent still point to it.
    current.store(nullptr);
  }
  startMutex.unlock();
}

bool Reactor::isOfThisProcess() const { return pid_ == getpid(); }

Status Reactor::start() {
  pid_ = getpid();
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_.isOpen() || !wake_.isOpen()) {
    return base::systemFailure("cannot start the control thread", errno);
  }
  open_ = {epoll_.get(), wake_.get()};
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event);
  // The application's signals are not for this thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Status status;
  try {
    std::thread([this] { run(); }).detach();
  } catch (const std::system_error& error) {
    status = Status(Code::kSystemError, base::kErrSocket,
                    fmt::format("cannot start the control thread: {}", error.what()));
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return status;
}

void Reactor::post(Task task) {
  {
    const std::lock_guard lock(tasksMutex_);
    tasks_.push_back(std::move(task));
    if (tasks_.size() > 1) return;  // the one before has woken the thread
  }
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
}

void Reactor::call(const Task& task) {
  struct Latch {
    std::mutex mutex;
    std::condition_variable changed;
    bool isDone = false;
  };
  const auto latch = std::make_shared<Latch>();
  post([&task, latch] {
    task();
    const std::lock_guard lock(latch->mutex);
    latch->isDone = true;
    latch->changed.notify_one();
  });
  std::unique_lock lock(latch->mutex);
  latch->changed.wait(lock, [&] { return latch->isDone; });
}

uint64_t Reactor::watch(int fd, uint32_t events, Handler handler) {
  const uint64_t token = nextToken_++;
  watches_[token] = {fd, std::make_shared<Handler>(std::move(handler))};
  {
    const std::lock_guard lock(openMutex_);
    open_.insert(fd);
  }
  epoll_event event{.events = events, .data = {.u64 = token}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  return token;
}

void Reactor::rewatch(uint64_t token, uint32_t events) {
  const auto found = watches_.find(token);
  if (found == watches_.end()) return;
  epoll_event event{.events = events, .data = {.u64 = token}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, found->second.fd, &event);
}

void Reactor::unwatch(uint64_t token) {
  const auto found = watches_.find(token);
  if (found == watches_.end()) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.fd, nullptr);
  {
    const std::lock_guard lock(openMutex_);
    open_.erase(found->second.fd);
  }
  watches_.erase(found);
}

uint64_t Reactor::at(int64_t deadlineNs, Task task) {
  const uint64_t token = nextToken_++;
  timers_.emplace(std::pair(deadlineNs, token), std::move(task));
  timerDeadlines_[token] = deadlineNs;
  return token;
}

void Reactor::cancel(uint64_t timer) {
  const auto found = timerDeadlines_.find(timer);
  if (found == timerDeadlines_.end()) return;
  timers_.erase({found->second, timer});
  timerDeadlines_.erase(found);
}

int Reactor::waitMs() const {
  if (timers_.empty()) return -1;
  const int64_t left = timers_.begin()->first.first - base::nowNs();
  return static_cast<int>(std::clamp<int64_t>((left + 999'999) / 1'000'000, 0, 60'000));
}

int64_t Reactor::noteGap(int64_t lastNs, int plannedMs) {
  const int64_t now = base::nowNs();
  if (plannedMs >= 0 && now - lastNs > plannedMs * int64_t{1'000'000} + kGapNs) {
    resumedAtNs_ = now;
  }
  return now;
}

void Reactor::run() {
  pthread_setname_np(pthread_self(), "tutti-control");
  epoll_event events[64];
  int64_t lastNs = base::nowNs();
  while (true) {
    const int planned = waitMs();
    const int count = epoll_wait(epoll_.get(), events, 64, planned);
    lastNs = noteGap(lastNs, planned);
    // Sockets come before timers: what a peer said while this thread was late still counts.
    for (int i = 0; i < count; ++i) {
      if (events[i].data.u64 == 0) {
        uint64_t posted;
        [[maybe_unused]] const ssize_t got = read(wake_.get(), &posted, sizeof posted);
        continue;
      }
      const auto found = watches_.find(events[i].data.u64);
      if (found == watches_.end()) continue;
      const std::shared_ptr<Handler> handler = found->second.handler;
      (*handler)(events[i].events);
    }
    runTasks();
    // Timers see the time of this look at the clock: a stop that comes after it is noted in the
    // next turn, before anybody is taken for silent.
    turnNs_ = noteGap(lastNs, 0);
    runTimers();
  }
}

void Reactor::runTasks() {
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(tasksMutex_);
    tasks.swap(tasks_);
  }
  for (const Task& task : tasks) task();
}

void Reactor::runTimers() {
  // Timers set meanwhile wait for the next round, so that none can starve the sockets.
  const uint64_t newest = nextToken_;
  while (!timers_.empty()) {
    const auto first = timers_.begin();
    if (first->first.first > turnNs_ || first->first.second >= newest) return;
    const Task task = std::move(first->second);
    timerDeadlines_.erase(first->first.second);
    timers_.erase(first);
    task();
  }
}

}  // namespace tutti::bootstrap
