#include "src/executor/progress_thread.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>

#include "src/base/clock.h"
#include "src/executor/engine.h"

namespace tutti::executor {
namespace {

// A pass that moved nothing is followed by another at once this often, then by short rests: the
// cores may be needed by the ranks that are waited for.
constexpr uint32_t kSpinPasses = 64;
constexpr auto kRest = std::chrono::microseconds(50);
constexpr auto kLongRest = std::chrono::microseconds(500);
constexpr uint32_t kShortRests = 200;
constexpr int64_t kLookNs = 2'000'000;

}  // namespace

ProgressThread& ProgressThread::instance() {
  // Never destroyed: engines may still be alive when static objects go.
  static auto* const instance = new ProgressThread;
  return *instance;
}

void ProgressThread::add(Engine& engine) {
  const std::lock_guard lock(mutex_);
  if (!isStarted_) {
    isStarted_ = true;
    std::thread thread([this] { run(); });
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
  const std::lock_guard lock(mutex_);
  std::erase(engines_, &engine);
}

void ProgressThread::wake() {
  const std::lock_guard lock(mutex_);
  ++wakes_;
  changed_.notify_one();
}

void ProgressThread::run() {
  std::unique_lock lock(mutex_);
  uint32_t idlePasses = 0;
  int64_t idleSinceNs = base::nowNs();
  int64_t nextLookNs = 0;
  for (;;) {
    std::erase_if(engines_, [](Engine* engine) { return !engine->hasAsync(); });
    if (engines_.empty()) {
      changed_.wait(lock, [this] { return !engines_.empty(); });
      idlePasses = 0;
      idleSinceNs = base::nowNs();
    }
    bool hasMoved = false;
    for (auto* engine : engines_) hasMoved |= engine->progressAsync();
    if (hasMoved) {
      idlePasses = 0;
      idleSinceNs = 0;
      continue;
    }
    const int64_t now = base::nowNs();
    if (idlePasses++ == 0 || idleSinceNs == 0) idleSinceNs = now;
    if (now >= nextLookNs) {
      for (auto* engine : engines_) engine->lookForFailuresAsync(idleSinceNs);
      nextLookNs = now + kLookNs;
    }
    if (idlePasses < kSpinPasses) continue;
    const auto seen = wakes_;
    const auto rest = idlePasses < kSpinPasses + kShortRests ? kRest : kLongRest;
    changed_.wait_for(lock, rest, [&] { return wakes_ != seen; });
  }
}

}  // namespace tutti::executor
