// Sleeping at bells: whoever waits is woken by whoever rings, always.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "transports/segment.h"

namespace tutti::transports {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A wake-up that is lost costs all of this, which shows.
constexpr uint64_t kSleepNs = 3'000'000'000;
constexpr auto kLost = milliseconds(1500);

struct alignas(kLine) Side {
  Bell bell;
  alignas(kLine) std::atomic<uint64_t> value;
};

// Two sides that take turns.
struct Pair {
  Side sides[2];
  std::atomic<int> lost;
};

// Waits for `value` at the bell, without any polling: every turn is a sleep that somebody must end.
void awaitValue(Pair& pair, Side& side, uint64_t value) {
  while (side.value.load(std::memory_order_acquire) < value) {
    Sleep sleep(side.bell);
    if (side.value.load(std::memory_order_acquire) >= value) return;
    const auto start = Clock::now();
    sleep.wait(kSleepNs);
    if (Clock::now() - start > kLost) ++pair.lost;
  }
}

void tell(Side& side, uint64_t value) {
  side.value.store(value, std::memory_order_release);
  ringIfSleeping(side.bell);
}

// Empty loops of different length between the turns move the race about.
void play(Pair& pair, int mine, uint64_t turns) {
  prepareSleeping();
  Side& own = pair.sides[mine];
  Side& other = pair.sides[1 - mine];
  for (uint64_t turn = 1; turn <= turns; ++turn) {
    if (mine == 0) tell(other, turn);
    awaitValue(pair, own, turn);
    for (std::atomic<int> delay{static_cast<int>(turn * 7 % 97)}; delay > 0;) --delay;
    if (mine == 1) tell(other, turn);
  }
}

constexpr uint64_t kTurns = 6000;

TEST(Bell, LosesNoWakeUpBetweenThreads) {
  Pair pair{};
  std::thread peer([&] { play(pair, 1, kTurns); });
  play(pair, 0, kTurns);
  peer.join();
  EXPECT_EQ(pair.lost, 0);
}

TEST(Bell, LosesNoWakeUpBetweenProcesses) {
  void* memory =
      mmap(nullptr, sizeof(Pair), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto& pair = *new (memory) Pair{};
  const pid_t child = fork();
  if (child == 0) {
    play(pair, 1, kTurns);
    _exit(0);
  }
  play(pair, 0, kTurns);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(pair.lost, 0);
  munmap(memory, sizeof(Pair));
}

// Many ringers, one sleeper: the flag that one of them takes down must not hide the others' news.
TEST(Bell, LosesNoWakeUpAmongManyRingers) {
  constexpr int kRingers = 4;
  constexpr uint64_t kRounds = 1000;
  prepareSleeping();
  Bell bell{};
  std::atomic<uint64_t> said[kRingers] = {};
  std::atomic<uint64_t> round{0};
  std::atomic<int> lost{0};
  std::vector<std::thread> ringers;
  for (int i = 0; i < kRingers; ++i) {
    ringers.emplace_back([&, i] {
      for (uint64_t r = 1; r <= kRounds; ++r) {
        while (round.load(std::memory_order_acquire) < r) std::this_thread::yield();
        said[i].store(r, std::memory_order_release);
        ringIfSleeping(bell);
      }
    });
  }
  const auto hasAll = [&](uint64_t r) {
    for (const auto& each : said) {
      if (each.load(std::memory_order_acquire) < r) return false;
    }
    return true;
  };
  for (uint64_t r = 1; r <= kRounds; ++r) {
    round.store(r, std::memory_order_release);
    while (!hasAll(r)) {
      Sleep sleep(bell);
      if (hasAll(r)) break;
      const auto start = Clock::now();
      sleep.wait(kSleepNs);
      if (Clock::now() - start > kLost) ++lost;
    }
  }
  for (auto& thread : ringers) thread.join();
  EXPECT_EQ(lost, 0);
}

TEST(Bell, RingsNobodyForNothing) {
  Bell bell{};
  ringIfSleeping(bell);
  ringSlow(bell);
  EXPECT_EQ(bell.count.load(), 0u);
}

TEST(Bell, ACancelledSleepTakesItsFlagDown) {
  Bell bell{};
  { const Sleep sleep(bell); }
  EXPECT_EQ(bell.isSleeping.load(), 0u);
}

TEST(Bell, ASleepEndsByItself) {
  prepareSleeping();
  Bell bell{};
  const auto start = Clock::now();
  {
    Sleep sleep(bell);
    sleep.wait(20'000'000);
  }
  EXPECT_LT(Clock::now() - start, milliseconds(1500));
}

}  // namespace
}  // namespace tutti::transports
