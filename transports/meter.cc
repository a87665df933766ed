#include "transports/meter.h"

namespace tutti::transports {

namespace {

// The second of two that were sent at once could have come with the first, and looks are not
// infinitely many: by this part of the time between both it may seem too late.
constexpr int64_t kTolerance = 8;

// Clocks drift apart by some ten millionths.
constexpr int64_t kMostDrift = 10'000;  // one part of so many

}  // namespace

void ArrivalMeter::learnShift(uint32_t shift, int64_t nowNs) {
  const auto drifted = static_cast<uint32_t>((nowNs - shiftNs_) / 1000 / kMostDrift);
  if (isKnown_ && static_cast<int32_t>(shift - (shift_ + drifted)) >= 0) {
    if (drifted == 0) return;
    shift_ += drifted;
    shiftNs_ = nowNs;
    return;
  }
  isKnown_ = true;
  shift_ = shift;
  shiftNs_ = nowNs;
}

void ArrivalMeter::add(uint32_t bytes, uint32_t sentUs, const Presence& presence) {
  if (!presence.isSettled()) {
    lastNs_ = 0;
    return;
  }
  const int64_t nowNs = presence.nowNs();
  learnShift(stampOf(nowNs) - sentUs, nowNs);
  const bool isTogether = nowNs == lastNs_;  // found by the same look as the one before
  const auto early = static_cast<int32_t>(stampOf(earliestNs_) - (sentUs + shift_));
  const int64_t late = -int64_t{early} * 1000 * kTolerance;
  wasQueued_ = lastNs_ != 0 && (isTogether ? wasQueued_ : late <= nowNs - lastNs_);
  if (wasQueued_) {
    // One thread writes.
    bytes_.store(bytes_.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
    ns_.store(ns_.load(std::memory_order_relaxed) + nowNs - lastNs_, std::memory_order_relaxed);
  }
  lastNs_ = nowNs;
  earliestNs_ = presence.beforeNs();
}

}  // namespace tutti::transports
