#include "src/base/secure.h"

#include <sodium.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "src/base/random.h"

namespace tutti::base {
namespace {

// Chooses the fastest implementations for this CPU.
void ensureSodium() {
  static const bool isReady = sodium_init() >= 0;
  if (!isReady) std::abort();
}

const unsigned char* asBytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Key hashParts(std::string_view key, std::initializer_list<std::string_view> parts) {
  ensureSodium();
  crypto_generichash_state state;
  crypto_generichash_init(&state, key.empty() ? nullptr : asBytes(key), key.size(), sizeof(Key));
  for (const std::string_view part : parts) {
    unsigned char length[8];
    for (int i = 0; i < 8; ++i) length[i] = static_cast<unsigned char>(part.size() >> (8 * i));
    crypto_generichash_update(&state, length, sizeof length);
    crypto_generichash_update(&state, asBytes(part), part.size());
  }
  Key result;
  crypto_generichash_final(&state, reinterpret_cast<unsigned char*>(result.data()), result.size());
  return result;
}

}  // namespace

Key keyedHash(const Key& key, std::initializer_list<std::string_view> parts) {
  return hashParts(asText(key), parts);
}

Key plainHash(std::initializer_list<std::string_view> parts) { return hashParts({}, parts); }

KeyId publicName(const Key& secret) {
  const Key hash = keyedHash(secret, {"tutti name"});
  KeyId name;
  std::copy_n(hash.begin(), name.size(), name.begin());
  return name;
}

bool isEqualSecret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

Key randomKey() {
  Key key;
  fillRandom(key);
  return key;
}

KeyId randomKeyId() {
  KeyId id;
  fillRandom(id);
  return id;
}

}  // namespace tutti::base
