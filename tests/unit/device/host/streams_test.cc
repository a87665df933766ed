#include "src/device/host/streams.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <vector>

#include "src/device/host/device.h"

namespace tutti::device::host {
namespace {

using Flag = std::atomic<uint32_t>;

void expectOk(const base::Status& status) { EXPECT_TRUE(status.isOk()) << status.toString(); }

void open(HostStreams& streams, Flag& flag) {
  flag.store(1, std::memory_order_release);
  streams.notify(&flag);
}

TEST(HostStreams, NullStreamWorksAtOnce) {
  HostStreams streams;
  Flag flag{0};
  int wakes = 0;
  expectOk(streams.after(
      nullptr, &flag, [](void* context) { ++*static_cast<int*>(context); }, &wakes));
  EXPECT_EQ(flag.load(), 1u);
  EXPECT_EQ(wakes, 1);
  const int from = 5;
  int to = 0;
  expectOk(streams.enqueueCopy(nullptr, &to, &from, sizeof(to)));
  EXPECT_EQ(to, 5);
  expectOk(streams.synchronize(nullptr));
  EXPECT_TRUE(*streams.isIdle(nullptr));
  expectOk(streams.destroyStream(nullptr));
  EXPECT_EQ(streams.hold(nullptr, std::make_shared<Flag>(1)).code(), base::Code::kInvalidArgument);
}

TEST(HostStreams, IdleStreamAnswersWithoutAThread) {
  HostStreams streams;
  void* stream = *streams.createStream();
  Flag flag{0};
  const std::thread::id self = std::this_thread::get_id();
  std::thread::id waker;
  expectOk(streams.after(
      stream, &flag,
      [](void* context) { *static_cast<std::thread::id*>(context) = std::this_thread::get_id(); },
      &waker));
  EXPECT_EQ(flag.load(), 1u);
  EXPECT_EQ(waker, self);
  expectOk(streams.destroyStream(stream));
}

// The pattern of a collective on a stream: a flag behind earlier work, a hold for later work.
TEST(HostStreams, ChainsOfAfterAndHoldKeepTheirOrder) {
  HostStreams streams;
  void* stream = *streams.createStream();
  constexpr int kOperations = 200;
  std::vector<std::shared_ptr<Flag>> gates;
  std::vector<Flag> reached(kOperations);
  for (int i = 0; i < kOperations; ++i) gates.push_back(std::make_shared<Flag>(0));
  std::thread progress([&] {
    for (int i = 0; i < kOperations; ++i) {
      while (reached[static_cast<size_t>(i)].load(std::memory_order_acquire) == 0) {
        std::this_thread::yield();
      }
      if (i + 1 < kOperations) {
        EXPECT_EQ(reached[static_cast<size_t>(i) + 1].load(), 0u) << i;
      }
      open(streams, *gates[static_cast<size_t>(i)]);
    }
  });
  for (size_t i = 0; i < kOperations; ++i) {
    expectOk(streams.after(stream, &reached[i], nullptr, nullptr));
    expectOk(streams.hold(stream, gates[i]));
  }
  expectOk(streams.synchronize(stream));
  EXPECT_EQ(reached.back().load(), 1u);
  EXPECT_EQ(gates.back()->load(), 1u);
  progress.join();
  expectOk(streams.destroyStream(stream));
}

TEST(HostStreams, SlowWorkDelaysWhatFollows) {
  HostStreams streams;
  void* stream = *streams.createStream();
  const auto gate = std::make_shared<Flag>(0);
  std::vector<char> from(size_t{8} << 20, 'x');
  std::vector<char> to(from.size());
  Flag behind{0};
  expectOk(streams.hold(stream, gate));
  for (int i = 0; i < 5; ++i) {
    expectOk(streams.enqueueCopy(stream, to.data(), from.data(), from.size()));
  }
  expectOk(streams.after(stream, &behind, nullptr, nullptr));
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(behind.load(), 0u);
  open(streams, *gate);
  while (behind.load(std::memory_order_acquire) == 0) std::this_thread::yield();
  EXPECT_EQ(to, from);
  expectOk(streams.destroyStream(stream));
}

TEST(HostStreams, SynchronizeWaitsOnlyForWhatCameBefore) {
  HostStreams streams;
  void* stream = *streams.createStream();
  const auto first = std::make_shared<Flag>(0);
  const auto second = std::make_shared<Flag>(0);
  expectOk(streams.hold(stream, first));
  std::atomic<bool> isStarted{false};
  std::atomic<bool> isBack{false};
  std::thread waiter([&] {
    isStarted = true;
    expectOk(streams.synchronize(stream));
    isBack = true;
  });
  while (!isStarted) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  expectOk(streams.hold(stream, second));
  EXPECT_FALSE(isBack);
  open(streams, *first);
  waiter.join();
  EXPECT_FALSE(*streams.isIdle(stream));
  open(streams, *second);
  expectOk(streams.destroyStream(stream));
}

TEST(HostStreams, DestroyedByItsOwnWorkIsRefused) {
  HostStreams streams;
  void* stream = *streams.createStream();
  struct Context {
    HostStreams* streams;
    void* stream;
    std::atomic<int> code{0};
  } context{&streams, stream};
  const auto gate = std::make_shared<Flag>(0);
  Flag flag{0};
  expectOk(streams.hold(stream, gate));
  expectOk(streams.after(
      stream, &flag,
      [](void* pointer) {
        auto* self = static_cast<Context*>(pointer);
        self->code = static_cast<int>(self->streams->destroyStream(self->stream).code());
      },
      &context));
  open(streams, *gate);
  while (context.code == 0) std::this_thread::yield();
  EXPECT_EQ(context.code, static_cast<int>(base::Code::kInvalidUsage));
  expectOk(streams.destroyStream(stream));
}

TEST(HostStreams, ManyThreadsManyStreams) {
  HostStreams streams;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&streams] {
      for (int round = 0; round < 30; ++round) {
        void* stream = *streams.createStream();
        const auto gate = std::make_shared<Flag>(0);
        Flag behind{0};
        std::vector<int> from(20'000, round);
        std::vector<int> to(from.size());
        expectOk(streams.enqueueCopy(stream, to.data(), from.data(), to.size() * sizeof(int)));
        expectOk(streams.hold(stream, gate));
        expectOk(streams.after(stream, &behind, nullptr, nullptr));
        open(streams, *gate);
        if (round % 2 == 0) expectOk(streams.synchronize(stream));
        expectOk(streams.destroyStream(stream));
        EXPECT_EQ(behind.load(), 1u);
        EXPECT_EQ(to, from);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(HostStreams, OneStreamFromManyThreads) {
  HostStreams streams;
  void* stream = *streams.createStream();
  std::atomic<int> wakes{0};
  std::vector<Flag> flags(400);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 100; ++i) {
        expectOk(streams.hold(stream, std::make_shared<Flag>(1)));
        expectOk(streams.after(
            stream, &flags[t * 100 + i],
            [](void* context) { ++*static_cast<std::atomic<int>*>(context); }, &wakes));
        if (i % 10 == 0) expectOk(streams.synchronize(stream));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  expectOk(streams.destroyStream(stream));
  EXPECT_EQ(wakes.load(), 400);
  for (const Flag& flag : flags) EXPECT_EQ(flag.load(), 1u);
}

TEST(HostStreams, InheritedStreamIsRefusedInAChild) {
  HostStreams streams;
  void* stream = *streams.createStream();
  const pid_t child = fork();
  if (child == 0) {
    const bool isRefused = streams.synchronize(stream).code() == base::Code::kInvalidUsage &&
                           streams.createStream().isOk();
    _exit(isRefused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  expectOk(streams.destroyStream(stream));
}

// A program that ends in the middle of a stream's work ends well. The check runs in a child.
TEST(HostStreams, ProcessMayExitWhileAStreamIsBusy) {
  EXPECT_EXIT(
      {
        auto device = *backend()->open(0);
        StreamOrder& order = device->order();
        void* stream = *order.createStream();
        const auto gate = std::make_shared<Flag>(0);
        Flag* behind = new Flag(0);
        expectOk(order.hold(stream, gate));
        expectOk(order.after(stream, behind, nullptr, nullptr));
        device.reset();
        std::exit(0);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace tutti::device::host
