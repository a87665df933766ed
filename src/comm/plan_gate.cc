#include "src/comm/plan_gate.h"

#include <algorithm>
#include <utility>

namespace tutti::comm {

PlanGate::Entry PlanGate::enter(uint64_t number, Switch& due) {
  const std::lock_guard lock(mutex_);
  if (heldBy_ != 0) return Entry::kWait;
  if (!due_ || number < due_->from) return Entry::kPass;
  due = std::move(*due_);
  due_.reset();
  isWatched_.store(false, std::memory_order_seq_cst);
  return Entry::kSwitch;
}

void PlanGate::await(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, most, [this] { return heldBy_ == 0; });
}

std::optional<PlanGate::Answer> PlanGate::hold(uint64_t round) {
  const std::lock_guard lock(mutex_);
  if (round <= ended_) return {};
  heldBy_ = round;
  isWatched_.store(true, std::memory_order_seq_cst);
  return Answer{next_.load(std::memory_order_seq_cst), due_.has_value()};
}

void PlanGate::decide(Switch decided) {
  const std::lock_guard lock(mutex_);
  if (decided.round <= ended_) return;
  const uint64_t round = decided.round;
  due_ = std::move(decided);
  end(round);
}

void PlanGate::giveUp(uint64_t round) {
  const std::lock_guard lock(mutex_);
  end(round);
}

void PlanGate::end(uint64_t round) {
  ended_ = std::max(ended_, round);
  if (heldBy_ <= ended_) heldBy_ = 0;
  isWatched_.store(heldBy_ != 0 || due_.has_value(), std::memory_order_seq_cst);
  changed_.notify_all();
}

}  // namespace tutti::comm
