// The window against a way of a rate and a length, simulated a round at a time.
#include "transports/send_window.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tutti::transports {
namespace {

constexpr uint64_t kLeastWindow = 256 << 10;
constexpr uint64_t kMostWindow = 16 << 20;
constexpr int64_t kMillisecond = 1'000'000;

struct LongWay {
  double bytesPerNs = 0;
  int64_t rttNs = 0;

  // As much as may be under way is, and is read one after the other: the first message after the
  // round trip.
  void round(SendWindow& window, int64_t& nowNs) const {
    const uint64_t bytes = window.bytes();
    window.follow(nowNs);
    const auto drainNs = static_cast<int64_t>(static_cast<double>(bytes) / bytesPerNs);
    nowNs += std::max(rttNs, drainNs);
    window.addRead(bytes);
    window.wasRead(nowNs);
    // A message by itself, as between calls.
    window.follow(nowNs);
    nowNs += rttNs;
    window.addRead(64 << 10);
    window.wasRead(nowNs);
  }
  uint64_t after(int rounds, SendWindow& window, int64_t& nowNs) const {
    for (int i = 0; i < rounds; ++i) round(window, nowNs);
    return window.bytes();
  }
};

TEST(SendWindow, StaysShortWhereTheWayIs) {
  SendWindow window(kLeastWindow, kMostWindow);
  int64_t now = kMillisecond;
  EXPECT_EQ(window.bytes(), kLeastWindow);
  EXPECT_EQ((LongWay{0.24, kMillisecond / 5}.after(50, window, now)), kLeastWindow);
}

TEST(SendWindow, GrowsToALittleMoreThanALongWayHolds) {
  SendWindow window(kLeastWindow, kMostWindow);
  int64_t now = kMillisecond;
  const LongWay way{0.05, 40 * kMillisecond};  // 2 MB
  EXPECT_LT(way.after(1, window, now), uint64_t{400'000}) << "a quarter at a time";
  const uint64_t found = way.after(12, window, now);
  EXPECT_GE(found, uint64_t{2'400'000});
  EXPECT_LE(found, uint64_t{2'600'000});
  EXPECT_LE(way.after(100, window, now), uint64_t{2'600'000}) << "its own queue adds nothing";
}

TEST(SendWindow, HasAnEnd) {
  SendWindow window(kLeastWindow, kMostWindow);
  int64_t now = kMillisecond;
  EXPECT_EQ((LongWay{1.0, 100 * kMillisecond}.after(30, window, now)), kMostWindow);
  SendWindow small(kLeastWindow, 64 << 10);
  EXPECT_EQ(small.bytes(), uint64_t{64} << 10);
  EXPECT_EQ((LongWay{1.0, 100 * kMillisecond}.after(20, small, now)), uint64_t{64} << 10);
}

TEST(SendWindow, FollowsAWayThatChanges) {
  SendWindow window(kLeastWindow, kMostWindow);
  int64_t now = kMillisecond;
  const LongWay wide{0.1, 40 * kMillisecond};
  wide.after(20, window, now);
  const LongWay narrow{0.01, 40 * kMillisecond};
  now += 25'000 * kMillisecond;  // what was seen before is forgotten after a while of use
  narrow.after(400, window, now);
  EXPECT_LE(window.bytes(), uint64_t{600'000});
  EXPECT_GE(wide.after(20, window, now), uint64_t{4'900'000});
}

}  // namespace
}  // namespace tutti::transports
