#include "src/bootstrap/handshake.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>

#include "src/bootstrap/unique_id.h"
#include "src/bootstrap/wire.h"

namespace tutti::bootstrap {
namespace {

constexpr std::string_view kMagic = "TUT!";
constexpr uint16_t kFlagEncrypt = 1;

unsigned char* asBytes(char* text) { return reinterpret_cast<unsigned char*>(text); }
const unsigned char* asBytes(const char* text) {
  return reinterpret_cast<const unsigned char*>(text);
}
const unsigned char* asBytes(const base::Key& key) {
  return reinterpret_cast<const unsigned char*>(key.data());
}

// 12 bytes, as ChaCha20-Poly1305 (RFC 8439) wants; the counter never repeats for a key.
std::array<unsigned char, 12> nonceOf(uint64_t counter) {
  std::array<unsigned char, 12> nonce{};
  for (size_t i = 0; i < 8; ++i) nonce[i] = static_cast<unsigned char>(counter >> (8 * i));
  return nonce;
}

std::array<unsigned char, kFrameTagBytes> macOf(const base::Key& key, uint64_t counter,
                                                std::string_view headerAndPayload) {
  const std::array<unsigned char, 12> nonce = nonceOf(counter);
  crypto_generichash_state state;
  std::array<unsigned char, kFrameTagBytes> tag;
  crypto_generichash_init(&state, asBytes(key), key.size(), tag.size());
  crypto_generichash_update(&state, nonce.data(), nonce.size());
  crypto_generichash_update(&state, asBytes(headerAndPayload.data()), headerAndPayload.size());
  crypto_generichash_final(&state, tag.data(), tag.size());
  return tag;
}

FrameKeys deriveKeys(const base::Key& secret, std::string_view hello, std::string_view challenge,
                     bool isClient, bool isEncrypted) {
  const base::Key toServer = base::keyedHash(secret, {"client to server", hello, challenge});
  const base::Key toClient = base::keyedHash(secret, {"server to client", hello, challenge});
  return isClient ? FrameKeys{toServer, toClient, isEncrypted}
                  : FrameKeys{toClient, toServer, isEncrypted};
}

// The part of a challenge that its own proof covers.
constexpr size_t kChallengeHeadBytes = kChallengeBytes - kAnswerBytes;

std::string challengeHead(Reject reject, bool isEncrypted, std::string_view nonce) {
  WireWriter out;
  out.raw(kMagic);
  out.u16(kProtocolVersion);
  out.u8(static_cast<uint8_t>(reject));
  out.u8(isEncrypted ? kFlagEncrypt : 0);
  out.raw(nonce);
  return out.take();
}

}  // namespace

void FrameSealer::seal(uint8_t type, std::string_view payload, std::string& out) {
  WireWriter header;
  header.u32(static_cast<uint32_t>(payload.size()));
  header.u8(type);
  const size_t start = out.size();
  out += header.take();
  if (!isEncrypted_) {
    out += payload;
    const auto tag = macOf(key_, counter_++, std::string_view(out).substr(start));
    out.append(reinterpret_cast<const char*>(tag.data()), tag.size());
    return;
  }
  out.resize(start + kFrameHeaderBytes + payload.size() + kFrameTagBytes);
  char* const frame = out.data() + start;
  crypto_aead_chacha20poly1305_ietf_encrypt(
      asBytes(frame + kFrameHeaderBytes), nullptr, asBytes(payload.data()), payload.size(),
      asBytes(frame), kFrameHeaderBytes, nullptr, nonceOf(counter_++).data(), asBytes(key_));
}

size_t FrameOpener::frameBytes(std::string_view buffer) {
  if (buffer.size() < kFrameHeaderBytes) return 0;
  const size_t length = WireReader(buffer).u32();
  if (length > kMaxFramePayload) {
    isBroken_ = true;
    return 0;
  }
  return kFrameHeaderBytes + length + kFrameTagBytes;
}

std::optional<Frame> FrameOpener::open(char* buffer, size_t size) {
  const size_t length = size - kFrameHeaderBytes - kFrameTagBytes;
  const uint64_t counter = counter_++;
  bool isAuthentic = false;
  if (isEncrypted_) {
    isAuthentic = crypto_aead_chacha20poly1305_ietf_decrypt(
                      asBytes(buffer + kFrameHeaderBytes), nullptr, nullptr,
                      asBytes(buffer + kFrameHeaderBytes), length + kFrameTagBytes, asBytes(buffer),
                      kFrameHeaderBytes, nonceOf(counter).data(), asBytes(key_)) == 0;
  } else {
    const auto tag = macOf(key_, counter, {buffer, kFrameHeaderBytes + length});
    isAuthentic = sodium_memcmp(tag.data(), buffer + kFrameHeaderBytes + length, tag.size()) == 0;
  }
  if (!isAuthentic) {
    isBroken_ = true;
    return std::nullopt;
  }
  return Frame{static_cast<uint8_t>(buffer[4]), {buffer + kFrameHeaderBytes, length}, size};
}

ClientHandshake::ClientHandshake(const base::KeyId& name, const base::Key& secret,
                                 bool wantsEncryption)
    : secret_(secret) {
  WireWriter out;
  out.raw(kMagic);
  out.u16(kProtocolVersion);
  out.u16(wantsEncryption ? kFlagEncrypt : 0);
  out.raw(base::asText(name));
  out.raw(base::asText(base::randomKey()));
  hello_ = out.take();
}

Reject ClientHandshake::onChallenge(std::string_view challenge) {
  WireReader in(challenge);
  if (in.raw(kMagic.size()) != kMagic) return Reject::kGarbage;
  serverVersion_ = in.u16();
  const auto reject = static_cast<Reject>(in.u8());
  const bool isEncrypted = (in.u8() & kFlagEncrypt) != 0;
  if (reject != Reject::kNone) return reject;
  if (serverVersion_ != kProtocolVersion) return Reject::kVersion;
  const std::string_view head = challenge.substr(0, kChallengeHeadBytes);
  const base::Key expected = base::keyedHash(secret_, {"server", hello_, head});
  if (!base::isEqualSecret(challenge.substr(kChallengeHeadBytes), base::asText(expected)))
    return Reject::kProof;
  answer_ = base::asText(base::keyedHash(secret_, {"client", hello_, challenge}));
  welcome_ = base::asText(base::keyedHash(secret_, {"welcome", hello_, challenge}));
  keys_ = deriveKeys(secret_, hello_, challenge, true, isEncrypted);
  return Reject::kNone;
}

Reject ClientHandshake::onWelcome(std::string_view welcome) const {
  return base::isEqualSecret(welcome, welcome_) ? Reject::kNone : Reject::kProof;
}

bool ServerHandshake::isPlausible(std::string_view bytes) {
  const size_t known = std::min(bytes.size(), kMagic.size());
  return bytes.substr(0, known) == kMagic.substr(0, known);
}

Reject ServerHandshake::onHello(std::string_view hello, const FindSecret& findSecret,
                                bool wantsEncryption) {
  WireReader in(hello);
  in.raw(kMagic.size());
  const uint16_t version = in.u16();
  const bool isEncrypted = (in.u16() & kFlagEncrypt) != 0 || wantsEncryption;
  const std::string_view name = in.raw(name_.size());
  std::memcpy(name_.data(), name.data(), name.size());
  const std::optional<base::Key> secret =
      version == kProtocolVersion ? findSecret(name_) : std::optional<base::Key>();
  const Reject reject = version != kProtocolVersion ? Reject::kVersion
                        : !secret                   ? Reject::kUnknownName
                                                    : Reject::kNone;
  const std::string head = challengeHead(reject, isEncrypted, base::asText(base::randomKey()));
  if (reject != Reject::kNone) {
    challenge_ = head + std::string(kAnswerBytes, '\0');
    return reject;
  }
  secret_ = *secret;
  hello_ = hello;
  challenge_ = head + std::string(base::asText(base::keyedHash(secret_, {"server", hello_, head})));
  keys_ = deriveKeys(secret_, hello_, challenge_, false, isEncrypted);
  return Reject::kNone;
}

Reject ServerHandshake::onAnswer(std::string_view answer) {
  const base::Key expected = base::keyedHash(secret_, {"client", hello_, challenge_});
  if (!base::isEqualSecret(answer, base::asText(expected))) return Reject::kProof;
  welcome_ = base::asText(base::keyedHash(secret_, {"welcome", hello_, challenge_}));
  return Reject::kNone;
}

}  // namespace tutti::bootstrap
