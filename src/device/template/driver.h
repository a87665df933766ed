// The vendor's library, opened at run time.
#pragma once

#include <cstddef>

#include "src/base/status.h"

namespace tutti::device::skeleton {

// The entry points that the backend calls. Complete, or not there at all.
struct Driver {
  int (*getDeviceCount)(int* count) = nullptr;
  int (*allocate)(void** pointer, size_t bytes) = nullptr;
  int (*release)(void* pointer) = nullptr;
  int (*copy)(void* destination, const void* source, size_t bytes) = nullptr;
};

// Opens the library on the first call. The failure says which library or symbol is missing. Any
// thread.
const base::Result<Driver>& driver();

}  // namespace tutti::device::skeleton
