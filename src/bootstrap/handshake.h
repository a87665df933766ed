// How two processes prove to each other that they know the same secret, and the frames they
// exchange afterwards. Pure: bytes in, bytes out; sockets are channel.h's.
//
//   client -> server  hello      magic, version, flags, name of the secret, 32-byte nonce
//   server -> client  challenge  magic, version, status, flags, 32-byte nonce, proof
//   client -> server  answer     proof
//   server -> client  welcome    proof that the answer was accepted in time
//
// A proof is BLAKE2b keyed with the secret over the prover's role and everything said before, so it
// fits no other connection, direction or version. What follows are frames: length (u32), type (u8),
// payload, 16-byte tag; the tag covers a counter, so that nothing can be injected, replayed,
// reordered or dropped. Keys differ by direction and connection. If either side asks for
// encryption, frames are ChaCha20-Poly1305, else keyed BLAKE2b.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "src/base/secure.h"

namespace tutti::bootstrap {

inline constexpr size_t kHelloBytes = 56;
inline constexpr size_t kChallengeBytes = 72;
inline constexpr size_t kAnswerBytes = 32;
inline constexpr size_t kWelcomeBytes = 32;

inline constexpr size_t kFrameHeaderBytes = 5;
inline constexpr size_t kFrameTagBytes = 16;
// The largest value (16 MiB) and a batch of smaller ones fit.
inline constexpr size_t kMaxFramePayload = 18u << 20;

enum class Reject : uint8_t { kNone = 0, kVersion = 1, kUnknownName = 2, kGarbage = 3, kProof = 4 };

// Keys of one side of an authenticated connection.
struct FrameKeys {
  base::Key send{};
  base::Key receive{};
  bool isEncrypted = false;
};

// Seals outgoing frames of one direction.
class FrameSealer {
 public:
  FrameSealer(const base::Key& key, bool isEncrypted) : key_(key), isEncrypted_(isEncrypted) {}
  // Appends one frame to `out`.
  void seal(uint8_t type, std::string_view payload, std::string& out);

 private:
  base::Key key_;
  bool isEncrypted_;
  uint64_t counter_ = 0;
};

struct Frame {
  uint8_t type;
  std::string_view payload;  // into the buffer given to open
  size_t wireBytes;
};

// Opens incoming frames of one direction.
class FrameOpener {
 public:
  FrameOpener(const base::Key& key, bool isEncrypted) : key_(key), isEncrypted_(isEncrypted) {}

  // Bytes of the frame at the start of `buffer` on the wire; 0 if the header is not complete or
  // announces too much (then isBroken()).
  size_t frameBytes(std::string_view buffer);

  // Opens the complete frame at the start of the buffer, in place. Nothing: it is not authentic.
  std::optional<Frame> open(char* buffer, size_t size);

  bool isBroken() const { return isBroken_; }

 private:
  base::Key key_;
  bool isEncrypted_;
  bool isBroken_ = false;
  uint64_t counter_ = 0;
};

// The side that connects.
class ClientHandshake {
 public:
  ClientHandshake(const base::KeyId& name, const base::Key& secret, bool wantsEncryption);

  const std::string& hello() const { return hello_; }

  // Takes the challenge (kChallengeBytes). On kNone, answer() and keys() are ready.
  Reject onChallenge(std::string_view challenge);

  const std::string& answer() const { return answer_; }

  // Takes the welcome (kWelcomeBytes); then the connection is ready for frames.
  Reject onWelcome(std::string_view welcome) const;

  const FrameKeys& keys() const { return keys_; }
  uint16_t serverVersion() const { return serverVersion_; }

 private:
  base::Key secret_;
  std::string hello_;
  std::string answer_;
  std::string welcome_;  // as it must be
  FrameKeys keys_;
  uint16_t serverVersion_ = 0;
};

// The side that accepts.
class ServerHandshake {
 public:
  // Finds the secret with a public name.
  using FindSecret = std::function<std::optional<base::Key>(const base::KeyId&)>;

  // Whether the bytes so far can be the start of a hello.
  static bool isPlausible(std::string_view bytes);

  // Takes the hello (kHelloBytes). challenge() is then to be sent, also where the hello is
  // rejected, so that the other side learns why.
  Reject onHello(std::string_view hello, const FindSecret& findSecret, bool wantsEncryption);

  const std::string& challenge() const { return challenge_; }

  // Takes the answer (kAnswerBytes). On kNone, welcome() is to be sent, ahead of any frame.
  Reject onAnswer(std::string_view answer);

  const std::string& welcome() const { return welcome_; }

  const base::KeyId& name() const { return name_; }
  const FrameKeys& keys() const { return keys_; }

 private:
  base::Key secret_{};
  base::KeyId name_{};
  std::string hello_;
  std::string challenge_;
  std::string welcome_;
  FrameKeys keys_;
};

}  // namespace tutti::bootstrap
