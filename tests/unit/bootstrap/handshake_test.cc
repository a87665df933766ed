// The handshake and the frames, without sockets.
#include "src/bootstrap/handshake.h"

#include <gtest/gtest.h>

#include "src/bootstrap/wire.h"

namespace tutti::bootstrap {
namespace {

struct Pair {
  ClientHandshake client;
  ServerHandshake server;
  Reject onHello;
};

ServerHandshake::FindSecret knows(const base::Key& secret) {
  return [secret](const base::KeyId& name) {
    return name == base::publicName(secret) ? std::optional(secret) : std::nullopt;
  };
}

TEST(Handshake, BothProveAndDeriveMatchingKeys) {
  const base::Key secret = base::randomKey();
  ClientHandshake client(base::publicName(secret), secret, false);
  ServerHandshake server;
  ASSERT_EQ(client.hello().size(), kHelloBytes);
  ASSERT_EQ(server.onHello(client.hello(), knows(secret), false), Reject::kNone);
  ASSERT_EQ(server.challenge().size(), kChallengeBytes);
  ASSERT_EQ(client.onChallenge(server.challenge()), Reject::kNone);
  ASSERT_EQ(client.answer().size(), kAnswerBytes);
  ASSERT_EQ(server.onAnswer(client.answer()), Reject::kNone);
  ASSERT_EQ(server.welcome().size(), kWelcomeBytes);
  EXPECT_EQ(client.onWelcome(server.welcome()), Reject::kNone);
  EXPECT_EQ(client.onWelcome(client.answer()), Reject::kProof);
  EXPECT_EQ(client.keys().send, server.keys().receive);
  EXPECT_EQ(client.keys().receive, server.keys().send);
  EXPECT_NE(client.keys().send, client.keys().receive);
}

TEST(Handshake, EncryptsIfEitherSideWants) {
  const base::Key secret = base::randomKey();
  for (const bool clientWants : {false, true}) {
    for (const bool serverWants : {false, true}) {
      ClientHandshake client(base::publicName(secret), secret, clientWants);
      ServerHandshake server;
      server.onHello(client.hello(), knows(secret), serverWants);
      ASSERT_EQ(client.onChallenge(server.challenge()), Reject::kNone);
      EXPECT_EQ(client.keys().isEncrypted, clientWants || serverWants);
      EXPECT_EQ(server.keys().isEncrypted, clientWants || serverWants);
    }
  }
}

TEST(Handshake, ServerWithoutTheSecretIsRefused) {
  const base::Key secret = base::randomKey();
  ClientHandshake client(base::publicName(secret), secret, false);
  ServerHandshake impostor;
  const base::Key guess = base::randomKey();
  impostor.onHello(
      client.hello(), [&](const base::KeyId&) { return std::optional(guess); }, false);
  EXPECT_EQ(client.onChallenge(impostor.challenge()), Reject::kProof);
}

TEST(Handshake, ClientWithoutTheSecretIsRefused) {
  const base::Key secret = base::randomKey();
  ClientHandshake client(base::publicName(secret), secret, false);
  ServerHandshake server;
  server.onHello(client.hello(), knows(secret), false);
  EXPECT_EQ(server.onAnswer(std::string(kAnswerBytes, '\0')), Reject::kProof);
  // The server's own proof, sent back.
  EXPECT_EQ(server.onAnswer(server.challenge().substr(kChallengeBytes - kAnswerBytes)),
            Reject::kProof);
  const base::Key other = base::randomKey();
  ClientHandshake stranger(base::publicName(other), other, false);
  EXPECT_EQ(ServerHandshake().onHello(stranger.hello(), knows(secret), false),
            Reject::kUnknownName);
}

TEST(Handshake, AnyChangedByteIsNoticed) {
  const base::Key secret = base::randomKey();
  for (size_t i = 0; i < kChallengeBytes; ++i) {
    ClientHandshake client(base::publicName(secret), secret, false);
    ServerHandshake server;
    server.onHello(client.hello(), knows(secret), false);
    std::string challenge = server.challenge();
    challenge[i] = static_cast<char>(challenge[i] ^ 2);
    EXPECT_NE(client.onChallenge(challenge), Reject::kNone) << i;
  }
}

TEST(Handshake, PlausibleStarts) {
  const ClientHandshake client(base::KeyId{}, base::Key{}, false);
  for (size_t i = 0; i <= kHelloBytes; ++i) {
    EXPECT_TRUE(ServerHandshake::isPlausible(client.hello().substr(0, i)));
  }
  EXPECT_FALSE(ServerHandshake::isPlausible("G"));
  EXPECT_FALSE(ServerHandshake::isPlausible("TUx"));
}

class FrameTest : public testing::TestWithParam<bool> {
 protected:
  const base::Key key_ = base::randomKey();
  FrameSealer sealer_{key_, GetParam()};
  FrameOpener opener_{key_, GetParam()};

  std::optional<std::string> open(std::string bytes) {
    const size_t size = opener_.frameBytes(bytes);
    if (size == 0 || size > bytes.size()) return std::nullopt;
    const auto frame = opener_.open(bytes.data(), size);
    if (!frame) return std::nullopt;
    return std::to_string(frame->type) + ":" + std::string(frame->payload);
  }
  std::string seal(uint8_t type, std::string_view payload) {
    std::string out;
    sealer_.seal(type, payload, out);
    return out;
  }
};

TEST_P(FrameTest, RoundTrip) {
  EXPECT_EQ(open(seal(3, "hello")), "3:hello");
  EXPECT_EQ(open(seal(4, "")), "4:");
  const std::string large(1 << 20, 'x');
  const std::string sealed = seal(5, large);
  EXPECT_EQ(sealed.find("xxxxxxxxxxxxxxxx") == std::string::npos, GetParam());
  EXPECT_EQ(open(sealed), "5:" + large);
}

TEST_P(FrameTest, AnyChangedByteIsNoticed) {
  const size_t size = seal(3, "hello").size();
  for (size_t i = 4; i < size; ++i) {
    FrameSealer sealer(key_, GetParam());
    FrameOpener opener(key_, GetParam());
    std::string bytes;
    sealer.seal(3, "hello", bytes);
    bytes[i] = static_cast<char>(bytes[i] ^ 1);
    EXPECT_FALSE(opener.open(bytes.data(), bytes.size()).has_value()) << i;
    EXPECT_TRUE(opener.isBroken());
  }
}

TEST_P(FrameTest, ReplayReorderAndOmissionAreNoticed) {
  const std::string first = seal(1, "first");
  const std::string second = seal(1, "second");
  EXPECT_EQ(open(first), "1:first");
  EXPECT_EQ(open(first), std::nullopt);
  FrameOpener late(key_, GetParam());
  std::string copy = second;
  EXPECT_FALSE(late.open(copy.data(), copy.size()).has_value());
}

TEST_P(FrameTest, TooLongIsRefusedFromTheHeader) {
  WireWriter out;
  out.u32(kMaxFramePayload + 1);
  out.u8(1);
  EXPECT_EQ(opener_.frameBytes(out.take()), 0u);
  EXPECT_TRUE(opener_.isBroken());
}

INSTANTIATE_TEST_SUITE_P(Plain, FrameTest, testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Encrypted, FrameTest, testing::Values(true));

}  // namespace
}  // namespace tutti::bootstrap
