#include "src/executor/waiter.h"

#include <sched.h>
#include <time.h>

#include "src/base/clock.h"
#include "transports/segment.h"

namespace tutti::executor {
namespace {

// With several engines there is no one bell to sleep at.
constexpr uint64_t kManyEnginesSleepNs = 100'000;

}  // namespace

void Waiter::slowPause() {
  const int64_t now = base::nowNs();
  if (sinceNs_ == 0) {
    sinceNs_ = now;
    nextLookNs_ = now + kLookEveryNs;
  }
  const auto waited = static_cast<uint64_t>(now - sinceNs_);
  const auto& policy = engine_->options().wait;
  if (waited < engine_->spinNs()) {
    polls_ = 0;  // a few cheap polls, then the clock again
    return relax();
  }
  if (now >= nextLookNs_) {
    lookForFailures();
    nextLookNs_ = now + kLookEveryNs;
  }
  if (!hasYielded_) {
    hasYielded_ = true;
    engine_->spinFailed();
  }
  if (waited < policy.spinNs + policy.yieldNs) {
    sched_yield();
    return;
  }
  sleep(policy.sleepNs);
}

bool Waiter::isDone() const {
  for (const auto& [engine, operation] : pending_) {
    if (!operation->isDone) return false;
  }
  return !pending_.empty();
}

void Waiter::sleep(uint64_t nanoseconds) {
  if (pending_.size() > 1 || engine_->hasAsync()) {
    const timespec duration{0, static_cast<long>(kManyEnginesSleepNs)};
    nanosleep(&duration, nullptr);
    return;
  }
  if (!engine_->options().drivers.empty()) return engine_->sleep(nanoseconds);
  transports::Sleep sleep(engine_->bell());
  if (engine_->progress() || isDone()) {
    reset();
    return;
  }
  sleep.wait(nanoseconds);
}

void Waiter::lookForFailures() {
  if (pending_.empty()) return engine_->lookForFailures();
  for (const auto& [engine, operation] : pending_) engine->lookForFailures();
}

}  // namespace tutti::executor
