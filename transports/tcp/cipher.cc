#include "transports/tcp/cipher.h"

#include <sodium.h>

#include <cstring>

namespace tutti::transports::tcp {
namespace {

static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == kTagBytes);
static_assert(crypto_aead_chacha20poly1305_ietf_KEYBYTES == sizeof(base::Key));

struct Nonce {
  unsigned char bytes[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {};
  explicit Nonce(uint64_t number) { std::memcpy(bytes, &number, sizeof(number)); }
};

// Also a frame without payload has a tag, and libsodium wants an address for it.
unsigned char* raw(std::byte* data) {
  static unsigned char nothing = 0;
  return data == nullptr ? &nothing : reinterpret_cast<unsigned char*>(data);
}
const unsigned char* raw(const base::Key& key) {
  return reinterpret_cast<const unsigned char*>(key.data());
}

}  // namespace

Tag Cipher::seal(std::byte* data, size_t bytes) {
  Tag tag;
  const Nonce nonce(next_++);
  crypto_aead_chacha20poly1305_ietf_encrypt_detached(raw(data), raw(tag.data()), nullptr, raw(data),
                                                     bytes, nullptr, 0, nullptr, nonce.bytes,
                                                     raw(key_));
  return tag;
}

bool Cipher::open(std::byte* data, size_t bytes, const std::byte* tag) {
  const Nonce nonce(next_++);
  return crypto_aead_chacha20poly1305_ietf_decrypt_detached(
             raw(data), nullptr, raw(data), bytes, reinterpret_cast<const unsigned char*>(tag),
             nullptr, 0, nonce.bytes, raw(key_)) == 0;
}

// The cipher is a stream that is added; its first block makes the tag's key (RFC 8439, 2.8).
void Cipher::undo(std::byte* data, size_t bytes, uint64_t number) const {
  const Nonce nonce(number);
  crypto_stream_chacha20_ietf_xor_ic(raw(data), raw(data), bytes, nonce.bytes, 1, raw(key_));
}

}  // namespace tutti::transports::tcp
