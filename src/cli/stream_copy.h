// A copy that moves each byte once out of memory and once into it.
#pragma once

#include <cstddef>

namespace tutti::cli {

// Stores around the caches where the processor can, so that the destination is not read first; a
// plain copy elsewhere.
void streamCopy(void* to, const void* from, size_t bytes);

}  // namespace tutti::cli
