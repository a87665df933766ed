// Random bytes from the kernel, fit for secrets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tutti::base {

// Fills `bytes`. Blocks only in a machine's first seconds after boot; ends the process if the
// kernel has no random source at all, since a guessable secret is worse than none.
void fillRandom(std::span<std::byte> bytes);

uint64_t random64();

}  // namespace tutti::base
