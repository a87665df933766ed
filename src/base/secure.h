// The few cryptographic primitives in use, all from libsodium.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <string_view>

namespace tutti::base {

using Key = std::array<std::byte, 32>;
using KeyId = std::array<std::byte, 16>;

// BLAKE2b keyed with `key` over the parts, each preceded by its length so that no two lists of
// parts hash the same input.
Key keyedHash(const Key& key, std::initializer_list<std::string_view> parts);

// BLAKE2b without a key: turns a passphrase or a job's name into a key.
Key plainHash(std::initializer_list<std::string_view> parts);

// What names a secret in public: nobody learns the secret from it.
KeyId publicName(const Key& secret);

// Compares in a time that does not depend on the content.
bool isEqualSecret(std::string_view a, std::string_view b);

Key randomKey();
KeyId randomKeyId();

template <size_t size>
std::string_view asText(const std::array<std::byte, size>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), size};
}

}  // namespace tutti::base
