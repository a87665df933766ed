#include "src/base/random.h"

#include <cerrno>
#include <cstdlib>

#include <sys/random.h>

namespace tutti::base {

void fillRandom(std::span<std::byte> bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = getrandom(bytes.data() + done, bytes.size() - done, 0);
    if (got > 0) {
      done += static_cast<size_t>(got);
    } else if (got < 0 && errno != EINTR) {
      std::abort();
    }
  }
}

uint64_t random64() {
  uint64_t value = 0;
  fillRandom(std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

}  // namespace tutti::base
