#include "src/base/status.h"

#include <fmt/format.h>

#include <new>

#include "src/base/errors.h"

namespace tutti::base {

std::string_view codeName(Code code) {
  switch (code) {
    case Code::kOk: return "ok";
    case Code::kDeviceError: return "device error";
    case Code::kSystemError: return "system error";
    case Code::kInternalError: return "internal error";
    case Code::kInvalidArgument: return "invalid argument";
    case Code::kInvalidUsage: return "invalid usage";
    case Code::kRemoteError: return "remote error";
    case Code::kInProgress: return "in progress";
    case Code::kTimeout: return "timeout";
  }
  return "unknown code";
}

Status::Status(Code code, int errorId, std::string text)
    : detail_(std::make_shared<const Detail>(Detail{code, errorId, std::move(text)})) {}

std::string_view Status::text() const {
  return detail_ ? std::string_view(detail_->text) : std::string_view();
}

std::string Status::toString() const {
  if (!detail_) return "ok";
  if (detail_->errorId == 0) return detail_->text;
  return fmt::format("TUTTI-E{:04d} {}", detail_->errorId, detail_->text);
}

Status Status::withContext(std::string_view context) const {
  if (!detail_) return {};
  return {detail_->code, detail_->errorId, fmt::format("{}: {}", context, detail_->text)};
}

Status failureOf(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return {Code::kSystemError, kErrOutOfMemory, "out of memory"};
  }
  return {Code::kInternalError, kErrInternal, error.what()};
}

}  // namespace tutti::base
