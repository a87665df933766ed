#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "tests/cts/device/fixture.h"

namespace tutti::cts {
namespace {

using Flag = std::atomic<uint32_t>;

class DeviceStreams : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    TUTTI_CTS_REQUIRE(kStreams);
  }

  void* makeStream() {
    auto made = order().createStream();
    EXPECT_TRUE(made.isOk()) << made.status().toString();
    return made.isOk() ? *made : nullptr;
  }
  void release(Flag& flag) {
    flag.store(1, std::memory_order_release);
    order().notify(&flag);
  }
  void expectOk(const base::Status& status) { EXPECT_TRUE(status.isOk()) << status.toString(); }
};
INSTANTIATE_TEST_SUITE_P(, DeviceStreams, ::testing::ValuesIn(candidates()), testName);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DeviceStreams);

void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }

TEST_P(DeviceStreams, AfterOfIdleStreamComesByItself) {
  void* stream = makeStream();
  Flag flag{0};
  std::atomic<int> wakes{0};
  expectOk(order().after(
      stream, &flag, [](void* context) { ++*static_cast<std::atomic<int>*>(context); }, &wakes));
  expectOk(order().synchronize(stream));
  EXPECT_EQ(flag.load(), 1u);
  while (wakes.load() == 0) std::this_thread::yield();
  EXPECT_EQ(wakes.load(), 1);
  expectOk(order().destroyStream(stream));
}

TEST_P(DeviceStreams, HoldStopsWhatComesLater) {
  void* stream = makeStream();
  Buffer buffer(device(), 64);
  buffer.write(pattern(64, 1));
  const auto later = pattern(64, 2);
  const auto gate = std::make_shared<Flag>(0);
  Flag before{0};
  Flag behind{0};
  expectOk(order().after(stream, &before, nullptr, nullptr));
  expectOk(order().hold(stream, gate));
  expectOk(order().enqueueCopy(stream, buffer.data(), later.data(), later.size()));
  expectOk(order().after(stream, &behind, nullptr, nullptr));
  pause();
  EXPECT_EQ(behind.load(), 0u);
  auto idle = order().isIdle(stream);
  ASSERT_TRUE(idle.isOk());
  EXPECT_FALSE(*idle);
  EXPECT_EQ(buffer.read(), pattern(64, 1));
  release(*gate);
  expectOk(order().synchronize(stream));
  EXPECT_EQ(before.load(), 1u);
  EXPECT_EQ(behind.load(), 1u);
  EXPECT_EQ(buffer.read(), later);
  idle = order().isIdle(stream);
  ASSERT_TRUE(idle.isOk());
  EXPECT_TRUE(*idle);
  expectOk(order().destroyStream(stream));
}

TEST_P(DeviceStreams, AfterRunsWithNobodyWaiting) {
  void* stream = makeStream();
  const auto gate = std::make_shared<Flag>(0);
  Flag behind{0};
  expectOk(order().hold(stream, gate));
  expectOk(order().after(stream, &behind, nullptr, nullptr));
  release(*gate);
  while (behind.load(std::memory_order_acquire) == 0) std::this_thread::yield();
  expectOk(order().destroyStream(stream));
}

TEST_P(DeviceStreams, ReleasedHoldNeedsNobody) {
  void* stream = makeStream();
  const auto gate = std::make_shared<Flag>(0);
  expectOk(order().hold(stream, gate));
  release(*gate);
  for (auto idle = order().isIdle(stream); !*idle; idle = order().isIdle(stream)) {
    ASSERT_TRUE(idle.isOk());
    std::this_thread::yield();
  }
  expectOk(order().hold(stream, std::make_shared<Flag>(1)));
  expectOk(order().synchronize(stream));
  expectOk(order().destroyStream(stream));
}

TEST_P(DeviceStreams, CopiesInOrder) {
  void* stream = makeStream();
  const size_t bytes = size_t{1} << 20;
  Buffer buffer(device(), bytes);
  Buffer other(device(), bytes);
  const auto first = pattern(bytes, 1);
  const auto second = pattern(100, 2);
  for (int round = 0; round < 20; ++round) {
    expectOk(order().enqueueCopy(stream, buffer.data(), first.data(), bytes));
    expectOk(order().enqueueCopy(stream, buffer.data() + 50, second.data(), second.size()));
    expectOk(order().enqueueCopy(stream, other.data(), buffer.data(), bytes));
  }
  expectOk(order().synchronize(stream));
  auto expected = first;
  std::copy(second.begin(), second.end(), expected.begin() + 50);
  EXPECT_EQ(other.read(), expected);
  expectOk(order().destroyStream(stream));
}

TEST_P(DeviceStreams, DestroyWaitsForWork) {
  void* stream = makeStream();
  const auto gate = std::make_shared<Flag>(0);
  Flag behind{0};
  expectOk(order().hold(stream, gate));
  expectOk(order().after(stream, &behind, nullptr, nullptr));
  std::thread releaser([&] {
    pause();
    release(*gate);
  });
  expectOk(order().destroyStream(stream));
  EXPECT_EQ(behind.load(), 1u);
  releaser.join();
}

TEST_P(DeviceStreams, SynchronizesFromManyThreads) {
  void* stream = makeStream();
  const auto gate = std::make_shared<Flag>(0);
  Flag behind{0};
  expectOk(order().hold(stream, gate));
  expectOk(order().after(stream, &behind, nullptr, nullptr));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      expectOk(order().synchronize(stream));
      EXPECT_EQ(behind.load(), 1u);
    });
  }
  pause();
  release(*gate);
  for (std::thread& thread : threads) thread.join();
  expectOk(order().destroyStream(stream));
}

TEST_P(DeviceStreams, ManyAtOnceDoNotWaitForEachOther) {
  constexpr size_t kStreams = 64;
  std::vector<void*> streams;
  std::vector<std::shared_ptr<Flag>> gates;
  std::vector<Flag> behind(kStreams);
  for (size_t i = 0; i < kStreams; ++i) {
    streams.push_back(makeStream());
    gates.push_back(std::make_shared<Flag>(0));
    expectOk(order().hold(streams[i], gates[i]));
    expectOk(order().after(streams[i], &behind[i], nullptr, nullptr));
  }
  EXPECT_EQ(std::set<void*>(streams.begin(), streams.end()).size(), kStreams);
  for (size_t i = kStreams; i-- > 0;) {
    release(*gates[i]);
    expectOk(order().synchronize(streams[i]));
    EXPECT_EQ(behind[i].load(), 1u);
    if (i > 0) {
      EXPECT_EQ(behind[i - 1].load(), 0u);
    }
  }
  for (void* stream : streams) expectOk(order().destroyStream(stream));
}

TEST_P(DeviceStreams, RefusesForeignStreams) {
  int local = 0;
  Flag flag{0};
  void* stale = makeStream();
  expectOk(order().destroyStream(stale));
  for (void* stream : {static_cast<void*>(&local), stale}) {
    const auto invalid = base::Code::kInvalidArgument;
    EXPECT_EQ(order().destroyStream(stream).code(), invalid);
    EXPECT_EQ(order().synchronize(stream).code(), invalid);
    EXPECT_EQ(order().isIdle(stream).status().code(), invalid);
    EXPECT_EQ(order().after(stream, &flag, nullptr, nullptr).code(), invalid);
    EXPECT_EQ(order().hold(stream, std::make_shared<Flag>(1)).code(), invalid);
    EXPECT_EQ(order().enqueueCopy(stream, &local, &local, 1).code(), invalid);
  }
  EXPECT_EQ(flag.load(), 0u);
}

}  // namespace
}  // namespace tutti::cts
