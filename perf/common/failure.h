// How a tool ends: exit codes, and the one exception that carries a code and a text to main.
// Nothing of this crosses a library boundary; the library is C.
#pragma once

#include <tutti/tutti.h>

#include <source_location>
#include <stdexcept>
#include <string>

namespace tutti::perf {

enum ExitCode {
  kExitOk = 0,
  kExitWrongData = 1,
  kExitUsage = 2,
  kExitTooSlow = 3,
  kExitNoDevice = 4,
  kExitPeerFailed = 5,
};

class Failure : public std::runtime_error {
 public:
  Failure(ExitCode exitCode, const std::string& text)
      : std::runtime_error(text), exitCode_(exitCode) {}
  ExitCode exitCode() const { return exitCode_; }

 private:
  ExitCode exitCode_;
};

// Throws a Failure that names the call, its place and the library's last error.
void check(tuttiResult_t result, const char* call, tuttiComm_t comm = nullptr,
           std::source_location where = std::source_location::current());

// Whether a rank that ends with this code keeps its peers waiting although they can tell nothing
// new.
inline bool isFinal(int exitCode) { return exitCode == kExitUsage || exitCode == kExitNoDevice; }

// The exit code for a library result.
ExitCode exitCodeOf(tuttiResult_t result);

}  // namespace tutti::perf
