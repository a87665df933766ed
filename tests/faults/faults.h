// What the fault tests share: loops that end with an error, and what that error must say.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>

#include "tests/multi/exercise.h"

namespace tutti::test {

// How long survivors may take to learn of a death. Slower with sanitizers.
inline constexpr double kDeathSeconds = kIsSanitized ? 6 : 2;
// A rank that waits for an error in vain gives up after this.
inline constexpr double kPatienceSeconds = 30;

inline double secondsSince(int64_t startNs) {
  return static_cast<double>(nowNs() - startNs) * 1e-9;
}

// Calls until there is an error, which it returns.
inline tuttiResult_t repeatUntilError(RankContext& context,
                                      const std::function<tuttiResult_t()>& call) {
  const int64_t start = nowNs();
  for (;;) {
    const tuttiResult_t result = call();
    if (result != tuttiSuccess) return result;
    if (secondsSince(start) > kPatienceSeconds) context.fail("no error came");
  }
}

inline bool isNamed(const std::string& text, int rank) {
  return text.find(fmt::format("rank {} ", rank)) != std::string::npos ||
         text.find(fmt::format("rank {}:", rank)) != std::string::npos ||
         text.find(fmt::format("rank {},", rank)) != std::string::npos ||
         text.find(fmt::format("ranks {}", rank)) != std::string::npos ||
         text.ends_with(fmt::format("rank {}", rank));
}

// The last error names `rank`.
inline void requireNamed(RankContext& context, int rank) {
  const std::string text = tuttiGetLastError(context.comm());
  if (isNamed(text, rank)) return;
  context.fail(fmt::format("the error does not name rank {}: \"{}\"", rank, text));
}

// The last error holds `part`.
inline void requireText(RankContext& context, const std::string& part) {
  const std::string text = tuttiGetLastError(context.comm());
  if (text.find(part) != std::string::npos) return;
  context.fail(fmt::format("\"{}\" is not in the error: \"{}\"", part, text));
}

// Aborts the context's communicator, so that the runner does not destroy it.
inline void giveUpComm(RankContext& context) {
  TUTTI_REQUIRE(context, tuttiCommAbort(context.comm()));
  context.setComm(nullptr);
}

}  // namespace tutti::test
