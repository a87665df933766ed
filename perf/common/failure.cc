#include "perf/common/failure.h"

#include <fmt/format.h>

#include <string_view>

namespace tutti::perf {

ExitCode exitCodeOf(tuttiResult_t result) {
  switch (result) {
    case tuttiSuccess: return kExitOk;
    case tuttiInvalidArgument: return kExitUsage;
    case tuttiUnhandledDeviceError: return kExitNoDevice;
    default: return kExitPeerFailed;
  }
}

void check(tuttiResult_t result, const char* call, tuttiComm_t comm, std::source_location where) {
  if (result == tuttiSuccess) return;
  std::string_view file = where.file_name();
  file.remove_prefix(file.rfind('/') + 1);
  throw Failure(exitCodeOf(result),
                fmt::format("{} failed at {}:{} '{} / {}'", call, file, where.line(),
                            tuttiGetErrorString(result), tuttiGetLastError(comm)));
}

}  // namespace tutti::perf
