// Lanes over sockets whose bytes the test passes on as it pleases.
#include "transports/tcp/lane.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/base/clock.h"
#include "transports/tcp/connection.h"

namespace tutti::transports::tcp {
namespace {

// Two ends and what is between them.
class Cable {
 public:
  Cable() {
    for (auto& pair : sockets_) {
      int made[2];
      EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, made), 0);
      pair.end.reset(made[0]);
      pair.inside.reset(made[1]);
    }
  }
  base::UniqueFd takeEnd(int side) { return std::move(sockets_[side].end); }
  // Passes up to `most` bytes each way.
  void pass(size_t most) {
    if (isStopped_) return;
    passOneWay(0, 1, most);
    passOneWay(1, 0, most);
  }
  void stop() { isStopped_ = true; }
  void cut() {
    for (auto& pair : sockets_) pair.inside.reset();
    isStopped_ = true;
  }
  // Changes a bit of what passes from side 0.
  void spoilOnce() { spoils_ = true; }
  size_t passed() const { return passed_; }

 private:
  struct Pair {
    base::UniqueFd end, inside;
  };
  void passOneWay(int from, int to, size_t most) {
    std::vector<char> bytes(most);
    const ssize_t got = recv(sockets_[from].inside.get(), bytes.data(), most, MSG_DONTWAIT);
    if (got <= 0) return;
    if (from == 0 && std::exchange(spoils_, false)) bytes[static_cast<size_t>(got) / 2] ^= 1;
    size_t sent = 0;
    while (sent < static_cast<size_t>(got)) {
      const ssize_t n = ::send(sockets_[to].inside.get(), bytes.data() + sent,
                               static_cast<size_t>(got) - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) sent += static_cast<size_t>(n);
      if (n <= 0) break;  // who does not read is gone
    }
    passed_ += sent;
  }

  Pair sockets_[2];
  bool isStopped_ = false;
  bool spoils_ = false;
  size_t passed_ = 0;
};

std::byte patternAt(uint32_t number, size_t i) {
  return static_cast<std::byte>(number * 31 + i * 7 + (i >> 8));
}

// One rank's end: a wire, what it was given and what it has sent.
class End final : public Wire::Sink {
 public:
  explicit End(ir::Rank self) : self_(self) {
    EXPECT_TRUE(poller_.open().isOk());
    wire_ = std::make_unique<TcpWire>(pool_, *this, 1 - self, [] {});
  }
  void addLane(base::UniqueFd socket, const LaneKeys& keys, bool isOneOfSeveral) {
    wire_->addLane(
        std::make_unique<Lane>(std::move(socket), poller_, *wire_, keys, isOneOfSeveral));
  }
  void send(uint32_t bytes) {
    auto& buffer = buffers_.emplace_back(std::make_unique<SendBuffer>());
    buffer->capacity = bytes;
    buffer->memory = std::make_unique<std::byte[]>(bytes);
    buffer->data = buffer->memory.get();
    Frame frame;
    frame.from = self_;
    frame.number = next_++;
    frame.bytes = bytes;
    frame.tag = 1000 + frame.number;
    for (size_t i = 0; i < bytes; ++i) buffer->data[i] = patternAt(frame.number, i);
    ++underWay_;
    wire_->send(frame, buffer.get());
  }
  void move() {
    wire_->receive();
    wire_->flush();
    const int64_t now = base::nowNs();
    wire_->tend(now - tendedNs_ > 2'000'000, now);
    if (now - tendedNs_ > 2'000'000) tendedNs_ = now;
  }

  void sent(SendBuffer* buffer) override {
    if (buffer != nullptr) --underWay_;
  }
  bool arrived(const Frame& frame, std::byte* data, void*) override {
    if (frame.kind != FrameKind::kMessage) return false;
    EXPECT_EQ(frame.tag, 1000 + frame.number);
    size_t wrong = 0;
    for (size_t i = 0; i < frame.bytes; ++i) wrong += data[i] != patternAt(frame.number, i);
    EXPECT_EQ(wrong, 0u) << "frame " << frame.number << " of " << frame.bytes;
    ++arrivals_[frame.number];
    order_.push_back(frame.number);
    return false;
  }
  void failed(base::Status why) override { failure_ = std::move(why); }

  size_t different() const { return arrivals_.size(); }
  size_t all() const { return order_.size(); }
  const std::vector<uint32_t>& order() const { return order_; }
  int underWay() const { return underWay_; }
  TcpWire& wire() { return *wire_; }
  const base::Status& failure() const { return failure_; }

 private:
  ir::Rank self_;
  Poller poller_;
  PacketPool pool_;
  std::vector<std::unique_ptr<SendBuffer>> buffers_;
  uint32_t next_ = 0;
  int underWay_ = 0;
  int64_t tendedNs_ = 0;
  std::map<uint32_t, int> arrivals_;
  std::vector<uint32_t> order_;
  base::Status failure_;
  std::unique_ptr<TcpWire> wire_;
};

class TcpLanes : public testing::TestWithParam<bool> {
 protected:
  void connect(int lanes) {
    for (int i = 0; i < lanes; ++i) {
      LaneKeys keys{GetParam(), base::randomKey(), base::randomKey()};
      Cable& cable = *cables_.emplace_back(std::make_unique<Cable>());
      a_.addLane(cable.takeEnd(0), keys, lanes > 1);
      std::swap(keys.send, keys.receive);
      b_.addLane(cable.takeEnd(1), keys, lanes > 1);
    }
  }
  template <typename Condition>
  bool moveUntil(const Condition& isDone, size_t pieces = 70000) {
    const int64_t until = base::nowNs() + 10'000'000'000;
    while (!isDone()) {
      if (base::nowNs() > until) return false;
      a_.move();
      b_.move();
      for (auto& cable : cables_) cable->pass(pieces);
    }
    return true;
  }

  std::vector<std::unique_ptr<Cable>> cables_;
  End a_{0};
  End b_{1};
};

const uint32_t kSizes[] = {0, 1, 63, 64, 4031, 4032, 4033, 4096, 65536, 65537, 200000};

// However the bytes come, whole frames come out of them, in their order.
TEST_P(TcpLanes, FramesSurviveAnyCut) {
  connect(1);
  uint32_t count = 0;
  for (const size_t pieces : {size_t{1}, size_t{17}, size_t{4096}, size_t{70000}}) {
    for (const uint32_t bytes : kSizes) {
      if (pieces < 100 && bytes > 5000) continue;
      a_.send(bytes);
      b_.send(bytes);
      ++count;
    }
    ASSERT_TRUE(moveUntil([&] { return a_.all() == count && b_.all() == count; }, pieces));
  }
  EXPECT_EQ(b_.different(), count);
  EXPECT_TRUE(std::is_sorted(b_.order().begin(), b_.order().end()));
  EXPECT_EQ(a_.underWay(), 0);
  EXPECT_TRUE(a_.failure().isOk());
}

TEST_P(TcpLanes, SeveralCarryEqualShares) {
  connect(3);
  constexpr uint32_t kCount = 90;
  for (uint32_t i = 0; i < kCount; ++i) a_.send(60000);
  ASSERT_TRUE(moveUntil([&] { return b_.all() == kCount && a_.underWay() == 0; }));
  EXPECT_EQ(b_.different(), kCount);
  for (auto& cable : cables_) {
    EXPECT_GT(cable->passed(), 20u * 60000);
    EXPECT_LT(cable->passed(), 40u * 60000 + 100000);
  }
}

// But not into a frame that has begun, and not where frames are sealed in order.
TEST_P(TcpLanes, WhatHasNoPayloadGoesAhead) {
  connect(1);
  EXPECT_FALSE(a_.wire().isBackedUp());
  for (int i = 0; i < 4; ++i) a_.send(4 << 20);
  EXPECT_EQ(a_.wire().isBackedUp(), !GetParam());
  a_.send(0);
  a_.send(0);
  ASSERT_TRUE(moveUntil([&] { return b_.all() == 6; }));
  const std::vector<uint32_t> ahead = {0, 4, 5, 1, 2, 3};
  const std::vector<uint32_t> inOrder = {0, 1, 2, 3, 4, 5};
  EXPECT_EQ(b_.order(), GetParam() ? inOrder : ahead);
  EXPECT_EQ(a_.underWay(), 0);
  EXPECT_FALSE(a_.wire().isBackedUp());
}

TEST_P(TcpLanes, WhatWentAheadIsLostNoMoreThanTheRest) {
  connect(3);
  constexpr uint32_t kCount = 120;
  for (uint32_t i = 0; i < kCount; ++i) a_.send(i % 3 == 2 ? 0 : 60000);
  ASSERT_TRUE(moveUntil([&] { return b_.different() > kCount / 4; }));
  cables_[0]->cut();
  ASSERT_TRUE(moveUntil([&] { return b_.different() == kCount && a_.underWay() == 0; }));
  EXPECT_TRUE(a_.failure().isOk());
}

// What was on it goes over the others, unharmed.
TEST_P(TcpLanes, ACutCableLosesNothing) {
  connect(2);
  constexpr uint32_t kCount = 60;
  for (uint32_t i = 0; i < kCount; ++i) {
    a_.send(50000 + i);
    b_.send(30000 + i);
  }
  ASSERT_TRUE(moveUntil([&] { return b_.all() > kCount / 4; }, 20000));
  cables_[0]->cut();
  ASSERT_TRUE(moveUntil([&] { return b_.different() == kCount && a_.different() == kCount; }));
  ASSERT_TRUE(moveUntil([&] { return a_.underWay() == 0 && b_.underWay() == 0; }));
  EXPECT_EQ(a_.wire().laneCount(), 1u);
  EXPECT_EQ(b_.wire().laneCount(), 1u);
  EXPECT_TRUE(a_.failure().isOk());
  EXPECT_TRUE(b_.failure().isOk());
}

// As where a cable is pulled, and nobody says so. The other one has nothing left to do, but
// answers.
TEST_P(TcpLanes, ALaneThatStandsStillIsGivenUp) {
  connect(2);
  constexpr uint32_t kCount = 40;
  for (uint32_t i = 0; i < kCount; ++i) a_.send(50000);
  cables_[1]->stop();
  ASSERT_TRUE(moveUntil([&] { return b_.different() == kCount && a_.underWay() == 0; }));
  EXPECT_EQ(a_.wire().laneCount(), 1u);
  EXPECT_TRUE(a_.failure().isOk());
}

TEST_P(TcpLanes, AllStandStillWhileThePeerIsBusy) {
  connect(2);
  for (int i = 0; i < 40; ++i) a_.send(50000);
  const int64_t until = base::nowNs() + 1'800'000'000;
  while (base::nowNs() < until) {
    a_.move();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(a_.wire().laneCount(), 2u);
  ASSERT_TRUE(moveUntil([&] { return b_.different() == 40; }));
}

TEST_P(TcpLanes, TheLastLaneTakesThePeerWithIt) {
  connect(1);
  a_.send(100000);
  a_.send(100000);
  cables_[0]->cut();
  ASSERT_TRUE(moveUntil([&] { return !a_.failure().isOk() && !b_.failure().isOk(); }));
  EXPECT_NE(a_.failure().text().find("rank 1 is unreachable"), std::string::npos);
  EXPECT_NE(b_.failure().text().find("rank 0 is unreachable"), std::string::npos);
  EXPECT_EQ(a_.underWay(), 0) << "buffers come back";
  a_.send(10);
  EXPECT_EQ(a_.underWay(), 0);
}

INSTANTIATE_TEST_SUITE_P(PlainAndEncrypted, TcpLanes, testing::Bool());

class TcpSpoiled : public TcpLanes {};

TEST_P(TcpSpoiled, AChangedBitEndsAnEncryptedLane) {
  connect(1);
  a_.send(3000);
  cables_[0]->spoilOnce();
  ASSERT_TRUE(moveUntil([&] { return !b_.failure().isOk(); }));
  EXPECT_EQ(b_.all(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Encrypted, TcpSpoiled, testing::Values(true));

}  // namespace
}  // namespace tutti::transports::tcp
