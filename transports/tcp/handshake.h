// How the two ends of a lane prove that they belong to one communicator. Pure: bytes in, bytes out.
//
//   acceptor -> dialer   challenge  magic, version, flags, 32-byte nonce
//   dialer -> acceptor   answer     who, whom, which lane of how many, flags, 32-byte nonce, proof
//   acceptor -> dialer   welcome    proof
//
// A proof is BLAKE2b keyed with what the ranks' token gives, over the prover's role and everything
// said before, so that it fits no other connection, pair, lane or direction. If either side asks
// for encryption, both encrypt, with keys of this lane and direction alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "src/base/secure.h"

namespace tutti::transports::tcp {

inline constexpr size_t kChallengeBytes = 8 + 8 + 32;
inline constexpr size_t kAnswerBytes = 16 + 32 + 32;
inline constexpr size_t kWelcomeBytes = 32;

// What the dialer says of a lane.
struct LaneClaim {
  int32_t from = 0;  // ranks
  int32_t to = 0;
  uint16_t lane = 0;
  uint16_t lanes = 1;  // that it means to make to this peer
  uint32_t flags = 0;  // kEncrypted
};
static_assert(sizeof(LaneClaim) == 16);
inline constexpr uint32_t kEncrypted = 1;

struct LaneKeys {
  bool isEncrypted = false;
  base::Key send{};
  base::Key receive{};
};

class Acceptor {
 public:
  Acceptor(const base::Key& key, bool wantsEncryption);
  const std::string& challenge() const { return challenge_; }
  // Takes an answer of kAnswerBytes. Nothing: it does not know the key. Else welcome() is ready.
  std::optional<LaneClaim> onAnswer(std::string_view answer);
  const std::string& welcome() const { return welcome_; }
  const LaneKeys& keys() const { return keys_; }

 private:
  base::Key key_;
  std::string challenge_;
  std::string welcome_;
  LaneKeys keys_;
};

class Dialer {
 public:
  Dialer(const base::Key& key, const LaneClaim& claim) : key_(key), claim_(claim) {}
  // Takes a challenge of kChallengeBytes. False: no acceptor of this version sent it. Else answer()
  // is ready.
  bool onChallenge(std::string_view challenge);
  const std::string& answer() const { return answer_; }
  // Takes a welcome of kWelcomeBytes.
  bool onWelcome(std::string_view welcome) const;
  const LaneKeys& keys() const { return keys_; }

 private:
  base::Key key_;
  LaneClaim claim_;
  std::string answer_;
  std::string welcome_;  // as it must be
  LaneKeys keys_;
};

}  // namespace tutti::transports::tcp
