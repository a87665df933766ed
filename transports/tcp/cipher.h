// One direction of an encrypted lane: ChaCha20-Poly1305 (RFC 8439), each piece under a number of
// its own, so that nothing can be changed, replayed, reordered or dropped.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "src/base/secure.h"

namespace tutti::transports::tcp {

inline constexpr size_t kTagBytes = 16;
using Tag = std::array<std::byte, kTagBytes>;

class Cipher {
 public:
  explicit Cipher(const base::Key& key) : key_(key) {}

  // Encrypts in place, as the next piece.
  Tag seal(std::byte* data, size_t bytes);
  // Decrypts the next piece in place. False: it is not what the peer sealed.
  bool open(std::byte* data, size_t bytes, const std::byte* tag);

  // The number that the next piece gets.
  uint64_t next() const { return next_; }
  // Takes back what seal did to the piece of that number.
  void undo(std::byte* data, size_t bytes, uint64_t number) const;

 private:
  base::Key key_;
  uint64_t next_ = 0;
};

}  // namespace tutti::transports::tcp
