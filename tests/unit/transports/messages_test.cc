// Channels, order and credit over a wire that loses nothing but delivers as the test pleases.
#include "transports/messages.h"

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "transports/segment.h"

namespace tutti::transports {
namespace {

// What one side has sent and the other has not got yet.
struct Line {
  struct Sent {
    Frame frame;
    std::vector<std::byte> data;
  };
  std::deque<Sent> sent;
  int held = 0;  // payloads that were delivered and not given back
};

class TestWire final : public Wire {
 public:
  TestWire(Line& out, Line& in, Wire::Sink& self) : out_(out), in_(in), self_(self) {}
  void send(const Frame& frame, SendBuffer* buffer) override {
    std::vector<std::byte> data(frame.bytes);
    if (frame.bytes > 0) std::memcpy(data.data(), buffer->data, frame.bytes);
    out_.sent.push_back({frame, std::move(data)});
    self_.sent(buffer);
  }
  void giveBack(void* token) override {
    delete static_cast<Line::Sent*>(token);
    --in_.held;
  }

 private:
  Line& out_;
  Line& in_;
  Wire::Sink& self_;
};

struct End {
  End(int self, Line& out, Line& in, uint64_t window = 1 << 20) {
    auto made = OwnSegment::create(self, 2, token);
    EXPECT_TRUE(made.isOk());
    segment = made.take();
    MessageOptions options;
    options.self = self;
    options.segment = segment->view();
    options.windowBytes = options.leastWindowBytes = window;
    connection = std::make_unique<MessageConnection>(options);
    connection->attach(std::make_unique<TestWire>(out, in, *connection));
  }
  bool send(int channel, uint8_t value, uint64_t bytes = 100) {
    std::byte* room = connection->reserve(channel, bytes);
    if (room == nullptr) return false;
    std::memset(room, value, bytes);
    connection->send(channel, bytes, value);
    return true;
  }
  // The value of the next message, -1 where there is none.
  int receive(int channel) {
    const Arrival* arrival = connection->front(channel);
    if (arrival == nullptr) return -1;
    const int value = static_cast<int>(arrival->tag);
    for (uint32_t i = 0; i < arrival->bytes; ++i) {
      EXPECT_EQ(arrival->data[i], static_cast<std::byte>(value));
    }
    connection->pop(channel);
    return value;
  }

  std::byte token[32] = {};
  std::unique_ptr<OwnSegment> segment;
  std::unique_ptr<MessageConnection> connection;
};

class Messages : public testing::Test {
 protected:
  // Delivers the frame at `index`.
  static void deliver(Line& line, End& to, size_t index = 0) {
    auto* sent = new Line::Sent(std::move(line.sent[index]));
    line.sent.erase(line.sent.begin() + static_cast<std::ptrdiff_t>(index));
    ++line.held;
    if (to.connection->arrived(sent->frame, sent->data.data(), sent)) return;
    delete sent;
    --line.held;
  }
  static void deliverAll(Line& line, End& to) {
    while (!line.sent.empty()) deliver(line, to);
  }

  Line forth_, back_;
  static constexpr int kFits =
      16;  // short messages into the window; after four read ones it is told
  static constexpr uint64_t kWindow = kFits * 4096;
  End a_{0, forth_, back_, kWindow};
  End b_{1, back_, forth_, kWindow};
};

TEST_F(Messages, ComeInTheirOrderHoweverFramesOvertake) {
  for (uint8_t i = 0; i < 4; ++i) ASSERT_TRUE(a_.send(1, i));
  for (const size_t index : {3u, 1u, 0u}) deliver(forth_, b_, index);  // 3, 1, 0
  EXPECT_EQ(b_.receive(1), 0);
  EXPECT_EQ(b_.receive(1), 1);
  EXPECT_EQ(b_.receive(1), -1);  // 2 is missing
  deliver(forth_, b_);
  EXPECT_EQ(b_.receive(1), 2);
  EXPECT_EQ(b_.receive(1), 3);
  EXPECT_EQ(forth_.held, 0);
}

TEST_F(Messages, ChannelsDoNotMix) {
  ASSERT_TRUE(a_.send(0, 10));
  ASSERT_TRUE(a_.send(kAllChannels - 1, 20));
  deliverAll(forth_, b_);
  EXPECT_EQ(b_.receive(1), -1);
  EXPECT_EQ(b_.receive(kAllChannels - 1), 20);
  EXPECT_EQ(b_.receive(0), 10);
}

// A window that one channel has filled leaves every other its slots.
TEST_F(Messages, EachChannelHasItsSlotsWhateverOthersHold) {
  for (uint8_t i = 0; i < kFits; ++i) ASSERT_TRUE(a_.send(0, i));
  EXPECT_FALSE(a_.send(0, 99)) << "the window is under way";
  for (uint8_t i = 0; i < ir::Limits::kFifoSlots; ++i) EXPECT_TRUE(a_.send(1, i));
  for (uint8_t i = 0; i < 7; ++i) EXPECT_TRUE(a_.send(1, i)) << "7 may be read without a word";
  EXPECT_FALSE(a_.send(1, 9));
}

// As many slots as Schedules need are free although the peer has not yet said what it has read.
TEST_F(Messages, AWithheldAcknowledgementTakesNoSlot) {
  for (uint8_t i = 0; i < kFits; ++i) ASSERT_TRUE(a_.send(0, i));
  ASSERT_TRUE(a_.send(1, 0));
  deliverAll(forth_, b_);
  EXPECT_EQ(b_.receive(1), 0);
  EXPECT_TRUE(back_.sent.empty());
  for (uint8_t i = 1; i <= ir::Limits::kFifoSlots; ++i) EXPECT_TRUE(a_.send(1, i)) << int{i};
}

// However short they are, so many that neither side's memory suffers, and none is taken for one
// that was read long ago.
TEST_F(Messages, ShortOnesFillTheWindowToo) {
  for (const uint64_t bytes : {0, 1, 4096}) {
    Line forth, back;
    End a(0, forth, back, kWindow);
    End b(1, back, forth, kWindow);
    int sent = 0;
    while (sent < 1000 && a.send(0, 1, bytes)) ++sent;
    EXPECT_EQ(sent, kFits) << bytes;
    deliverAll(forth, b);
    while (b.receive(0) == 1) --sent;
    EXPECT_EQ(sent, 0) << bytes;
  }
}

TEST_F(Messages, CreditComesBackOnceTheyWereRead) {
  for (uint8_t i = 0; i < kFits; ++i) ASSERT_TRUE(a_.send(0, i));
  deliverAll(forth_, b_);
  EXPECT_FALSE(a_.send(0, 99)) << "delivered is not read";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(b_.receive(0), i);
  EXPECT_TRUE(back_.sent.empty()) << "less than a quarter of the window is not worth a frame";
  EXPECT_EQ(b_.receive(0), 3);
  ASSERT_EQ(back_.sent.size(), 1u);
  deliverAll(back_, a_);
  for (uint8_t i = 0; i < 4; ++i) EXPECT_TRUE(a_.send(0, i));
  EXPECT_FALSE(a_.send(0, 99));
}

// Short ones in a long window, which they would never fill.
TEST_F(Messages, CreditComesBackAfterEightOfAChannel) {
  Line forth, back;
  End a(0, forth, back);
  End b(1, back, forth);
  for (uint8_t i = 0; i < 8; ++i) ASSERT_TRUE(a.send(3, i));
  deliverAll(forth, b);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(b.receive(3), i);
  EXPECT_TRUE(back.sent.empty());
  EXPECT_EQ(b.receive(3), 7);
  EXPECT_EQ(back.sent.size(), 1u);
}

TEST_F(Messages, AcknowledgementsRideOnOtherFrames) {
  ASSERT_TRUE(a_.send(0, 1));
  deliverAll(forth_, b_);
  EXPECT_EQ(b_.receive(0), 1);
  ASSERT_TRUE(b_.send(2, 7));
  EXPECT_EQ(back_.sent.front().frame.reads, 1);
  ASSERT_TRUE(b_.send(2, 8));
  EXPECT_EQ(back_.sent.back().frame.reads, 0) << "nothing is left to say";
}

TEST_F(Messages, AGreetingIsHeardAndCountsForNothing) {
  a_.connection->greet();
  EXPECT_FALSE(b_.connection->isHeardOf());
  deliverAll(forth_, b_);
  EXPECT_TRUE(b_.connection->isHeardOf());
  EXPECT_EQ(b_.receive(0), -1);
}

// An old acknowledgement that comes late takes nothing back.
TEST_F(Messages, OldAcknowledgementsAreHarmless) {
  for (uint8_t i = 0; i < 8; ++i) ASSERT_TRUE(a_.send(0, i));
  deliverAll(forth_, b_);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(b_.receive(0), i);
  ASSERT_EQ(back_.sent.size(), 2u);
  deliver(back_, a_, 1);
  deliver(back_, a_, 0);
  for (uint8_t i = 0; i < kFits; ++i) EXPECT_TRUE(a_.send(0, i));
  EXPECT_FALSE(a_.send(0, 99));
}

TEST_F(Messages, ADoubleOrAFarAwayMessageIsDropped) {
  ASSERT_TRUE(a_.send(0, 1));
  Frame frame = forth_.sent[0].frame;
  deliverAll(forth_, b_);
  std::byte data[100] = {};
  EXPECT_FALSE(b_.connection->arrived(frame, data, nullptr));
  EXPECT_EQ(b_.receive(0), 1);
  EXPECT_FALSE(b_.connection->arrived(frame, data, nullptr)) << "it was read before";
  frame.number = 1u << 21;
  EXPECT_FALSE(b_.connection->arrived(frame, data, nullptr));
  frame.number = 1;
  frame.channel = kAllChannels;
  EXPECT_FALSE(b_.connection->arrived(frame, data, nullptr));
  EXPECT_EQ(b_.receive(0), -1);
}

TEST_F(Messages, AReservationStaysUntilItIsSent) {
  std::byte* room = a_.connection->reserve(0, 100);
  EXPECT_EQ(a_.connection->reserve(0, 100), room);
  EXPECT_EQ(a_.connection->reserve(0, 50), room);
  std::memset(room, 5, 50);
  a_.connection->send(0, 50, 5);
  deliverAll(forth_, b_);
  EXPECT_EQ(b_.receive(0), 5);
}

// Longer than a slot, and nothing at all.
TEST_F(Messages, OfAnyLength) {
  ASSERT_TRUE(a_.send(0, 1, ir::Limits::kFifoSlotBytes + 4097));
  ASSERT_TRUE(a_.send(0, 2, 0));
  deliverAll(forth_, b_);
  EXPECT_EQ(b_.receive(0), 1);
  EXPECT_EQ(b_.receive(0), 2);
}

TEST_F(Messages, TellWhatTheHeaderSays) {
  auto& header = a_.segment->view().header();
  header.completedOps.store(17);
  header.log[1].signature.store(99);
  header.log[1].number.store(17);
  a_.connection->publish(true);
  a_.connection->publish(true);
  ASSERT_EQ(forth_.sent.size(), 1u) << "it did not change";
  deliverAll(forth_, b_);
  const auto& seen = b_.connection->segment().header();
  EXPECT_EQ(seen.completedOps.load(), 17u);
  EXPECT_EQ(seen.log[1].number.load(), 17u);
  EXPECT_EQ(seen.log[1].signature.load(), 99u);
  std::strcpy(header.failure, "out of luck");
  header.state.store(static_cast<uint32_t>(RankState::kFailed));
  header.completedOps.store(18);
  a_.connection->publish(false);
  EXPECT_TRUE(forth_.sent.empty()) << "the last time was moments ago";
  a_.connection->publish(true);
  deliverAll(forth_, b_);
  EXPECT_EQ(seen.state.load(), static_cast<uint32_t>(RankState::kFailed));
  EXPECT_STREQ(seen.failure, "out of luck");
}

TEST_F(Messages, AfterAFailureNothingIsSent) {
  a_.connection->failed({base::Code::kRemoteError, 0, "cut"});
  a_.connection->failed({base::Code::kRemoteError, 0, "again"});
  EXPECT_EQ(a_.connection->failure().text(), "cut");
  ASSERT_TRUE(a_.send(0, 1));
  EXPECT_TRUE(forth_.sent.empty());
  EXPECT_FALSE(a_.connection->isSending());
}

}  // namespace
}  // namespace tutti::transports
