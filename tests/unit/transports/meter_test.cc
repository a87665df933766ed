// The rate of a way as its receiver sees it: clocks that differ, senders and receivers that are
// slow themselves.
#include "transports/meter.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace tutti::transports {
namespace {

constexpr int64_t kUs = 1000;
constexpr int64_t kMs = 1'000'000;
constexpr uint32_t kBytes = 64 << 10;

// A receiver that looks every 10 us unless it is away, and the way to it.
class Way {
 public:
  explicit Way(int64_t clockShiftNs = 0) : clockShiftNs_(clockShiftNs) { lookUntil(20 * kMs); }

  // Sent at `sentNs`; the way is free again `lastsNs` after it took the message up.
  void send(int64_t sentNs, int64_t lastsNs) {
    freeNs_ = std::max(freeNs_, sentNs) + lastsNs;
    lookUntil(freeNs_ + kWayNs);
    meter_.add(kBytes, ArrivalMeter::stampOf(sentNs + clockShiftNs_), presence_);
  }
  void lookUntil(int64_t ns) {
    do {
      presence_.look(nowNs_ += 10 * kUs);
    } while (nowNs_ < ns);
  }
  void beAwayUntil(int64_t ns) { nowNs_ = std::max(nowNs_, ns); }
  int64_t nowNs() const { return nowNs_; }
  // MB/s; -1: nothing was queued.
  int64_t rate() const {
    const Arrivals all = meter_.read();
    return all.ns == 0 ? -1 : static_cast<int64_t>(all.bytes) * 1000 / all.ns;
  }
  const ArrivalMeter& meter() const { return meter_; }

 private:
  static constexpr int64_t kWayNs = 200 * kUs;
  const int64_t clockShiftNs_;
  Presence presence_;
  ArrivalMeter meter_;
  int64_t nowNs_ = 10 * kMs;
  int64_t freeNs_ = 0;
};

TEST(Meter, MeasuresWhatIsQueued) {
  for (const int64_t shift : {int64_t{0}, 3'000'000'000 * kMs / 1000, -7 * kMs, 4'294'967 * kMs}) {
    Way way(shift);
    way.send(way.nowNs(), 2 * kMs);  // meets no other
    const int64_t begin = way.nowNs();
    for (int i = 0; i < 50; ++i) way.send(begin, 2 * kMs);
    EXPECT_NEAR(static_cast<double>(way.rate()), 32.7, 1.5) << shift;
  }
}

TEST(Meter, ASenderThatHasLittleIsNotSlow) {
  Way way;
  for (int i = 0; i < 50; ++i) way.send(20 * kMs + i * 10 * kMs, 1 * kMs);
  EXPECT_EQ(way.rate(), -1);
}

// Two at a time: only the second of each waited.
TEST(Meter, PairsShowTheRateOfTheWay) {
  Way way;
  for (int i = 0; i < 50; ++i) {
    way.send(20 * kMs + i * 50 * kMs, 2 * kMs);
    way.send(20 * kMs + i * 50 * kMs, 2 * kMs);
  }
  EXPECT_NEAR(static_cast<double>(way.rate()), 32.7, 1.5);
  EXPECT_EQ(way.meter().read().bytes, 50u * kBytes);
}

// While it is away messages gather; neither the time nor the burst afterwards counts.
TEST(Meter, AReceiverThatIsAwayMakesNothingSlowOrFast) {
  Way way;
  way.send(way.nowNs(), 2 * kMs);
  const int64_t begin = way.nowNs();
  for (int i = 0; i < 200; ++i) {
    if (i % 20 == 10) way.beAwayUntil(begin + (i + 8) * 2 * kMs);
    way.send(begin, 2 * kMs);
  }
  EXPECT_NEAR(static_cast<double>(way.rate()), 32.7, 1.5);
  EXPECT_LT(way.meter().read().bytes, 180u * kBytes);
  EXPECT_GT(way.meter().read().bytes, 40u * kBytes);
}

// Several come with one look, behind one that was queued.
TEST(Meter, CountsThoseThatComeTogether) {
  Presence presence;
  ArrivalMeter meter;
  presence.look(kMs);
  presence.look(2 * kMs);
  int64_t now = 10 * kMs;
  const auto look = [&](int64_t ns) { presence.look(now = ns); };
  for (; now < 20 * kMs;) look(now + kMs);
  meter.add(kBytes, ArrivalMeter::stampOf(now - kMs / 2), presence);  // the way takes 0.5 ms
  for (int i = 0; i < 10; ++i) {
    look(now + kMs);
    meter.add(kBytes, ArrivalMeter::stampOf(15 * kMs), presence);
    meter.add(kBytes, ArrivalMeter::stampOf(15 * kMs), presence);
  }
  EXPECT_EQ(meter.read().bytes, 20u * kBytes);
  EXPECT_EQ(meter.read().ns, 10 * kMs);
}

TEST(Meter, ClocksThatDriftAreFollowed) {
  Way way;
  way.send(way.nowNs(), kMs);
  // 50 s later the other clock is 4 ms ahead: messages seem to take less time, then more again.
  for (int i = 0; i < 40; ++i) way.send(way.nowNs() + 100 * kMs, kMs);
  EXPECT_EQ(way.rate(), -1);
}

}  // namespace
}  // namespace tutti::transports
