#include "src/api/entry.h"

#include <fmt/format.h>

#include "src/base/log.h"

namespace tutti::api {
namespace {

thread_local std::string lastErrorText;
thread_local std::string keptText;

}  // namespace

tuttiResult_t report(const char* function, const base::Status& status) {
  if (status.code() == base::Code::kInProgress) return tuttiInProgress;
  lastErrorText = fmt::format("{}: {}", function, status.toString());
  TUTTI_LOG_WARN("{}", lastErrorText);
  return static_cast<tuttiResult_t>(status.code());
}

const char* lastError() { return lastErrorText.c_str(); }

const char* keepText(std::string text) {
  keptText = std::move(text);
  return keptText.c_str();
}

base::Status invalid(std::string text) {
  return {base::Code::kInvalidArgument, base::kErrInvalidArgument, std::move(text)};
}

}  // namespace tutti::api
