// How fast messages come from a peer, as their receiver sees it, while there are more of them than
// the way there can carry.
//
// A rank that is slow itself, or has little to send, must not make its link look slow. So each long
// message says when it was sent. Clocks of hosts differ, but by the same amount for all messages:
// the least difference ever seen is that of a message that met no other. With it the receiver knows
// when a message could have come at the earliest. If that was before the one in front of it came,
// it was queued on the way, and the time between both is what the link took for it.
#pragma once

#include <atomic>
#include <cstdint>

namespace tutti::transports {

// When the thread that drives connections looks for messages. It writes, and who is called by it
// reads.
class Presence {
 public:
  // It looks. If it was away, messages have come at times that nobody knows.
  void look(int64_t nowNs) {
    if (nowNs - nowNs_ > kAwayNs) settledNs_ = nowNs + kBacklogNs;
    beforeNs_ = nowNs_;
    nowNs_ = nowNs;
  }
  // It has slept until now, and would have been woken before.
  void stay(int64_t nowNs) { nowNs_ = nowNs; }

  int64_t nowNs() const { return nowNs_; }
  int64_t beforeNs() const { return beforeNs_; }  // nothing that comes now was here then
  bool isSettled() const { return nowNs_ >= settledNs_; }

 private:
  static constexpr int64_t kAwayNs = 2'000'000;
  static constexpr int64_t kBacklogNs = 5'000'000;  // to read what has gathered: some MiB
  int64_t beforeNs_ = 0;
  int64_t nowNs_ = 0;
  int64_t settledNs_ = 0;
};

// Since the beginning; the rate of some time is that of the differences.
struct Arrivals {
  uint64_t bytes = 0;  // of messages that were queued on the way
  int64_t ns = 0;      // that they took
};

class ArrivalMeter {
 public:
  // Shorter messages are not looked at: they cost more than they take.
  static constexpr uint32_t kLeastBytes = 16 << 10;

  // What a message carries: microseconds, modulo 2^32.
  static uint32_t stampOf(int64_t nowNs) { return static_cast<uint32_t>(nowNs / 1000); }

  // A message has come. By the thread that `presence` is of.
  void add(uint32_t bytes, uint32_t sentUs, const Presence& presence);

  // Any thread.
  Arrivals read() const {
    return {bytes_.load(std::memory_order_relaxed), ns_.load(std::memory_order_relaxed)};
  }

 private:
  void learnShift(uint32_t shift, int64_t nowNs);

  std::atomic<uint64_t> bytes_{0};
  std::atomic<int64_t> ns_{0};
  bool isKnown_ = false;
  uint32_t shift_ = 0;      // the least of arrival - stamp, microseconds modulo 2^32
  int64_t shiftNs_ = 0;     // when it was that
  int64_t lastNs_ = 0;      // the last one came; 0: at a time that is not known
  int64_t earliestNs_ = 0;  // and not before
  bool wasQueued_ = false;
};

}  // namespace tutti::transports
