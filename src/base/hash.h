// Hashes that give the same value on every machine and in every release, and the CRC32C checksum.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tutti::base {

inline constexpr uint64_t kHashSeed = 0xcbf29ce484222325u;  // FNV-1a offset basis

// Spreads the bits of a value over all 64 (finaliser of MurmurHash3).
constexpr uint64_t mix64(uint64_t value) {
  value ^= value >> 33;
  value *= 0xff51afd7ed558ccdu;
  value ^= value >> 33;
  value *= 0xc4ceb9fe1a85ec53u;
  return value ^ (value >> 33);
}

// FNV-1a, one byte at a time: for digests and names, not for bulk data. Chain parts by passing the
// hash of what came before. Not for secrets: see libsodium for those.
constexpr uint64_t hash64(std::string_view text, uint64_t before = kHashSeed) {
  uint64_t hash = before;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3u;
  }
  return hash;
}

// The hash of a number, by value (independent of byte order), chained as above.
constexpr uint64_t hash64(uint64_t value, uint64_t before) {
  return mix64(before ^ mix64(value + 0x9e3779b97f4a7c15u));
}

// CRC32C (Castagnoli, RFC 3720 appendix B.4) of `bytes`, continued from the CRC of what came
// before (0 at the start). Uses the CPU's instruction where it has one: about 8 bytes a cycle / 3.
uint32_t crc32c(std::span<const std::byte> bytes, uint32_t before = 0);

// The same without special instructions; for tests.
uint32_t crc32cPortable(std::span<const std::byte> bytes, uint32_t before = 0);

}  // namespace tutti::base
