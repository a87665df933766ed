// What every C entry point does around its work: no exception leaves, and a failure's text is kept
// for tuttiGetLastError.
#pragma once

#include <tutti/tutti.h>

#include <exception>
#include <new>
#include <string>

#include "src/base/errors.h"
#include "src/base/status.h"
#include "src/comm/handle.h"

namespace tutti::api {

// Keeps the text of a failure for the calling thread and logs it; returns the result code.
tuttiResult_t report(const char* function, const base::Status& status);

// The calling thread's last failure; "" if none.
const char* lastError();

// Keeps `text` for the calling thread until the next call of this function.
const char* keepText(std::string text);

// Runs `body`, a callable that returns a Status, as the C function `function`.
template <typename Body>
tuttiResult_t enter(const char* function, Body&& body) noexcept {
  try {
    const base::Status status = body();
    if (status.isOk()) [[likely]]
      return tuttiSuccess;
    return report(function, status);
  } catch (const std::exception& error) {
    return report(function, base::failureOf(error));
  }
}

base::Status invalid(std::string text);

// The handle behind a user's communicator.
inline base::Result<comm::Handle*> handleOf(tuttiComm_t communicator) {
  return comm::Handle::from(communicator);
}

}  // namespace tutti::api
