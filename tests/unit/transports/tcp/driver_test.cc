// The making of lanes, beside strangers.
#include "transports/tcp/driver.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/base/clock.h"
#include "transports/segment.h"

namespace tutti::transports::tcp {
namespace {

constexpr int kStrangers = 1000;

struct TestRank {
  TestRank(ir::Rank rank, const std::byte* token) {
    auto made = OwnSegment::create(rank, 2, token);
    EXPECT_TRUE(made.isOk());
    segment = made.take();
    ContextOptions options;
    options.rank = rank;
    options.segment = segment->view();
    std::memcpy(options.token, token, sizeof(options.token));
    auto opened = TcpDriver::open(options);
    EXPECT_TRUE(opened.isOk()) << opened.status().toString();
    driver = opened.take();
  }
  void connect(const TestRank& peer, ir::Rank rank) {
    auto made = driver->connect(rank, peer.driver->address());
    ASSERT_TRUE(made.isOk()) << made.status().toString();
    connection = made.take();
    connection->remote()->greet();
  }
  uint16_t port() const { return Home::parse(driver->address())->port; }

  std::unique_ptr<OwnSegment> segment;
  std::unique_ptr<TcpDriver> driver;
  std::unique_ptr<Connection> connection;  // gone first
};

class TcpDrivers : public testing::Test {
 protected:
  static base::UniqueFd stranger(uint16_t port, std::string_view says) {
    base::UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      socket.reset();
    } else if (!says.empty()) {
      static_cast<void>(::send(socket.get(), says.data(), says.size(), MSG_NOSIGNAL));
    }
    return socket;
  }
  // Has the other end closed it?
  static bool isDropped(const base::UniqueFd& socket) {
    char bytes[256];
    while (true) {
      const ssize_t got = recv(socket.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
      if (got == 0) return true;
      if (got < 0) return errno != EAGAIN && errno != EINTR;
    }
  }
  template <typename Condition>
  bool moveUntil(const Condition& isDone, int64_t mostMs = 10000) {
    const int64_t until = base::nowNs() + mostMs * 1'000'000;
    while (!isDone()) {
      if (base::nowNs() > until) return false;
      for (TestRank* rank : ranks_) {
        rank->driver->progress();
        rank->driver->settle();
      }
      std::this_thread::yield();
    }
    return true;
  }
  void exchange(TestRank& from, TestRank& to) {
    Remote& out = *from.connection->remote();
    std::byte* room = out.reserve(0, 5);
    ASSERT_NE(room, nullptr);
    std::memcpy(room, "tutti", 5);
    out.send(0, 5, 99);
    Remote& in = *to.connection->remote();
    ASSERT_TRUE(moveUntil([&] { return in.front(0) != nullptr; }));
    EXPECT_EQ(std::memcmp(in.front(0)->data, "tutti", 5), 0);
    in.pop(0);
  }

  std::byte token_[32] = {std::byte{7}};
  TestRank low_{0, token_};
  TestRank high_{1, token_};
  std::vector<TestRank*> ranks_{&low_, &high_};
};

TEST_F(TcpDrivers, ConnectAndCloseTheirPorts) {
  low_.connect(high_, 1);
  high_.connect(low_, 0);
  const auto isReady = [&] {
    return low_.driver->settle() && high_.driver->settle() &&
           low_.connection->remote()->isHeardOf() && high_.connection->remote()->isHeardOf();
  };
  ASSERT_TRUE(moveUntil(isReady));
  exchange(low_, high_);
  exchange(high_, low_);
  EXPECT_FALSE(stranger(low_.port(), "").isOpen()) << "nothing listens any more";
  EXPECT_FALSE(stranger(high_.port(), "").isOpen());
}

// A flood of them, each dropped within a second or little more, and a peer that comes last.
TEST_F(TcpDrivers, StrangersAreDroppedAndDelayNobody) {
  low_.connect(high_, 1);
  const std::string says[] = {"", "GET / HTTP/1.1\r\n\r\n", std::string(kAnswerBytes, 'x'),
                              std::string(10, '\0'), std::string(100000, '\xff')};
  std::vector<base::UniqueFd> strangers;
  const int64_t start = base::nowNs();
  for (int i = 0; i < kStrangers; ++i) {
    strangers.push_back(stranger(low_.port(), says[i % 3]));
    ASSERT_TRUE(strangers.back().isOpen());
    low_.driver->progress();
  }
  strangers.push_back(stranger(low_.port(), says[3]));
  strangers.push_back(stranger(low_.port(), says[4]));
  high_.connect(low_, 0);
  ASSERT_TRUE(moveUntil([&] { return low_.connection->remote()->isHeardOf(); }, 3000));
  EXPECT_LT(base::nowNs() - start, 3'000'000'000);
  exchange(low_, high_);
  for (const auto& each : strangers) EXPECT_TRUE(isDropped(each));
}

// Without any peer in sight: by their time, not by the end of the making.
TEST_F(TcpDrivers, IdleStrangersHaveASecond) {
  low_.connect(high_, 1);
  const auto idle = stranger(low_.port(), "");
  ASSERT_TRUE(moveUntil([&] { return isDropped(idle); }, 1500));
  high_.connect(low_, 0);
  ASSERT_TRUE(moveUntil([&] { return high_.connection->remote()->isHeardOf(); }));
  exchange(high_, low_);
}

// Ranks of another communicator are strangers, too.
TEST_F(TcpDrivers, AnotherTokenIsNoPeer) {
  std::byte other[32] = {std::byte{8}};
  TestRank foreign(1, other);
  low_.connect(high_, 1);
  foreign.connect(low_, 0);
  ranks_ = {&low_, &foreign};
  EXPECT_FALSE(moveUntil([&] { return low_.connection->remote()->isHeardOf(); }, 500));
  EXPECT_FALSE(foreign.connection->remote()->isHeardOf());
  high_.connect(low_, 0);
  ranks_ = {&low_, &high_, &foreign};
  EXPECT_TRUE(moveUntil([&] { return low_.connection->remote()->isHeardOf(); }));
}

TEST_F(TcpDrivers, GarbageIsNoAddress) { EXPECT_FALSE(low_.driver->connect(1, "nowhere").isOk()); }

}  // namespace
}  // namespace tutti::transports::tcp
