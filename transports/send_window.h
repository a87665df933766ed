// How much may be under way to a peer: as much as fills the way there. What is beyond that waits in
// queues, where it delays others and, where queues are short, is lost.
//
// The way holds its bandwidth times the time there and back. Both are estimated from single
// messages: from when one is sent until it is known to be read, that time, and what was read
// meanwhile; the most of the latter and the least of the former of late hold (as BBR does, Cardwell
// et al. 2016). Where the window is too small for the way, its rate grows with it, a quarter each
// time.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tutti::transports {

class SendWindow {
 public:
  SendWindow(uint64_t leastBytes, uint64_t mostBytes)
      : least_(std::min(leastBytes, mostBytes)), most_(mostBytes), bytes_(least_) {}

  uint64_t bytes() const { return bytes_; }

  // One message at a time is followed. It is sent now, or is known to be read now.
  bool isFollowing() const { return sentNs_ != 0; }
  void follow(int64_t nowNs) {
    sentNs_ = nowNs;
    readAtSend_ = read_;
  }
  void wasRead(int64_t nowNs);

  // So much more is known to be read; before wasRead of a message among it.
  void addRead(uint64_t bytes) { read_ += bytes; }

 private:
  // More than the way holds, or it could not grow. Twice as much (2.0) fills queues again:
  // all-reduce of 16 MiB between three sites then reached 83 to 86 % of the bound, and 91 % with
  // this.
  static constexpr double kGain = 1.25;
  static constexpr int64_t kRecentNs = 10'000'000'000;

  struct Estimate {
    double bytesPerNs = 0;
    double ns = 1e18;
    void add(const Estimate& other) {
      bytesPerNs = std::max(bytesPerNs, other.bytesPerNs);
      ns = std::min(ns, other.ns);
    }
  };

  uint64_t least_;
  uint64_t most_;
  uint64_t bytes_;
  uint64_t read_ = 0;
  int64_t sentNs_ = 0;  // 0: none is followed
  uint64_t readAtSend_ = 0;
  Estimate recent_;    // since recentNs_
  Estimate previous_;  // of as long before
  int64_t recentNs_ = 0;
};

}  // namespace tutti::transports
