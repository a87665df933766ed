#include "src/executor/progress_thread.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>

#include "src/base/clock.h"
#include "src/base/fork.h"
#include "src/executor/engine.h"

namespace tutti::executor {
namespace {

// A pass that moved nothing is followed by another at once this often, then by short rests: the
// cores may be needed by the ranks that are waited for.
constexpr uint32_t kSpinPasses = 64;
constexpr auto kRest = std::chrono::microseconds(50);
constexpr auto kLongRest = std::chrono::microseconds(500);
constexpr uint32_t kShortRests = 200;

}  // namespace

// Never destroyed: engines may still be alive when static objects go.
ProgressThread& ProgressThread::instance() {
  static std::atomic<ProgressThread*> current{nullptr};
  const uint32_t generation = base::forkGeneration();
  auto* found = current.load(std::memory_order_acquire);
  while (found == nullptr || found->generation_ != generation) {
    auto* fresh = new ProgressThread(generation, found);
    if (current.compare_exchange_strong(found, fresh, std::memory_order_acq_rel)) return *fresh;
    delete fresh;
  }
  return *found;
}

void ProgressThread::add(Engine& engine) {
  const std::lock_guard lock(mutex_);
  if (!isStarted_) {
    std::thread thread([this] { run(); });
    isStarted_ = true;
    pthread_setname_np(thread.native_handle(), "tutti-progress");
    thread.detach();
  }
  if (std::find(engines_.begin(), engines_.end(), &engine) == engines_.end()) {
    engines_.push_back(&engine);
  }
  ++wakes_;
  changed_.notify_one();
}

void ProgressThread::remove(Engine& engine) {
  std::unique_lock lock(mutex_);
  std::erase(engines_, &engine);
  passed_.wait(lock,
               [&] { return std::find(inPass_.begin(), inPass_.end(), &engine) == inPass_.end(); });
}

void ProgressThread::wake() {
  const std::lock_guard lock(mutex_);
  ++wakes_;
  changed_.notify_one();
}

// Without the lock. True if anything moved.
bool ProgressThread::pass(bool isTimeToLook) {
  bool hasMoved = false;
  for (auto* engine : inPass_) {
    hasMoved |= engine->progressAsync();
    if (isTimeToLook) engine->lookForFailuresAsync();
  }
  return hasMoved;
}

void ProgressThread::run() {
  std::unique_lock lock(mutex_);
  uint32_t idlePasses = 0;
  int64_t nextLookNs = 0;
  for (;;) {
    std::erase_if(engines_, [](Engine* engine) { return !engine->hasAsync(); });
    if (engines_.empty()) {
      changed_.wait(lock, [this] { return !engines_.empty(); });
      idlePasses = 0;
    }
    inPass_ = engines_;
    const auto seen = wakes_;
    lock.unlock();
    const int64_t now = base::nowNs();
    const bool isTimeToLook = now >= nextLookNs;
    if (isTimeToLook) nextLookNs = now + kLookEveryNs;
    const bool hasMoved = pass(isTimeToLook);
    lock.lock();
    inPass_.clear();
    passed_.notify_all();
    idlePasses = hasMoved ? 0 : idlePasses + 1;
    if (idlePasses < kSpinPasses) continue;
    const auto rest = idlePasses < kSpinPasses + kShortRests ? kRest : kLongRest;
    changed_.wait_for(lock, rest, [&] { return wakes_ != seen; });
  }
}

}  // namespace tutti::executor
