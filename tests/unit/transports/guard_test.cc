// Who gets through to UCX's ports: a listening socket of the test stands for UCX.
#include "transports/ucx/guard.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "src/base/clock.h"
#include "src/base/fd.h"

namespace tutti::transports::ucx {
namespace {

using base::UniqueFd;

struct Storage {
  sockaddr_storage value{};
  socklen_t length = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&value); }
};

Storage loopback(bool isV6, uint16_t port) {
  Storage storage;
  if (isV6) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage.value);
    v6.sin6_family = AF_INET6;
    v6.sin6_addr = in6addr_loopback;
    v6.sin6_port = htons(port);
    storage.length = sizeof(v6);
  } else {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage.value);
    v4.sin_family = AF_INET;
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v4.sin_port = htons(port);
    storage.length = sizeof(v4);
  }
  return storage;
}

// Of loopback, the only one here.
SocketEnd localEnd(const UniqueFd& fd, bool isV6) {
  Storage storage;
  storage.length = sizeof(storage.value);
  EXPECT_EQ(getsockname(fd.get(), storage.get(), &storage.length), 0);
  SocketEnd end = *SocketEnd::parse(isV6 ? "[::1]:0" : "127.0.0.1:0");
  end.port = ntohs(isV6 ? reinterpret_cast<sockaddr_in6&>(storage.value).sin6_port
                        : reinterpret_cast<sockaddr_in&>(storage.value).sin_port);
  return end;
}

// As UCX makes it: without FD_CLOEXEC.
UniqueFd bound(bool isV6) {
  UniqueFd fd(socket(isV6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  Storage storage = loopback(isV6, 0);
  EXPECT_EQ(bind(fd.get(), storage.get(), storage.length), 0);
  return fd;
}

UniqueFd listening(bool isV6) {
  UniqueFd fd = bound(isV6);
  EXPECT_EQ(listen(fd.get(), 100), 0);
  return fd;
}

// Whether the connection comes to be within 200 ms.
bool canConnect(const UniqueFd& fd, const SocketEnd& door) {
  Storage storage = loopback(door.isV6, door.port);
  if (connect(fd.get(), storage.get(), storage.length) == 0) return true;
  pollfd entry{fd.get(), POLLOUT, 0};
  return poll(&entry, 1, 200) == 1 && (entry.revents & POLLERR) == 0;
}

UniqueFd accepted(const UniqueFd& door) {
  pollfd entry{door.get(), POLLIN, 0};
  poll(&entry, 1, 1000);
  return UniqueFd(accept(door.get(), nullptr, nullptr));
}

std::string received(const UniqueFd& fd) {
  pollfd entry{fd.get(), POLLIN, 0};
  poll(&entry, 1, 1000);
  char bytes[100];
  const ssize_t count = recv(fd.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
  return count < 0 ? "nothing" : std::string(bytes, static_cast<size_t>(count));
}

void say(const UniqueFd& fd, const char* text) {
  EXPECT_EQ(send(fd.get(), text, std::strlen(text), MSG_NOSIGNAL),
            static_cast<ssize_t>(std::strlen(text)));
}

bool isKeptFromChildren(const UniqueFd& fd) { return (fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0; }

// What UCX says of itself, as far as Guard looks.
std::string addressOf(const SocketEnd& door) {
  return {'a', 'b', static_cast<char>(door.port >> 8), static_cast<char>(door.port & 0xff), 'c'};
}

TEST(SocketEnd, IsTextAndBack) {
  for (const char* text : {"10.0.0.1:4711", "[fd00::1]:0", "255.255.255.255:65535", "[::1]:1"}) {
    const auto end = SocketEnd::parse(text);
    ASSERT_TRUE(end) << text;
    EXPECT_EQ(end->text(), text);
  }
  for (const char* text : {"", ":", "10.0.0.1", "10.0.0:1", "10.0.0.1:", "10.0.0.1:65536",
                           "10.0.0.1:x", "fd00::1:1", "[fd00::1]", "[10.0.0.1]:1", "[]:1"}) {
    EXPECT_FALSE(SocketEnd::parse(text)) << text;
  }
  EXPECT_EQ(listOf(parseList("[::1]:2,nonsense,,1.2.3.4:5,1.2.3.4:5")), "1.2.3.4:5,[::1]:2");
  EXPECT_TRUE(parseList("").empty());
}

class Guarded : public testing::TestWithParam<bool> {
 protected:
  // Until here others of the process listen.
  UniqueFd other_ = listening(GetParam());
  Guard guard_;
  UniqueFd door_ = listening(GetParam());
  UniqueFd later_ = listening(GetParam());
  SocketEnd end_ = localEnd(door_, GetParam());
  SocketEnds here_ = parseList(GetParam() ? "[::1]:0" : "127.0.0.1:0");
  SocketEnds elsewhere_ = parseList(GetParam() ? "[fd00::77]:0" : "10.77.0.9:0");
  UniqueFd first_ = bound(GetParam());
  UniqueFd second_ = bound(GetParam());
};

TEST_P(Guarded, StrangersAreCutUnreadAndNobodyElseComes) {
  ASSERT_TRUE(guard_.shut(addressOf(end_), here_));
  EXPECT_EQ(guard_.doors(), SocketEnds{end_});
  ASSERT_TRUE(canConnect(first_, end_));
  ASSERT_TRUE(canConnect(second_, end_));
  const UniqueFd peer = accepted(door_);
  const UniqueFd stranger = accepted(door_);
  say(first_, "hello");
  say(second_, "magic");
  ASSERT_TRUE(guard_.admit({localEnd(first_, GetParam())}));
  EXPECT_FALSE(guard_.isWaiting());
  EXPECT_EQ(received(peer), "hello");
  EXPECT_EQ(received(stranger), "");
  send(second_.get(), "more", 4, MSG_NOSIGNAL);
  EXPECT_NE(received(stranger), "more");
  say(first_, "again");
  EXPECT_EQ(received(peer), "again");
  EXPECT_FALSE(canConnect(bound(GetParam()), end_));
  EXPECT_TRUE(isKeptFromChildren(door_));
  EXPECT_TRUE(isKeptFromChildren(peer));
}

TEST_P(Guarded, OnlyHostsOfPeersGetThatFar) {
  ASSERT_TRUE(guard_.shut(addressOf(end_), elsewhere_));
  EXPECT_FALSE(canConnect(first_, end_));
  EXPECT_FALSE(received(accepted(door_)) == "hello");
}

// Sockets of others that listen are left alone, whenever they were made.
TEST_P(Guarded, OthersAreLeftAlone) {
  ASSERT_TRUE(guard_.shut(addressOf(end_) + addressOf(localEnd(other_, GetParam())), elsewhere_));
  ASSERT_TRUE(guard_.admit({}));
  EXPECT_TRUE(canConnect(first_, localEnd(other_, GetParam())));
  EXPECT_TRUE(canConnect(second_, localEnd(later_, GetParam())));
  EXPECT_FALSE(isKeptFromChildren(other_));
  EXPECT_FALSE(isKeptFromChildren(later_));
}

TEST_P(Guarded, WhoIsAnnouncedMayComeLater) {
  ASSERT_TRUE(guard_.shut(addressOf(end_), here_));
  const int64_t start = base::nowNs();
  ASSERT_TRUE(guard_.admit({localEnd(first_, GetParam())}));
  EXPECT_LT(base::nowNs() - start, 5'000'000'000);
  EXPECT_TRUE(guard_.isWaiting());
  EXPECT_FALSE(canConnect(second_, end_));
  ASSERT_TRUE(canConnect(first_, end_));
  const UniqueFd peer = accepted(door_);
  say(first_, "hello");
  EXPECT_EQ(received(peer), "hello");
  ASSERT_TRUE(guard_.look());
  EXPECT_FALSE(guard_.isWaiting());
  say(first_, "again");
  EXPECT_EQ(received(peer), "again");
  EXPECT_FALSE(canConnect(bound(GetParam()), end_));
}

TEST_P(Guarded, IntroductionsAreTheSocketsThatCalledAPeer) {
  ASSERT_TRUE(canConnect(first_, end_));
  ASSERT_TRUE(canConnect(second_, localEnd(other_, GetParam())));
  const auto told =
      introductionsTo({{}, {end_}, {localEnd(other_, GetParam()), localEnd(later_, GetParam())}});
  ASSERT_EQ(told.size(), 3u);
  EXPECT_TRUE(told[0].empty());
  EXPECT_EQ(told[1], SocketEnds{localEnd(first_, GetParam())});
  EXPECT_EQ(told[2], SocketEnds{localEnd(second_, GetParam())});
  EXPECT_TRUE(isKeptFromChildren(first_));
}

// More hosts than a filter holds come in until they are looked at; after that nobody does.
TEST_P(Guarded, ManyHosts) {
  SocketEnds hosts;
  for (int i = 0; i < 5000; ++i) {
    SocketEnd host = *here_.begin();
    host.address[3] = static_cast<uint8_t>(i);
    host.address[2] = static_cast<uint8_t>(i >> 8);
    hosts.insert(host);
  }
  ASSERT_TRUE(guard_.shut(addressOf(end_), hosts));
  ASSERT_TRUE(canConnect(first_, end_));
  const UniqueFd peer = accepted(door_);
  ASSERT_TRUE(guard_.admit({localEnd(first_, GetParam())}));
  EXPECT_FALSE(canConnect(second_, end_));
  say(first_, "hello");
  EXPECT_EQ(received(peer), "hello");
}

INSTANTIATE_TEST_SUITE_P(All, Guarded, testing::Bool(),
                         [](const auto& tested) { return tested.param ? "IPv6" : "IPv4"; });

}  // namespace
}  // namespace tutti::transports::ucx
