// Status and Result<T>: how every fallible function in Tutti reports failure.
//
// A Status is either ok (no allocation, one pointer) or a code, a stable id and a text. The text
// carries the cause, what was tried and what to do. The first function that knows the cause builds
// the Status; callers only add context. No exception crosses a library boundary.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace tutti::base {

// Values equal tuttiResult_t (include/tutti/tutti.h); src/api checks that at compile time.
enum class Code : int32_t {
  kOk = 0,
  kDeviceError = 1,
  kSystemError = 2,
  kInternalError = 3,
  kInvalidArgument = 4,
  kInvalidUsage = 5,
  kRemoteError = 6,
  kInProgress = 7,
  kTimeout = 8,
};

// Name of a code, for example "invalid argument". Static storage.
std::string_view codeName(Code code);

// A success, or one failure. Cheap to move; copying a failure shares its text.
class [[nodiscard]] Status {
 public:
  Status() = default;

  // `errorId` is the number of a line in docs/errors.md (0 where none is assigned yet); it is
  // printed in front of the text as "TUTTI-E0142".
  Status(Code code, int errorId, std::string text);

  static Status ok() { return {}; }

  bool isOk() const { return detail_ == nullptr; }
  explicit operator bool() const { return isOk(); }

  Code code() const { return detail_ ? detail_->code : Code::kOk; }
  int errorId() const { return detail_ ? detail_->errorId : 0; }

  // The text without the id; empty for a success.
  std::string_view text() const;

  // "TUTTI-E0142 text", or "ok".
  std::string toString() const;

  // The same failure with "context: " in front of its text. A success stays a success.
  Status withContext(std::string_view context) const;

 private:
  struct Detail {
    Code code;
    int errorId;
    std::string text;
  };
  std::shared_ptr<const Detail> detail_;
};

// A value, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}            // NOLINT(google-explicit-constructor)
  Result(Status failure) : status_(std::move(failure)) {}  // NOLINT(google-explicit-constructor)

  bool isOk() const { return value_.has_value(); }
  explicit operator bool() const { return isOk(); }

  const Status& status() const { return status_; }

  // Only where isOk().
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  T&& take() { return std::move(*value_); }

 private:
  std::optional<T> value_;
  Status status_;
};

// What an exception that goes no further means: memory ran out (kSystemError), else a defect.
Status failureOf(const std::exception& error);

}  // namespace tutti::base

// Returns the failure of `expression` (a Status) from the enclosing function.
#define TUTTI_RETURN_IF_ERROR(expression)                         \
  do {                                                            \
    if (auto tuttiStatus_ = (expression); !tuttiStatus_.isOk()) { \
      return tuttiStatus_;                                        \
    }                                                             \
  } while (false)

#define TUTTI_CONCAT_INNER_(a, b) a##b
#define TUTTI_CONCAT_(a, b) TUTTI_CONCAT_INNER_(a, b)

// Declares `declaration` from a Result, or returns its failure from the enclosing function.
#define TUTTI_ASSIGN_OR_RETURN(declaration, expression)      \
  auto TUTTI_CONCAT_(tuttiResult_, __LINE__) = (expression); \
  if (!TUTTI_CONCAT_(tuttiResult_, __LINE__).isOk()) {       \
    return TUTTI_CONCAT_(tuttiResult_, __LINE__).status();   \
  }                                                          \
  declaration = TUTTI_CONCAT_(tuttiResult_, __LINE__).take()
