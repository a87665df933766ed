#include "transports/tcp/handshake.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "transports/tcp/cipher.h"

namespace tutti::transports::tcp {
namespace {

class TcpHandshake : public testing::Test {
 protected:
  static LaneClaim claim(uint32_t flags = 0) {
    LaneClaim made;
    made.from = 5;
    made.to = 2;
    made.lane = 1;
    made.lanes = 3;
    made.flags = flags;
    return made;
  }
  const base::Key key_ = base::randomKey();
};

TEST_F(TcpHandshake, TwoThatKnowTheKeyAgree) {
  for (const bool acceptorWants : {false, true}) {
    for (const uint32_t dialerWants : {0u, kEncrypted}) {
      Acceptor acceptor(key_, acceptorWants);
      Dialer dialer(key_, claim(dialerWants));
      ASSERT_TRUE(dialer.onChallenge(acceptor.challenge()));
      const auto heard = acceptor.onAnswer(dialer.answer());
      ASSERT_TRUE(heard.has_value());
      EXPECT_EQ(heard->from, 5);
      EXPECT_EQ(heard->to, 2);
      EXPECT_EQ(heard->lane, 1);
      EXPECT_EQ(heard->lanes, 3);
      EXPECT_TRUE(dialer.onWelcome(acceptor.welcome()));
      EXPECT_EQ(dialer.keys().isEncrypted, acceptorWants || dialerWants != 0);
      EXPECT_EQ(acceptor.keys().isEncrypted, dialer.keys().isEncrypted);
      EXPECT_EQ(dialer.keys().send, acceptor.keys().receive);
      EXPECT_EQ(dialer.keys().receive, acceptor.keys().send);
      EXPECT_NE(dialer.keys().send, dialer.keys().receive);
    }
  }
}

TEST_F(TcpHandshake, AStrangerIsNeitherLetInNorBelieved) {
  Acceptor acceptor(key_, false);
  Dialer stranger(base::randomKey(), claim());
  ASSERT_TRUE(stranger.onChallenge(acceptor.challenge()));
  EXPECT_FALSE(acceptor.onAnswer(stranger.answer()).has_value());
  Acceptor impostor(base::randomKey(), false);
  Dialer dialer(key_, claim());
  ASSERT_TRUE(dialer.onChallenge(impostor.challenge()));
  EXPECT_FALSE(dialer.onWelcome(impostor.welcome()));
  EXPECT_FALSE(dialer.onWelcome(std::string(kWelcomeBytes, '\0')));
}

TEST_F(TcpHandshake, ARecordedAnswerIsWorthNothing) {
  Acceptor first(key_, false);
  Dialer dialer(key_, claim());
  ASSERT_TRUE(dialer.onChallenge(first.challenge()));
  ASSERT_TRUE(first.onAnswer(dialer.answer()).has_value());
  Acceptor second(key_, false);
  EXPECT_FALSE(second.onAnswer(dialer.answer()).has_value());
}

TEST_F(TcpHandshake, EveryByteCounts) {
  Acceptor acceptor(key_, false);
  Dialer dialer(key_, claim());
  ASSERT_TRUE(dialer.onChallenge(acceptor.challenge()));
  for (size_t i = 0; i < kAnswerBytes; ++i) {
    std::string altered = dialer.answer();
    altered[i] = static_cast<char>(altered[i] ^ 1);
    EXPECT_FALSE(acceptor.onAnswer(altered).has_value()) << i;
  }
  EXPECT_FALSE(acceptor.onAnswer("").has_value());
  // Whoever takes the wish for encryption out of the challenge spoils the proof.
  Acceptor careful(key_, true);
  std::string weakened = careful.challenge();
  weakened[8] = 0;
  ASSERT_TRUE(dialer.onChallenge(weakened));
  EXPECT_FALSE(careful.onAnswer(dialer.answer()).has_value());
}

TEST_F(TcpHandshake, OtherProtocolsAreNoChallenge) {
  Dialer dialer(key_, claim());
  EXPECT_FALSE(dialer.onChallenge(std::string(kChallengeBytes, 'x')));
  EXPECT_FALSE(dialer.onChallenge("SSH-2.0-OpenSSH_9.2"));
}

class TcpCipher : public testing::Test {
 protected:
  static std::vector<std::byte> pattern(size_t bytes) {
    std::vector<std::byte> data(bytes);
    for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<std::byte>(i * 7 + 1);
    return data;
  }
  const base::Key key_ = base::randomKey();
  Cipher sealer_{key_};
  Cipher opener_{key_};
};

TEST_F(TcpCipher, OpensWhatWasSealed) {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{64}, size_t{100000}}) {
    auto data = pattern(bytes);
    const Tag tag = sealer_.seal(data.data(), bytes);
    if (bytes >= 64) {
      EXPECT_NE(data, pattern(bytes));
    }
    ASSERT_TRUE(opener_.open(data.data(), bytes, tag.data())) << bytes;
    EXPECT_EQ(data, pattern(bytes));
  }
}

TEST_F(TcpCipher, NoticesWhatWasChangedSwappedOrRepeated) {
  auto first = pattern(100);
  auto second = pattern(200);
  const Tag one = sealer_.seal(first.data(), 100);
  const Tag two = sealer_.seal(second.data(), 200);
  auto copy = second;
  EXPECT_FALSE(Cipher(key_).open(copy.data(), 200, two.data())) << "out of order";
  copy = first;
  copy[50] ^= std::byte{1};
  EXPECT_FALSE(Cipher(key_).open(copy.data(), 100, one.data())) << "changed";
  copy = first;
  ASSERT_TRUE(opener_.open(copy.data(), 100, one.data()));
  copy = first;
  EXPECT_FALSE(opener_.open(copy.data(), 100, one.data())) << "repeated";
}

TEST_F(TcpCipher, TakesBackWhatItSealed) {
  auto data = pattern(1000);
  sealer_.seal(data.data(), 0);
  const uint64_t number = sealer_.next();
  sealer_.seal(data.data(), 1000);
  sealer_.undo(data.data(), 1000, number);
  EXPECT_EQ(data, pattern(1000));
}

}  // namespace
}  // namespace tutti::transports::tcp
