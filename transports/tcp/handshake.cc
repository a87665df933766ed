#include "transports/tcp/handshake.h"

#include <cstring>

namespace tutti::transports::tcp {
namespace {

constexpr std::string_view kMagic = "TuttiL01";  // the last two: the version
constexpr size_t kFlagsAt = kMagic.size();

std::string proof(const base::Key& key, std::string_view role, std::string_view challenge,
                  std::string_view claim) {
  return std::string(base::asText(base::keyedHash(key, {role, challenge, claim})));
}

uint64_t flagsOf(std::string_view challenge) {
  uint64_t flags = 0;
  std::memcpy(&flags, challenge.data() + kFlagsAt, sizeof(flags));
  return flags;
}

LaneKeys keysOf(const base::Key& key, std::string_view challenge, std::string_view claim,
                bool isDialer) {
  LaneClaim said;
  std::memcpy(&said, claim.data(), sizeof(said));
  LaneKeys keys;
  keys.isEncrypted = ((flagsOf(challenge) | said.flags) & kEncrypted) != 0;
  const auto forth = base::keyedHash(key, {"tutti lane to acceptor", challenge, claim});
  const auto back = base::keyedHash(key, {"tutti lane to dialer", challenge, claim});
  keys.send = isDialer ? forth : back;
  keys.receive = isDialer ? back : forth;
  return keys;
}

}  // namespace

Acceptor::Acceptor(const base::Key& key, bool wantsEncryption) : key_(key), challenge_(kMagic) {
  const uint64_t flags = wantsEncryption ? kEncrypted : 0;
  challenge_.append(reinterpret_cast<const char*>(&flags), sizeof(flags));
  challenge_ += base::asText(base::randomKey());
}

std::optional<LaneClaim> Acceptor::onAnswer(std::string_view answer) {
  if (answer.size() != kAnswerBytes) return {};
  const std::string_view said = answer.substr(0, kAnswerBytes - 32);
  const std::string expected = proof(key_, "tutti lane dialer", challenge_, said);
  if (!base::isEqualSecret(expected, answer.substr(said.size()))) return {};
  welcome_ = proof(key_, "tutti lane acceptor", challenge_, said);
  keys_ = keysOf(key_, challenge_, said, false);
  LaneClaim claim;
  std::memcpy(&claim, answer.data(), sizeof(claim));
  return claim;
}

bool Dialer::onChallenge(std::string_view challenge) {
  if (challenge.size() != kChallengeBytes || !challenge.starts_with(kMagic)) return false;
  std::string said(reinterpret_cast<const char*>(&claim_), sizeof(claim_));
  said += base::asText(base::randomKey());
  answer_ = said + proof(key_, "tutti lane dialer", challenge, said);
  welcome_ = proof(key_, "tutti lane acceptor", challenge, said);
  keys_ = keysOf(key_, challenge, said, true);
  return true;
}

bool Dialer::onWelcome(std::string_view welcome) const {
  return !welcome_.empty() && base::isEqualSecret(welcome, welcome_);
}

}  // namespace tutti::transports::tcp
