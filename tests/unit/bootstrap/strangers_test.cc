// Connections of those who do not know the secret: they are dropped and delay nobody.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <fstream>

#include "src/base/errors.h"
#include "src/base/fd.h"
#include "src/bootstrap/handshake.h"
#include "src/bootstrap/unique_id.h"
#include "tests/unit/bootstrap/ranks.h"

namespace tutti::bootstrap::test {
namespace {

uint16_t portOf(const UniqueId& id) { return decodeUniqueId(id)->addresses.front().port; }

base::UniqueFd connectTo(uint16_t port) {
  sockaddr_storage storage;
  const socklen_t length = loopbackAddress(port).toSocket(storage);
  base::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0) fd.reset();
  return fd;
}

void say(const base::UniqueFd& fd, std::string_view text) {
  send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
}

// Everything the other side says until it closes; at most `limitMs`. Sets isClosed.
std::string hear(const base::UniqueFd& fd, int limitMs, bool* isClosed = nullptr,
                 size_t enough = SIZE_MAX) {
  std::string heard;
  const int64_t end = base::nowMs() + limitMs;
  while (base::nowMs() < end && heard.size() < enough) {
    pollfd entry{fd.get(), POLLIN, 0};
    if (poll(&entry, 1, 20) <= 0) continue;
    char buffer[256];
    const ssize_t got = recv(fd.get(), buffer, std::min(sizeof buffer, enough - heard.size()), 0);
    if (got <= 0) {
      if (isClosed != nullptr) *isClosed = true;
      break;
    }
    heard.append(buffer, static_cast<size_t>(got));
  }
  return heard;
}

// Joins two ranks and returns how long it took.
int64_t joinTwo(const UniqueId& id) {
  const int64_t start = base::nowMs();
  runThreads(2, [&](int rank) {
    auto plane = joinAs(id, rank, 2);
    ASSERT_TRUE(plane.isOk()) << plane.status().toString();
    EXPECT_TRUE((*plane)->allGather("x").isOk());
    (*plane)->announceLeave();
  });
  return base::nowMs() - start;
}

// First in this file: ids that are never used keep the process listening.
TEST(Strangers, NothingListensOnceAllHaveJoined) {
  const UniqueId id = newId();
  const uint16_t port = portOf(id);
  runThreads(2, [&](int rank) {
    auto plane = joinAs(id, rank, 2);
    ASSERT_TRUE(plane.isOk());
    ASSERT_TRUE((*plane)->allGather("").isOk());
    std::this_thread::sleep_for(milliseconds(100));
    EXPECT_FALSE(connectTo(port).isOpen());
    ASSERT_TRUE((*plane)->allGather("").isOk());
    (*plane)->announceLeave();
  });
}

TEST(Strangers, GarbageIsDroppedOnTheFirstWrongByte) {
  const UniqueId id = newId();
  const std::string inputs[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                                "\x16\x03\x01",
                                "T",
                                "TUT?",
                                std::string(1000, '\0'),
                                "SSH-2.0-x\r\n"};
  for (const std::string& input : inputs) {
    const base::UniqueFd fd = connectTo(portOf(id));
    ASSERT_TRUE(fd.isOpen());
    say(fd, input);
    bool isClosed = false;
    const int64_t start = base::nowMs();
    EXPECT_EQ(hear(fd, 5000, &isClosed), "") << input;
    EXPECT_TRUE(isClosed) << input;
    // "T" may be the start of something and gets its second.
    EXPECT_LT(base::nowMs() - start, input == "T" ? 4000 : 900) << input;
  }
  EXPECT_LT(joinTwo(id), 5000);
}

TEST(Strangers, SlowAndSilentOnesAreDroppedAfterASecond) {
  const UniqueId id = newId();
  const base::UniqueFd silent = connectTo(portOf(id));
  const base::UniqueFd slow = connectTo(portOf(id));
  const ClientHandshake handshake(base::publicName(base::Key{}), base::Key{}, false);
  const int64_t start = base::nowMs();
  bool isClosed = false;
  for (size_t i = 0; i < handshake.hello().size() && !isClosed; ++i) {
    say(slow, handshake.hello().substr(i, 1));
    hear(slow, 100, &isClosed);
  }
  EXPECT_TRUE(isClosed);
  EXPECT_LT(base::nowMs() - start, 4000);
  isClosed = false;
  hear(silent, 4000, &isClosed);
  EXPECT_TRUE(isClosed);
  EXPECT_LT(joinTwo(id), 5000);
}

TEST(Strangers, FloodDelaysNobody) {
  const UniqueId id = newId();
  std::vector<base::UniqueFd> flood;
  for (int i = 0; i < 300; ++i) {
    flood.push_back(connectTo(portOf(id)));
    ASSERT_TRUE(flood.back().isOpen());
  }
  EXPECT_LT(joinTwo(id), 900);
  // The oldest had to go.
  bool isClosed = false;
  hear(flood.front(), 500, &isClosed);
  EXPECT_TRUE(isClosed);
}

TEST(Strangers, WrongSecretGetsNothing) {
  const UniqueId id = newId();
  IdContent wrong = *decodeUniqueId(id);
  wrong.secret[0] ^= std::byte{1};
  const auto plane = joinAs(encodeUniqueId(wrong), 0, 1, milliseconds(3000));
  ASSERT_FALSE(plane.isOk());
  EXPECT_EQ(plane.status().errorId(), base::kErrWrongSecret) << plane.status().toString();
  EXPECT_LT(joinTwo(id), 5000);
}

// A recorded handshake, and one with the right public name but a guessed secret.
TEST(Strangers, ReplayedHandshakeIsWorthless) {
  const UniqueId id = newId();
  const base::Key secret = decodeUniqueId(id)->secret;
  ClientHandshake recorded(base::publicName(secret), secret, false);
  std::string answer;
  for (int attempt = 0; attempt < 2; ++attempt) {
    const base::UniqueFd fd = connectTo(portOf(id));
    say(fd, recorded.hello());
    const std::string challenge = hear(fd, 5000, nullptr, kChallengeBytes);
    ASSERT_EQ(challenge.size(), kChallengeBytes);
    if (attempt == 0) {
      ASSERT_EQ(recorded.onChallenge(challenge), Reject::kNone);
      answer = recorded.answer();
      say(fd, answer);
      bool isClosed = false;
      EXPECT_EQ(recorded.onWelcome(hear(fd, 1300, &isClosed)), Reject::kNone);
      EXPECT_FALSE(isClosed);  // proven: it may stay
      // Frames that are not authentic end the connection.
      say(fd, std::string(100, '\xff'));
      hear(fd, 3000, &isClosed);
      EXPECT_TRUE(isClosed);
    } else {
      say(fd, answer);
      bool isClosed = false;
      const int64_t start = base::nowMs();
      EXPECT_EQ(hear(fd, 5000, &isClosed), "");
      EXPECT_TRUE(isClosed);
      EXPECT_LT(base::nowMs() - start, 900);
    }
  }
  EXPECT_LT(joinTwo(id), 5000);
}

TEST(Strangers, OtherProtocolVersionIsToldSo) {
  const UniqueId id = newId();
  const base::Key secret = decodeUniqueId(id)->secret;
  std::string hello = ClientHandshake(base::publicName(secret), secret, false).hello();
  hello[4] = static_cast<char>(kProtocolVersion + 1);
  const base::UniqueFd fd = connectTo(portOf(id));
  say(fd, hello);
  bool isClosed = false;
  const std::string challenge = hear(fd, 5000, &isClosed);
  EXPECT_TRUE(isClosed);
  ClientHandshake other(base::publicName(secret), secret, false);
  EXPECT_EQ(other.onChallenge(challenge), Reject::kVersion);
  EXPECT_EQ(other.serverVersion(), kProtocolVersion);
}

TEST(Unreachable, ErrorNamesEachAddressAndWhy) {
  IdContent content = *decodeUniqueId(newId());
  // A port that nobody listens on: bound, but not listening.
  base::UniqueFd fd(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_storage storage;
  socklen_t length = loopbackAddress(0).toSocket(storage);
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), length), 0);
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&storage), &length);
  const uint16_t port = Address::fromSocket(reinterpret_cast<sockaddr*>(&storage)).port;
  content.addresses = {loopbackAddress(port)};
  const int64_t start = base::nowMs();
  const auto plane = joinAs(encodeUniqueId(content), 0, 2);
  ASSERT_FALSE(plane.isOk());
  EXPECT_LT(base::nowMs() - start, 6000);
  EXPECT_EQ(plane.status().errorId(), base::kErrUnreachable);
  const std::string text(plane.status().text());
  EXPECT_NE(text.find("127.0.0.1:" + std::to_string(port) + ": Connection refused"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("TUTTI_SOCKET_IFNAME"), std::string::npos) << text;
}

// 198.51.100.1 is a documentation address (RFC 5737). Whether the network refuses it or says
// nothing, loopback must win quickly.
TEST(Unreachable, DeadCandidatesDoNotDelay) {
  const UniqueId id = newId();
  IdContent content = *decodeUniqueId(id);
  const uint16_t port = content.addresses.back().port;
  Address dead = loopbackAddress(static_cast<uint16_t>(port));
  dead.bytes = {127, 255, 255, 254};  // loopback network, nobody there on this port
  content.addresses = {dead, loopbackAddress(port)};
  content.hostKey = 1;  // as seen from another host: loopback is not preferred
  EXPECT_LT(joinTwo(encodeUniqueId(content)), 3000);
}

}  // namespace
}  // namespace tutti::bootstrap::test
